"""One class for every back end that keeps blobs."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from apps.storage.adapters.local import LocalBackend
from apps.storage.adapters.memory import MemoryBackend
from apps.storage.errors import ArtifactMissing, StorageFull, StorageUnavailable
from apps.storage.ports import BlobBackend

ONE, TWO = uuid4(), uuid4()
KEY = "ab" * 32


@pytest.fixture(params=["local", "memory"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> BlobBackend:
    return LocalBackend(tmp_path) if request.param == "local" else MemoryBackend()


class TestEveryBackend:
    def test_reads_what_was_written(self, backend: BlobBackend) -> None:
        backend.write(ONE, KEY, b"content")
        backend.write(ONE, KEY, b"content")
        assert backend.read(ONE, KEY) == b"content"
        assert backend.exists(ONE, KEY)

    def test_tenants_do_not_share(self, backend: BlobBackend) -> None:
        backend.write(ONE, KEY, b"content")
        assert not backend.exists(TWO, KEY)
        with pytest.raises(ArtifactMissing):
            backend.read(TWO, KEY)
        backend.delete(TWO, KEY)
        assert backend.read(ONE, KEY) == b"content"

    def test_deletes_once_and_again(self, backend: BlobBackend) -> None:
        backend.write(ONE, KEY, b"content")
        backend.delete(ONE, KEY)
        backend.delete(ONE, KEY)
        assert not backend.exists(ONE, KEY)

    def test_lists_what_is_old(self, backend: BlobBackend) -> None:
        backend.write(ONE, KEY, b"content")
        assert list(backend.older_than(ONE, 60)) == []
        assert list(backend.older_than(ONE, -60)) == [KEY]
        assert list(backend.older_than(TWO, -60)) == []


@contextmanager
def _no_room() -> Iterator[None]:
    """Files of this process may not grow past 64 KiB: the write fails half way, like on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _local(tmp_path: Path) -> tuple[BlobBackend, Callable[[], list[Path]]]:
    return LocalBackend(tmp_path), lambda: [file for file in tmp_path.rglob("*") if file.is_file()]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    backend, files = _local(tmp_path)
    with _no_room(), pytest.raises(StorageFull) as refusal:
        backend.write(ONE, KEY, b"x" * 1_000_000)
    assert (refusal.value.status, refusal.value.code) == (507, "storage_full")
    assert files() == []
    backend.write(ONE, KEY, b"x" * 1_000_000)
    assert len(backend.read(ONE, KEY)) == 1_000_000


def test_a_full_memory_back_end_says_the_same() -> None:
    backend = MemoryBackend(capacity_bytes=4)
    with pytest.raises(StorageFull):
        backend.write(ONE, KEY, b"12345")
    assert not backend.exists(ONE, KEY)


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    backend, files = _local(tmp_path)
    backend.write(ONE, KEY, b"content")
    (file,) = files()
    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0


def test_a_root_that_is_a_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("in the way")
    with pytest.raises(StorageUnavailable):
        LocalBackend(tmp_path / "root").write(ONE, KEY, b"content")


def test_what_an_interrupted_write_left_is_removed(tmp_path: Path) -> None:
    backend, files = _local(tmp_path)
    backend.write(ONE, KEY, b"content")
    (files()[0].parent / ".partial-123").write_bytes(b"half")
    assert list(backend.older_than(ONE, -60)) == [KEY]
    assert [file.name for file in files()] == [KEY]

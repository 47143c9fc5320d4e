"""One class for the indexes in memory; recall, locking and files of the approximate one."""

import threading
import time
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest

from apps.intelligence.ports import Vectors
from apps.intelligence.vectors import files, hnsw
from apps.intelligence.vectors.base import MutableVectorIndex
from apps.intelligence.vectors.exact import ExactIndex
from apps.intelligence.vectors.hnsw import HnswIndex
from apps.intelligence.vectors.locking import ReadWriteLock

DIM = 32
needs_hnswlib = pytest.mark.skipif(not hnsw.available(), reason="hnswlib is not installed")


def vectors(count: int, seed: int = 1) -> Vectors:
    made = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


@pytest.fixture(params=["exact", pytest.param("hnswlib", marks=needs_hnswlib)])
def index(request: pytest.FixtureRequest) -> MutableVectorIndex:
    return ExactIndex(DIM) if request.param == "exact" else HnswIndex(DIM)


class TestEveryIndex:
    def test_empty_finds_nothing(self, index: MutableVectorIndex) -> None:
        assert index.search(vectors(1)[0], 10) == []
        assert len(index) == 0

    def test_finds_itself_first_with_score_one(self, index: MutableVectorIndex) -> None:
        rows = vectors(300)
        index.add(range(1000, 1300), rows, range(300))
        hits = index.search(rows[7], 5)
        assert hits[0][0] == 1007
        assert hits[0][1] == pytest.approx(1.0, abs=1e-5)
        assert [score for _, score in hits] == sorted((score for _, score in hits), reverse=True)
        assert len(hits) == 5

    def test_asks_for_more_than_there_is(self, index: MutableVectorIndex) -> None:
        index.add([1, 2, 3], vectors(3), [0, 0, 0])
        assert {label for label, _ in index.search(vectors(1, 9)[0], 500)} == {1, 2, 3}

    def test_removed_labels_are_not_found(self, index: MutableVectorIndex) -> None:
        rows = vectors(200)
        index.add(range(200), rows, range(200))
        index.remove([*range(0, 200, 2), 999])
        found = {label for row in rows for label, _ in index.search(row, 100)}
        assert found == set(range(1, 200, 2))
        assert set(index.marks()) == found

    def test_adding_again_replaces(self, index: MutableVectorIndex) -> None:
        old, new = vectors(1, 2)[0], vectors(1, 3)[0]
        index.add([5], old[None], [1])
        index.add([5], new[None], [2])
        assert index.marks() == {5: 2}
        assert index.search(new, 1)[0][1] == pytest.approx(1.0, abs=1e-5)
        index.remove([5])
        index.add([5], old[None], [3])
        ((label, score),) = index.search(old, 1)
        assert label == 5
        assert score == pytest.approx(1.0, abs=1e-5)


@needs_hnswlib
def test_recall_against_exact_search() -> None:
    rows = vectors(5000)
    approximate, exact = HnswIndex(DIM), ExactIndex(DIM)
    for index in (approximate, exact):
        index.add(range(5000), rows, [0] * 5000)
    shared = 0
    for query in vectors(100, 4):
        best = {label for label, _ in exact.search(query, 10)}
        shared += len(best & {label for label, _ in approximate.search(query, 10)})
    assert shared >= 950


@needs_hnswlib
def test_searching_while_adding_and_removing_never_fails() -> None:
    rows, index, stop = vectors(3000), HnswIndex(DIM), threading.Event()
    index.add(range(500), rows[:500], [0] * 500)
    searched, wrong = [0], []

    def search() -> None:
        while not stop.is_set():
            try:
                hits = index.search(rows[searched[0] % 500], 10)
            except RuntimeError as error:
                wrong.append(error)
            else:
                searched[0] += len(hits) > 0

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for start in range(500, 3000, 50):
        index.add(range(start, start + 50), rows[start : start + 50], [0] * 50)
        index.remove([start])
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert searched[0] > 50
    assert len(index) == 2950


def test_the_lock_lets_neither_side_starve() -> None:
    lock, stop, counts = ReadWriteLock(), threading.Event(), {"read": 0, "write": 0}

    def loop(kind: str) -> None:
        while not stop.is_set():
            with lock.read() if kind == "read" else lock.write():
                counts[kind] += 1
                time.sleep(0.001)

    threads = [threading.Thread(target=loop, args=(kind,)) for kind in ("read", "read", "write", "write")]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    assert counts["read"] > 20
    assert counts["write"] > 20


@needs_hnswlib
class TestFiles:
    def saved(self, root: Path) -> tuple[HnswIndex, UUID]:
        tenant, index = uuid4(), HnswIndex(DIM)
        index.add(range(100), vectors(100), range(100))
        index.remove([3, 4])
        files.save(root, tenant, "model/a", DIM, index)
        return index, tenant

    def test_comes_back_as_it_was(self, tmp_path: Path) -> None:
        index, tenant = self.saved(tmp_path)
        loaded = files.load(tmp_path, tenant, "model/a", DIM)
        assert loaded is not None
        assert loaded.marks() == index.marks()
        for query in vectors(20, 5):
            assert loaded.search(query, 10) == index.search(query, 10)
        loaded.add([500], vectors(1, 6), [1])
        assert loaded.search(vectors(1, 6)[0], 1)[0][0] == 500

    def test_an_empty_index_comes_back(self, tmp_path: Path) -> None:
        tenant = uuid4()
        files.save(tmp_path, tenant, "m", DIM, HnswIndex(DIM))
        loaded = files.load(tmp_path, tenant, "m", DIM)
        assert loaded is not None
        assert len(loaded) == 0

    def test_nothing_saved_is_none(self, tmp_path: Path) -> None:
        assert files.load(tmp_path, uuid4(), "model/a", DIM) is None

    def test_saving_again_leaves_one_generation(self, tmp_path: Path) -> None:
        index, tenant = self.saved(tmp_path)
        files.save(tmp_path, tenant, "model/a", DIM, index)
        assert len(list(files.tenant_folder(tmp_path, tenant).iterdir())) == 3

    def test_another_tenants_files_are_refused(self, tmp_path: Path) -> None:
        _, tenant = self.saved(tmp_path)
        other = uuid4()
        files.tenant_folder(tmp_path, tenant).rename(files.tenant_folder(tmp_path, other))
        with pytest.raises(files.FileRefused, match="another tenant"):
            files.load(tmp_path, other, "model/a", DIM)

    def test_another_dimension_is_refused(self, tmp_path: Path) -> None:
        _, tenant = self.saved(tmp_path)
        with pytest.raises(files.FileRefused, match="dimension"):
            files.load(tmp_path, tenant, "model/a", DIM + 1)

    @pytest.mark.parametrize("suffix", [".bin", ".npy", ".json"])
    @pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
    def test_damaged_files_are_refused(self, tmp_path: Path, suffix: str, damage: str) -> None:
        _, tenant = self.saved(tmp_path)
        (file,) = files.tenant_folder(tmp_path, tenant).glob(f"*{suffix}")
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        match damage:
            case "flip":
                file.write_bytes(content)
            case "cut":
                file.write_bytes(content[: len(content) // 2])
            case _:
                file.unlink()
        if damage == "remove" and suffix == ".json":
            assert files.load(tmp_path, tenant, "model/a", DIM) is None
        else:
            with pytest.raises(files.FileRefused):
                files.load(tmp_path, tenant, "model/a", DIM)

"""Blobs as files below one directory: <root>/<tenant id>/<first two digits>/<checksum>."""

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from apps.storage.errors import ArtifactMissing, StorageFull, StorageUnavailable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PARTIAL = ".partial-"


@contextmanager
def _as_storage_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ArtifactMissing("The stored bytes are gone.") from None
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull("There is no room left on the storage device; nothing was stored.") from error
        raise StorageUnavailable(f"The storage directory cannot be used: {error.strerror}.") from error


class LocalBackend:
    """Files on this machine, written to a temporary name, synced, then renamed."""

    name = "local"

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, tenant_id: UUID, checksum: str, data: bytes) -> None:
        target = self._file(tenant_id, checksum)
        with _as_storage_errors():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=_PARTIAL, dir=target.parent)
            partial = Path(name)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(target)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
            _sync_directory(target.parent)

    def read(self, tenant_id: UUID, checksum: str) -> bytes:
        with _as_storage_errors():
            return self._file(tenant_id, checksum).read_bytes()

    def delete(self, tenant_id: UUID, checksum: str) -> None:
        with _as_storage_errors():
            self._file(tenant_id, checksum).unlink(missing_ok=True)

    def exists(self, tenant_id: UUID, checksum: str) -> bool:
        return self._file(tenant_id, checksum).is_file()

    def older_than(self, tenant_id: UUID, seconds: float) -> Iterator[str]:
        """Also removes what an interrupted write left behind."""
        limit = time.time() - seconds
        for file in (self._root / str(tenant_id)).glob("*/*"):
            try:
                if file.stat().st_mtime > limit:
                    continue
            except FileNotFoundError:
                continue
            if file.name.startswith(_PARTIAL):
                file.unlink(missing_ok=True)
            else:
                yield file.name

    def _file(self, tenant_id: UUID, checksum: str) -> Path:
        return self._root / str(tenant_id) / checksum[:2] / checksum


def _sync_directory(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

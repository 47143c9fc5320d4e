"""One owner per data directory: a kernel lock that ends with its process, however that ends."""

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

from apps.core.embedded.errors import StartFailed


@dataclass(frozen=True)
class Holder:
    """The process that owns a data directory, told apart from a later one with the same pid by its start time."""

    pid: int
    started: float

    def process(self) -> psutil.Process | None:
        return process_of(self.pid, self.started)


def process_of(pid: int, started: float) -> psutil.Process | None:
    """The live process with this pid and start time, or None."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < 1.5 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
    return process if same else None


def holder(path: Path) -> Holder | None:
    """Who holds the lock now; None when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            stored = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
        except ValueError:
            stored = {}
        return Holder(int(stored.get("pid", 0)), float(stored.get("started", 0.0)))
    else:
        return None
    finally:
        os.close(descriptor)


class DataDirLock:
    """Exclusive ownership while entered; the file is gone afterwards.

    Entering raises StartFailed when another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> "DataDirLock":
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                found = holder(self._path)
                who = f"process {found.pid}" if found and found.pid else "another process"
                raise StartFailed(
                    f"{self._path.parent} is in use by {who}: it is running already; `make down` stops it."
                ) from None
            if self._is_current(descriptor):
                break
            os.close(descriptor)  # its last owner removed the file between our open and our lock
        self._descriptor = descriptor
        me = psutil.Process()
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": me.pid, "started": me.create_time()}).encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = -1

    def _is_current(self, descriptor: int) -> bool:
        try:
            on_disk = self._path.stat()
        except FileNotFoundError:
            return False
        return on_disk.st_ino == os.fstat(descriptor).st_ino

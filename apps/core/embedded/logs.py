"""Log files of the supervised processes: appended to, kept small, quoted when something fails."""

import os
import shutil
from pathlib import Path

_ROTATE_BYTES = 10 * 1024 * 1024
_TAIL_BYTES = 64 * 1024


def open_log(path: Path) -> int:
    """A descriptor that appends, after moving an overgrown file aside. The caller closes it."""
    if path.exists() and path.stat().st_size > _ROTATE_BYTES:
        path.replace(path.with_suffix(path.suffix + ".1"))
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def trim(path: Path) -> None:
    """Copy an overgrown log aside and empty it while its process keeps appending."""
    if path.exists() and path.stat().st_size > _ROTATE_BYTES:
        shutil.copyfile(path, path.with_suffix(path.suffix + ".1"))
        os.truncate(path, 0)


def last_line(path: Path, *, start: int = 0, marks: tuple[str, ...] = ()) -> str:
    """The last line after byte `start` that holds one of `marks`, else simply the last; at most 300 characters."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(start if start <= size else 0, size - _TAIL_BYTES))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    marked = [line for line in lines if any(mark in line for mark in marks)]
    return (marked or lines or [""])[-1][-300:]

"""How a child process is born: it dies with its supervisor, and the database servers never run as root."""

import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from apps.core.embedded.errors import StartFailed

_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP = 28, 1 << 2
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH, _CAP_SETPCAP = 1, 2, 8
_CAPABILITY_VERSION_3 = 0x20080522


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@dataclass(frozen=True)
class RunAs:
    """The user the servers drop to when we are root, and the one capability that passes closed parent folders."""

    uid: int
    gid: int
    capability: int | None = None


def server_user(cluster: Path, needed: Iterable[Path]) -> RunAs | None:
    """Who runs PostgreSQL and Valkey: None for ourselves, another user when we are root (PostgreSQL refuses root).

    That is the owner of an existing cluster, else `nobody`. A checkout below a closed folder such as a 0700 home is
    reached by leaving those processes CAP_DAC_READ_SEARCH (else CAP_DAC_OVERRIDE), never by opening the folder.
    """
    if os.geteuid() != 0:
        return None
    uid, gid = _owner(cluster)
    closed = next((folder for path in needed if (folder := _closed_parent(path, uid, gid))), None)
    if closed is None:
        return RunAs(uid, gid)
    capability = _passing_capability()
    if capability is None:
        raise StartFailed(
            f"PostgreSQL does not run as root, and user id {uid} cannot enter {closed}: run as an ordinary user, "
            f"or `chmod o+x {closed}`, or move the checkout and CYBERNETIC_DATA_DIR to a folder every user may enter."
        )
    return RunAs(uid, gid, capability)


def child_setup(death_signal: signal.Signals, run_as: RunAs | None = None) -> Callable[[], None] | None:
    """A `preexec_fn`: drop to `run_as`, and on Linux have `death_signal` sent when the spawning thread ends.

    Everything it needs is looked up here, before the fork. Spawn from the main thread.
    """
    if not _LINUX and run_as is None:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapData * 2)()
    if run_as is not None and run_as.capability is not None:
        bit = 1 << run_as.capability
        data[0] = _CapData(bit, bit, bit)

    def prepare() -> None:
        if run_as is not None:
            if run_as.capability is not None:
                # Without it setuid() drops all capabilities, and access(2), which initdb asks first, ignores them.
                libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
            os.setgroups([])
            os.setgid(run_as.gid)
            os.setuid(run_as.uid)
            if run_as.capability is not None:
                libc.capset(ctypes.byref(header), data)
                libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, run_as.capability, 0, 0)
        if _LINUX:
            libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return prepare


def give(path: Path, run_as: RunAs | None) -> None:
    """Hand a path made by root to the user the servers run as."""
    if run_as is not None:
        os.chown(path, run_as.uid, run_as.gid)


def make_socket_dir(folder: Path, run_as: RunAs | None) -> None:
    """The folder of the servers' sockets, theirs alone: as root we reach it anyway."""
    folder.mkdir(exist_ok=True)
    give(folder, run_as)
    folder.chmod(0o700)


def _owner(cluster: Path) -> tuple[int, int]:
    try:
        found = (cluster / "PG_VERSION").stat()
    except OSError:
        found = None
    if found is not None and found.st_uid != 0:
        return found.st_uid, found.st_gid
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise StartFailed(
            "PostgreSQL does not run as root and there is no user `nobody` here: run as an ordinary user."
        ) from None
    return entry.pw_uid, entry.pw_gid


def _closed_parent(path: Path, uid: int, gid: int) -> Path | None:
    for folder in reversed(path.resolve().parents):
        try:
            found = folder.stat()
        except FileNotFoundError:
            return None
        if found.st_uid == uid:
            allowed = found.st_mode & 0o100
        elif found.st_gid == gid:
            allowed = found.st_mode & 0o010
        else:
            allowed = found.st_mode & 0o001
        if not allowed:
            return folder
    return None


def _passing_capability() -> int | None:
    if not _LINUX:
        return None
    line = next(text for text in Path("/proc/self/status").read_text().splitlines() if text.startswith("CapEff:"))
    held = int(line.split()[1], 16)
    if not held & (1 << _CAP_SETPCAP):
        return None
    return next((bit for bit in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE) if held & (1 << bit)), None)

"""Where everything lives: one data directory, and a short folder for Unix sockets."""

import hashlib
import os
import re
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from apps.core.embedded.errors import StartFailed

REPOSITORY = Path(__file__).resolve().parents[3]
MARKER = ".cybernetic"
_OWN_ENTRIES = frozenset(
    {"run", "logs", "postgres", "valkey", "storage", "indexes", "models", "beat", "static", "media"}
)
# sun_path holds 108 bytes with its final NUL on Linux, 104 on macOS; the longest name is PostgreSQL's lock.
_SOCKET_PATH_BYTES = 103
_LONGEST_SOCKET = "/db/.s.PGSQL.5432.lock"
_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")


@dataclass(frozen=True)
class DataDir:
    """The files of one installation."""

    root: Path

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def valkey(self) -> Path:
        return self.root / "valkey"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets.json"

    @property
    def lock(self) -> Path:
        return self.root / "supervisor.lock"

    @property
    def processes(self) -> Path:
        return self.root / "processes.json"

    @property
    def setup_stamp(self) -> Path:
        return self.root / "setup.json"

    @property
    def env_json(self) -> Path:
        return self.root / "env.json"

    @property
    def env_shell(self) -> Path:
        return self.root / "env"

    @cached_property
    def run(self) -> Path:
        """The folder of the Unix sockets: inside the data directory, or a short one where that path does not fit."""
        inside = self.root / "run"
        name = str(inside)
        if (
            len(os.fsencode(name + _LONGEST_SOCKET)) <= _SOCKET_PATH_BYTES
            and _PLAIN.fullmatch(name)
            and _takes_sockets(inside)
        ):
            return inside
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:10]
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        if os.geteuid() != 0 and runtime and len(runtime) < 40 and _PLAIN.fullmatch(runtime) and Path(runtime).is_dir():
            return Path(runtime) / f"cybernetic-{digest}"
        return Path("/tmp") / f"cybernetic-{os.geteuid()}-{digest}"  # noqa: S108  # mode 0700 and its owner is checked

    def create(self) -> None:
        """Make the folders.

        Raises StartFailed when they cannot be made or written, or when the folder is somebody else's.
        """
        searchable = 0o711 if os.geteuid() == 0 else 0o700  # as root the servers run under another user id
        try:
            self.root.mkdir(mode=searchable, parents=True, exist_ok=True)
            self._claim()
            self.logs.mkdir(mode=0o700, exist_ok=True)
        except FileExistsError:
            raise StartFailed(
                f"{self.root} is a file, not a folder: move it away or set CYBERNETIC_DATA_DIR."
            ) from None
        except OSError as error:
            raise StartFailed(
                f"The data directory {self.root} cannot be written ({error.strerror}): "
                "free or repair it, run as its owner, or set CYBERNETIC_DATA_DIR."
            ) from error
        make_private(self.run, mode=searchable)

    def remove_outside_run(self) -> None:
        """Take back a socket folder that had to be made outside the data directory, once it is empty."""
        run = self.run
        if run.parent != self.root:
            with suppress(OSError):
                (run / "db").rmdir()
                run.rmdir()

    def _claim(self) -> None:
        marker = self.root / MARKER
        if marker.exists():
            owner = marker.stat().st_uid
            if owner != os.geteuid():
                raise StartFailed(
                    f"{self.root} belongs to user id {owner}: run as that user or set CYBERNETIC_DATA_DIR."
                )
            with marker.open("a"):  # the same error as any later write, before anything has started
                return
        strangers = sorted(entry.name for entry in self.root.iterdir() if entry.name not in _OWN_ENTRIES)
        if strangers and self.root != REPOSITORY / "var":
            raise StartFailed(
                f"{self.root} already holds other files ({strangers[0]}): "
                "set CYBERNETIC_DATA_DIR to a new or empty folder."
            )
        marker.write_text("Data of a Cybernetic installation. `make reset` removes this folder.\n")


def data_dir() -> DataDir:
    """The data directory in force: CYBERNETIC_DATA_DIR, or var/ beside manage.py."""
    return DataDir(Path(os.environ.get("CYBERNETIC_DATA_DIR") or REPOSITORY / "var").absolute())


def make_private(folder: Path, *, mode: int) -> None:
    """Make a folder that nobody else can have prepared for us.

    Raises StartFailed when it exists under another owner or as a link.
    """
    try:
        folder.mkdir(mode=mode, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise StartFailed(
            f"{folder} cannot be made ({error.strerror}): set CYBERNETIC_DATA_DIR to a folder you can write."
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise StartFailed(f"{folder} belongs to another user: remove it or set CYBERNETIC_DATA_DIR to a shorter path.")
    folder.chmod(mode)


def _takes_sockets(folder: Path) -> bool:
    """Some mounted folders (shared with a virtual machine, say) refuse Unix sockets."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket(socket.AF_UNIX) as candidate:
            candidate.bind(str(probe))
    except OSError:
        return False
    finally:
        probe.unlink(missing_ok=True)
    return True

"""The embedded PostgreSQL: a cluster of our own, reachable only by its Unix socket, with scram passwords."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from apps.core.embedded import roles
from apps.core.embedded.binaries import POSTGRES_MAJOR, postgres_bin
from apps.core.embedded.children import RunAs, child_setup, give, make_socket_dir
from apps.core.embedded.errors import StartFailed
from apps.core.embedded.logs import last_line
from apps.core.embedded.paths import DataDir

# SIGINT is PostgreSQL's fast stop; SIGTERM would wait for every client to leave.
STOP_SIGNAL = signal.SIGINT
_SHARED_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # 43 job slots and the web threads may each hold one connection per database role.
    "max_connections": "200",
    "shared_buffers": "128MB",
    "jit": "off",
}
_UNSAFE_OPTIONS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


@dataclass(frozen=True)
class Postgres:
    """One cluster. `durable=False` is for tests: a power cut may then corrupt it."""

    files: DataDir
    run_as: RunAs | None
    durable: bool = True

    @property
    def socket_dir(self) -> Path:
        return self.files.run / "db"

    @property
    def log(self) -> Path:
        return self.files.logs / "postgres.log"

    @property
    def exists(self) -> bool:
        return (self.files.postgres / "PG_VERSION").exists()

    def argv(self) -> list[str]:
        options = (
            _SHARED_OPTIONS
            | {"unix_socket_directories": str(self.socket_dir)}
            | ({} if self.durable else _UNSAFE_OPTIONS)
        )
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(postgres_bin() / "postgres"), "-D", str(self.files.postgres), *settings]

    def child_setup(self) -> Callable[[], None] | None:
        return child_setup(STOP_SIGNAL, self.run_as)

    def url(self, user: str, password: str, database: str = roles.DATABASE) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@/{database}?host={quote(str(self.socket_dir))}"

    def prepare(self, admin_password: str) -> None:
        """Create the cluster on first use. A creation cut short leaves nothing that looks like a cluster.

        Raises StartFailed when the folder is damaged, another version's, or another user's.
        """
        make_socket_dir(self.socket_dir, self.run_as)
        cluster = self.files.postgres
        if cluster.exists() and not self._readable_version():
            raise StartFailed(f"{cluster} is not a complete database: restore a backup, or `make reset` to start over.")
        if not cluster.exists():
            self._initdb(admin_password)

    def _readable_version(self) -> bool:
        try:
            version = (self.files.postgres / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StartFailed(
                f"{self.files.postgres} cannot be read ({error.strerror}): run as its owner, or set CYBERNETIC_DATA_DIR."
            ) from error
        if version != POSTGRES_MAJOR:
            raise StartFailed(
                f"{self.files.postgres} was made by PostgreSQL {version}, this is {POSTGRES_MAJOR}: dump it there and restore it here."
            )
        return (self.files.postgres / "global" / "pg_control").exists()

    def _initdb(self, admin_password: str) -> None:
        fresh = self.files.root / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        give(fresh, self.run_as)
        descriptor, name = tempfile.mkstemp(dir=self.files.run)
        password_file = Path(name)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(admin_password + "\n")
            give(password_file, self.run_as)
            done = subprocess.run(
                [
                    str(postgres_bin() / "initdb"), "-D", str(fresh), "-U", roles.ADMIN, "--encoding=UTF8", "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions", "--auth-local=scram-sha-256", "--auth-host=scram-sha-256",
                    f"--pwfile={password_file}",
                ],
                cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                preexec_fn=child_setup(signal.SIGKILL, self.run_as), env=server_environment(),
            )  # fmt: skip
        finally:
            password_file.unlink()
        if done.returncode != 0:
            said = next(
                (line for line in reversed(done.stderr.splitlines()) if "error" in line), done.stderr.strip()[-300:]
            )
            shutil.rmtree(fresh, ignore_errors=True)
            raise StartFailed(f"The database could not be created in {self.files.root}: {said}")
        fresh.rename(self.files.postgres)

    def answers(self, admin_password: str) -> bool:
        """Whether it accepts a connection now."""
        try:
            with psycopg.connect(self.url(roles.ADMIN, admin_password, "postgres"), connect_timeout=5):
                return True
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise StartFailed(
                    f"The database does not accept the password in {self.files.secrets}: "
                    "restore that file, or `make reset` to start over."
                ) from error
            return False

    def why_not(self, log_start: int) -> str:
        """The sentence for a server that ended while starting."""
        said = last_line(self.log, start=log_start, marks=("PANIC:", "FATAL:"))
        return f"PostgreSQL did not start: {said or 'it wrote no message'} (whole log: {self.log})."


def stale_lock(log: Path, log_start: int) -> bool:
    """After a kill -9 the old pid may linger for seconds; PostgreSQL then clears its postmaster.pid, we never do."""
    return "postmaster.pid" in last_line(log, start=log_start, marks=("FATAL:",))


def server_environment() -> dict[str, str]:
    """What a server inherits: no PG* variable of the caller, no locale surprises."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}


def wait_until(ready: Callable[[], bool], alive: Callable[[], bool], *, timeout_s: float) -> bool:
    """Poll until ready; False when the process ends or time runs out."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if ready():
            return True
        if not alive():
            return False
        time.sleep(0.05)
    return False

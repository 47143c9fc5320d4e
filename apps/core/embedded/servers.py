"""PostgreSQL and Valkey alone, without the platform's own processes: for tests, benchmarks and one-off scripts."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType

from apps.core.embedded import environment, roles
from apps.core.embedded.binaries import postgres_bin, valkey_server
from apps.core.embedded.children import server_user
from apps.core.embedded.credentials import Credentials, load_or_create
from apps.core.embedded.errors import StartFailed
from apps.core.embedded.lock import DataDirLock
from apps.core.embedded.logs import open_log
from apps.core.embedded.paths import DataDir
from apps.core.embedded.postgres import STOP_SIGNAL as POSTGRES_STOP
from apps.core.embedded.postgres import Postgres, server_environment, stale_lock, wait_until
from apps.core.embedded.valkey import STOP_SIGNAL as VALKEY_STOP
from apps.core.embedded.valkey import Valkey

_START_TIMEOUT_S = 60
_STALE_LOCK_TRIES = 10
_STOP_TIMEOUT_S = 20


def describe_servers(files: DataDir, *, durable: bool = True) -> tuple[Postgres, Valkey]:
    """Both servers of a data directory, with the user they run as. Touches nothing."""
    needed = [files.postgres, files.run / "db", postgres_bin() / "postgres", valkey_server()]
    run_as = server_user(files.postgres, needed)
    return Postgres(files, run_as, durable), Valkey(files, run_as)


class EmbeddedServers:
    """Both servers as children of this process, dying with it (on Linux). Start them from the main thread.

    with EmbeddedServers(Path("var")) as environment: ...
    `admin_url` is the superuser's, for creating and dropping databases.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True, owner_creates_databases: bool = False) -> None:
        self._files = DataDir(data_dir.absolute())
        self._durable = durable
        self._owner_creates_databases = owner_creates_databases
        self._lock = DataDirLock(self._files.lock)
        self._running: list[tuple[subprocess.Popen[bytes], signal.Signals]] = []
        self.admin_url = ""

    def __enter__(self) -> dict[str, str]:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> dict[str, str]:
        """Start both, ensure the roles, and return the environment for Django.

        Raises StartFailed, leaving nothing running.
        """
        self._files.create()
        self._lock.__enter__()
        try:
            return self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop both, PostgreSQL last, and release the data directory."""
        for process, stop_signal in reversed(self._running):
            process.send_signal(stop_signal)
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._running.clear()
        self._files.remove_outside_run()
        self._lock.__exit__(None, None, None)

    def _start(self) -> dict[str, str]:
        postgres, valkey = describe_servers(self._files, durable=self._durable)
        credentials = load_or_create(self._files.secrets, cluster_exists=postgres.exists)
        postgres.prepare(credentials.admin_password)
        valkey.prepare()
        self._start_postgres(postgres, credentials)
        start = _size(valkey.log)
        process = self._spawn(valkey.argv(), valkey.log, valkey.child_setup(), VALKEY_STOP)
        if not wait_until(valkey.answers, partial(_is_alive, process), timeout_s=_START_TIMEOUT_S):
            raise StartFailed(valkey.why_not(start))
        self.admin_url = postgres.url(roles.ADMIN, credentials.admin_password, "postgres")
        roles.ensure_embedded_database(
            self.admin_url,
            roles.RolePasswords(credentials.owner_password, credentials.app_password, credentials.system_password),
            owner_creates_databases=self._owner_creates_databases,
        )
        return (
            environment.embedded_database(postgres, credentials)
            | environment.embedded_valkey(valkey)
            | environment.installation(self._files, credentials, port=int(os.environ.get("CYBERNETIC_PORT") or 8000))
        )

    def _start_postgres(self, postgres: Postgres, credentials: Credentials) -> None:
        for attempt in range(1, _STALE_LOCK_TRIES + 1):
            start = _size(postgres.log)
            process = self._spawn(postgres.argv(), postgres.log, postgres.child_setup(), POSTGRES_STOP)
            ready, alive = partial(postgres.answers, credentials.admin_password), partial(_is_alive, process)
            if wait_until(ready, alive, timeout_s=_START_TIMEOUT_S):
                return
            if process.poll() is None or not stale_lock(postgres.log, start) or attempt == _STALE_LOCK_TRIES:
                raise StartFailed(postgres.why_not(start))
            self._running.pop()
            time.sleep(1)

    def _spawn(
        self, argv: list[str], log: Path, setup: Callable[[], None] | None, stop_signal: signal.Signals
    ) -> subprocess.Popen[bytes]:
        descriptor = open_log(log)
        try:
            process = subprocess.Popen(
                argv, cwd="/", stdin=subprocess.DEVNULL, stdout=descriptor, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=setup,  # noqa: PLW1509  # ctypes and os calls only, all looked up before the fork
                env=server_environment(),
            )  # fmt: skip
        finally:
            os.close(descriptor)
        self._running.append((process, stop_signal))
        return process


def _is_alive(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

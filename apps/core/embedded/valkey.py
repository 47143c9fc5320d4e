"""The embedded Valkey: cache and wake-ups, on a Unix socket, with an append-only file."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.core.embedded.binaries import valkey_server
from apps.core.embedded.children import RunAs, child_setup, give, make_socket_dir
from apps.core.embedded.logs import last_line
from apps.core.embedded.paths import DataDir

STOP_SIGNAL = signal.SIGTERM


@dataclass(frozen=True)
class Valkey:
    """One server. Database 0 holds the cache, database 1 the Celery queues."""

    files: DataDir
    run_as: RunAs | None

    @property
    def socket(self) -> Path:
        return self.files.run / "db" / "valkey.sock"

    @property
    def log(self) -> Path:
        return self.files.logs / "valkey.log"

    @property
    def cache_url(self) -> str:
        return f"unix://{self.socket}?db=0"

    @property
    def broker_url(self) -> str:
        return f"redis+socket://{self.socket}?virtual_host=1"

    def argv(self) -> list[str]:
        return [
            str(valkey_server()), "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700", "--dir", str(self.files.valkey),
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "3600 1", "--maxmemory-policy", "noeviction", "--daemonize", "no",
        ]  # fmt: skip

    def child_setup(self) -> Callable[[], None] | None:
        return child_setup(STOP_SIGNAL, self.run_as)

    def prepare(self) -> None:
        """Make its folder and clear the socket of a killed server: the data directory's lock makes it ours."""
        make_socket_dir(self.socket.parent, self.run_as)
        self.files.valkey.mkdir(mode=0o700, exist_ok=True)
        give(self.files.valkey, self.run_as)
        self.socket.unlink(missing_ok=True)

    def answers(self) -> bool:
        """Whether it serves now; False while it still loads its file."""
        client = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=5, retry=Retry(NoBackoff(), 0))
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError):
            return False
        finally:
            client.close()

    def why_not(self, log_start: int) -> str:
        """The sentence for a server that ended while starting."""
        said = last_line(self.log, start=log_start, marks=("FATAL", "# "))
        return f"Valkey did not start: {said or 'it wrote no message'} (whole log: {self.log})."

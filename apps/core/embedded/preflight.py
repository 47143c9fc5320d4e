"""What can be known to go wrong before anything starts."""

import errno
import os
import shutil
import socket
from pathlib import Path

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.core.embedded.errors import StartFailed

_NEEDED_BYTES = 500_000_000


def port() -> int:
    raw = os.environ.get("CYBERNETIC_PORT") or "8000"
    if not (raw.isascii() and raw.isdecimal()) or not 1 <= int(raw) <= 65535:
        raise StartFailed(f"CYBERNETIC_PORT must be a number from 1 to 65535, not {raw!r}.")
    return int(raw)


def host() -> str:
    """Loopback unless CYBERNETIC_HOST says otherwise."""
    return os.environ.get("CYBERNETIC_HOST") or "127.0.0.1"


def check_port(address: str, number: int) -> None:
    """Raises StartFailed when the web server could not listen there."""
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(address, number, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
    except socket.gaierror:
        raise StartFailed(f"CYBERNETIC_HOST {address!r} is no address of this machine.") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartFailed(
                f"Port {number} is taken{_by_whom(number)}: stop that, or set CYBERNETIC_PORT to a free port."
            ) from None
        raise StartFailed(
            f"Port {number} on {address} cannot be used ({error.strerror}): set CYBERNETIC_PORT to another."
        ) from None


def check_disk(folder: Path) -> None:
    """Raises StartFailed when the data directory's disk is nearly full."""
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        free = shutil.disk_usage(nearest).free
    except OSError as error:
        raise StartFailed(
            f"The data directory {folder} cannot be read ({error.strerror}): repair it or set CYBERNETIC_DATA_DIR."
        ) from error
    if free < _NEEDED_BYTES:
        raise StartFailed(
            f"The disk of {folder} has only {free // 10**6} MB free and {_NEEDED_BYTES // 10**6} MB are needed: "
            "free some, or set CYBERNETIC_DATA_DIR to another disk."
        )


def check_redis(url: str) -> None:
    """Raises StartFailed when the server of REDIS_URL does not answer."""
    try:
        client = redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5, retry=Retry(NoBackoff(), 0))
    except ValueError as error:
        raise StartFailed(f"REDIS_URL must look like redis://HOST:PORT/0: {error}") from None
    try:
        client.ping()
    except redis.RedisError as error:
        raise StartFailed(f"The server of REDIS_URL does not answer: {error}") from error
    finally:
        client.close()


def _by_whom(number: int) -> str:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.pid and connection.laddr[1:] == (number,):
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        return ""
    return ""

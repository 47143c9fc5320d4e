"""httpcore's network layer with one resolution per connection, judged as a whole, and one deadline over everything."""

import socket
import time
import typing
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from ipaddress import ip_address
from ssl import SSLContext

import httpcore

from apps.core.egress.addresses import Address
from apps.core.egress.conf import EgressSettings
from apps.core.egress.errors import FetchFailed
from apps.core.egress.urls import judge_addresses

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
_resolver_threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="resolve")


class Deadline:
    """Seconds left of one fetch."""

    def __init__(self, timeout_s: float) -> None:
        self._end = time.monotonic() + timeout_s

    def left_s(self) -> float:
        return self._end - time.monotonic()

    def bound(self, timeout: float | None) -> float:
        """The smaller of `timeout` and what is left; raises httpcore.ReadTimeout when nothing is."""
        left = self.left_s()
        if left <= 0:
            raise httpcore.ReadTimeout("deadline")
        return left if timeout is None else min(timeout, left)


def resolve(host: str, port: int, *, timeout_s: float) -> list[Address]:
    """Every address of a host, in the resolver's order. getaddrinfo knows no time limit, so another thread waits."""
    future = _resolver_threads.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        found = future.result(timeout=timeout_s)
    except FutureTimeout:
        future.cancel()
        raise httpcore.ConnectTimeout("name resolution") from None
    except (OSError, UnicodeError) as error:
        raise FetchFailed(f"The name {host} could not be resolved.") from error
    addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not addresses:
        raise FetchFailed(f"The name {host} has no address.")
    return list(dict.fromkeys(addresses))


class PinnedBackend(httpcore.NetworkBackend):
    """Connects only to addresses that it resolved and judged itself in the same call."""

    def __init__(self, conf: EgressSettings, deadline: Deadline) -> None:
        self._conf = conf
        self._deadline = deadline
        self._tcp = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = resolve(host, port, timeout_s=self._deadline.bound(timeout))
        judge_addresses(addresses, port, self._conf)
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in addresses[:4]:
            try:
                stream = self._tcp.connect_tcp(
                    str(address), port, self._deadline.bound(timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _DeadlineStream(stream, self._deadline)
        raise failure or httpcore.ConnectError("no address")

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[SocketOption] | None = None
    ) -> httpcore.NetworkStream:
        raise httpcore.UnsupportedProtocol("Unix sockets are not reachable from here")


class _DeadlineStream(httpcore.NetworkStream):
    """A stream whose every operation ends with the fetch: a server that drips bytes gains nothing by it."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.bound(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.bound(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.bound(timeout))
        return _DeadlineStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> typing.Any:
        return self._stream.get_extra_info(info)

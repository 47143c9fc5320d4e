"""A raw HTTP server on the loopback, for tests of what the platform fetches."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network

Handler = Callable[[socket.socket, str, dict[str, str]], None]
LOOPBACK = (ip_network("127.0.0.0/8"),)


class Server:
    """A raw HTTP server: each connection's request line and headers go to `handler`, which writes what it likes."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer:
            raw = b""
            while b"\r\n\r\n" not in raw:
                data = peer.recv(4096)
                if not data:
                    return
                raw += data
            line, *rest = raw.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
            headers = {name.lower(): value for name, _, value in (row.partition(": ") for row in rest)}
            self.requests.append((line, headers))
            try:
                self.handler(peer, line.split(" ")[1], headers)
            except OSError:
                return

    def close(self) -> None:
        self._closed.set()
        self._socket.close()


def reply(peer: socket.socket, body: bytes = b"", status: str = "200 OK", **headers: str) -> None:
    fields = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    peer.sendall(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)


@contextmanager
def serving(handler: Handler) -> Iterator[Server]:
    server = Server(handler)
    try:
        yield server
    finally:
        server.close()

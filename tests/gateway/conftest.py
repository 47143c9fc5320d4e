"""The real application on a real uvicorn, in a thread, with short intervals."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from django.conf import settings
from django.core.wsgi import get_wsgi_application

from apps.core.conf import core_settings
from apps.core.events.log import number_events
from apps.core.tenancy import TenantRef, atomic, in_system, in_tenant
from apps.core.wakeups import CHANNEL_EVENTS, wake
from apps.gateway.asgi.application import build_application
from apps.gateway.conf import GatewaySettings
from apps.gateway.hub import Hub
from apps.tenants.services import create_api_key, create_tenant

LARGE_FILE = "large-file-for-tests.bin"
QUICK = GatewaySettings(
    stream_heartbeat_s=1.5,
    stream_recheck_s=1,
    stream_ring=50,
    stream_poll_s=0.2,
    json_limit_bytes=20_000,
    upload_limit_bytes=300_000,
    body_timeout_s=2,
    spool_memory_bytes=10_000,
)


@dataclass(frozen=True)
class LiveServer:
    """A running uvicorn and the hub of its streams."""

    port: int
    hub: Hub

    def client(self, ref: TenantRef | None = None, key: str = "", **headers: str) -> httpx.Client:
        """A client for a tenant's own host, with a key when one is given."""
        fields = {"Host": f"{ref.slug}.localhost:{self.port}"} if ref else {}
        if key:
            fields["Authorization"] = f"Bearer {key}"
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=fields | headers, timeout=20)


@contextmanager
def running(options: GatewaySettings, *, redis_url: str) -> Iterator[LiveServer]:
    """Serve the application until the block ends."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
    (Path(settings.STATIC_ROOT) / LARGE_FILE).write_bytes(b"x" * 6_000_000)
    hub = Hub(options, redis_url=redis_url)
    application = build_application(get_wsgi_application(), options=options, hub=hub)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", timeout_graceful_shutdown=3))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            threading.Event().wait(0.02)
        try:
            yield LiveServer(listener.getsockname()[1], hub)
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture(scope="package")
def server(_real_database: None) -> Iterator[LiveServer]:
    """One server for the package's tests."""
    with running(QUICK, redis_url=core_settings().redis_url) as live:
        yield live


@pytest.fixture(scope="package")
def home(_real_database: None) -> TenantRef:
    """One tenant for the tests that neither change it nor look at its log."""
    return create_tenant("gatewayhome", domains=("gatewayhome.localhost",))


@pytest.fixture
def make_key() -> Callable[..., str]:
    """Makes API keys: make_key(ref, role="viewer")."""

    def make(ref: TenantRef, *, role: str = "operator") -> str:
        with in_tenant(ref):
            return create_api_key("test", role=role)[1]

    return make


def number() -> None:
    """What the relay does right after a commit: number the log and wake the streams."""
    with in_system("tests"), atomic():
        number_events()
    wake(CHANNEL_EVENTS)


@dataclass(frozen=True)
class Received:
    """One server-sent event as a client sees it."""

    event: str
    data: dict[str, Any]
    event_id: str


class EventReader:
    """Reads an event stream; remembers the last id like a browser does."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()
        self.last_id = ""
        self.heartbeats = 0

    def next(self) -> Received:
        """The next event. Raises EOFError at the end of the stream."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if line.startswith(":"):
                self.heartbeats += 1
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
                if name == "id":
                    self.last_id = value
            elif "data" in fields:
                return Received(fields["event"], json.loads(fields["data"]), fields.get("id", ""))
            else:
                fields = {}
        raise EOFError

    def rest(self) -> list[Received]:
        """Everything until the server ends the stream."""
        found = []
        while True:
            try:
                found.append(self.next())
            except EOFError:
                return found


@contextmanager
def events(client: httpx.Client, query: str = "", **headers: str) -> Iterator[EventReader]:
    """An open /v1/events stream."""
    with client.stream("GET", f"/v1/events{query}", headers=headers) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield EventReader(response)


def quick(**changes: Any) -> GatewaySettings:
    return replace(QUICK, **changes)

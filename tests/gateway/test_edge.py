"""The outermost middleware, over a real socket."""

import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from apps.core.tenancy import TenantRef
from tests.gateway.conftest import LARGE_FILE, LiveServer

Keys = Callable[..., str]


def test_trace_id_is_given_back_in_header_and_problem(server: LiveServer, home: TenantRef) -> None:
    with server.client(home) as client:
        own = client.get("/v1/jobs")
        given = client.get("/v1/jobs", headers={"X-Request-ID": "caller-trace-0001"})
        refused = client.get("/v1/jobs", headers={"X-Request-ID": "<script>alert(1)"})
    assert own.json()["trace_id"] == own.headers["x-request-id"]
    assert UUID(own.headers["x-request-id"]).version == 7
    assert given.json()["trace_id"] == given.headers["x-request-id"] == "caller-trace-0001"
    assert UUID(refused.headers["x-request-id"]).version == 7


@pytest.mark.parametrize("path", ["/health/live", "/v1/jobs", "/v1/events", "/nothing-here"])
def test_native_and_bridged_replies_carry_the_security_headers(server: LiveServer, home: TenantRef, path: str) -> None:
    with server.client(home) as client:
        headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "unsafe" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers.get_list("content-security-policy") == [headers["content-security-policy"]]


def test_only_the_admin_may_run_inline_script(server: LiveServer, home: TenantRef) -> None:
    with server.client(home) as client:
        assert "'unsafe-eval'" in client.get("/admin/").headers["content-security-policy"]
        assert "unsafe" not in client.get("/administration").headers["content-security-policy"]


@pytest.mark.parametrize(
    "host", ["a b", "x:99999", "x:port", "", "a.localhost, b", "é", "-" * 300, "[::1", "a/b", "user@host"]
)
def test_malformed_host_is_refused(server: LiveServer, host: str) -> None:
    with server.client() as client:
        reply = client.get("/v1/jobs", headers={b"Host": host.encode("latin-1")})
    assert reply.status_code == 400
    assert reply.json()["code"] == "request_malformed"


@pytest.mark.parametrize("query", ["api_key=x", "token=abc", "Access_Token=1", "q=cyb_0123456789ab_secret"])
def test_credential_in_the_url_is_refused_before_anything_else(server: LiveServer, query: str) -> None:
    with server.client() as client:
        reply = client.get(f"/v1/jobs?{query}")
    assert (reply.status_code, reply.json()["code"]) == (400, "credential_in_url")
    assert "secret" not in reply.text


@pytest.mark.parametrize("url", ["/v1/jobs?name=%00", "/v1/jobs%00", "/v1/jobs?" + "a=1&" * 300])
def test_urls_that_no_correct_client_sends(server: LiveServer, url: str) -> None:
    with server.client() as client:
        reply = client.get(url)
    assert (reply.status_code, reply.json()["code"]) == (400, "request_malformed")


def _raw(server: LiveServer, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(data)
        return connection.recv(65536)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello",
        b"GET /v1/x HTTP/1.1\r\n\r\n",
        b"GET /v1/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /v1/x?\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /v1/x HTTP/1.1\nHost: a\n\n",
    ],
)
def test_ambiguous_framing_is_refused(server: LiveServer, request_bytes: bytes) -> None:
    assert _raw(server, request_bytes).startswith(b"HTTP/1.1 400 ")


def test_body_over_the_limit_is_refused_by_length_and_by_count(
    server: LiveServer, home: TenantRef, make_key: Keys
) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(10):
            yield b"x" * 5_000

    with server.client(home, make_key(home), **{"Content-Type": "application/json"}) as client:
        declared = client.post("/v1/chat", content=b"x" * 20_001)
        counted = client.post("/v1/chat", content=pieces())
    for reply in (declared, counted):
        assert (reply.status_code, reply.json()["code"]) == (413, "body_too_large")
        assert reply.headers["connection"] == "close"


def test_chunked_json_arrives_whole(server: LiveServer, home: TenantRef, make_key: Keys) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"message":'
        yield b'"hi","tenant_id":1}'

    with server.client(home, make_key(home), **{"Content-Type": "application/json"}) as client:
        bridged = client.post("/v1/search", content=pieces())
        native = client.post("/v1/chat", content=pieces())
    assert {error["pointer"] for error in bridged.json()["errors"]} >= {"/tenant_id"}
    assert [error["pointer"] for error in native.json()["errors"]] == ["/tenant_id"]


def test_body_that_never_ends_is_given_up(server: LiveServer, home: TenantRef, make_key: Keys) -> None:
    started = time.monotonic()
    reply = _raw(
        server,
        f"POST /v1/chat HTTP/1.1\r\nHost: {home.slug}.localhost\r\nAuthorization: Bearer {make_key(home)}\r\n"
        "Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{".encode(),
    )
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - started < 6


def test_slow_uploads_hold_no_bridge_thread(server: LiveServer, home: TenantRef, make_key: Keys) -> None:
    """More unfinished uploads than bridge threads, and a request still passes at once."""
    head = (
        f"POST /v1/ingest HTTP/1.1\r\nHost: {home.slug}.localhost\r\nAuthorization: Bearer {make_key(home)}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 200000\r\n\r\n--b\r\n"
    ).encode()
    uploads = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(24)]
    try:
        for upload in uploads:
            upload.sendall(head)
        time.sleep(0.3)
        with server.client(home, make_key(home)) as client:
            started = time.monotonic()
            assert client.get("/v1/jobs").status_code == 200
            assert time.monotonic() - started < 2
    finally:
        for upload in uploads:
            upload.close()


def test_slow_readers_hold_no_bridge_thread(server: LiveServer, home: TenantRef, make_key: Keys) -> None:
    """More unread 6 MB files than bridge threads, and a request still passes at once."""
    request = f"GET /static/{LARGE_FILE} HTTP/1.1\r\nHost: {home.slug}.localhost\r\n\r\n".encode()
    readers = []
    try:
        for _ in range(17):
            reader = socket.socket()
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.settimeout(30)
            reader.connect(("127.0.0.1", server.port))
            reader.sendall(request)
            readers.append(reader)
        with server.client(home, make_key(home)) as client:
            assert client.get("/v1/jobs", timeout=15).status_code == 200
        assert [reader.recv(12) for reader in readers] == [b"HTTP/1.1 200"] * 17
    finally:
        for reader in readers:
            reader.close()


def test_anonymous_uploads_get_the_small_limit(server: LiveServer, home: TenantRef) -> None:
    with server.client(home) as client:
        reply = client.post("/v1/ingest", files={"file": ("a.txt", b"x" * 100_000)})
    assert (reply.status_code, reply.json()["code"]) == (413, "body_too_large")


def test_websocket_is_refused_with_404(server: LiveServer, home: TenantRef) -> None:
    key = hashlib.sha1(b"nonce", usedforsecurity=False).hexdigest()[:22] + "=="
    reply = _raw(
        server,
        f"GET /ws HTTP/1.1\r\nHost: {home.slug}.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode(),
    )
    assert reply.startswith(b"HTTP/1.1 404 ")


def test_unknown_api_path_is_a_problem_and_unknown_page_is_a_page(server: LiveServer, home: TenantRef) -> None:
    with server.client(home) as client:
        api = client.get("/v1/nothing-here", headers={"Accept": "text/html"})
        page = client.get("/nothing-here", headers={"Accept": "text/html"})
    assert (api.status_code, api.headers["content-type"]) == (404, "application/problem+json")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")

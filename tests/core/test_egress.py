"""The egress client against real loopback servers: nothing private is reached, and every bound holds."""

import gzip
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from django.test import override_settings

from apps.core.egress import (
    BodyTooLarge,
    ContentEncodingUnsupported,
    DecodedSizeExceeded,
    EgressError,
    FetchFailed,
    FetchTimeout,
    HttpStatusError,
    HttpStatusTransient,
    RedirectForbidden,
    TransientEgressError,
    UrlForbiddenAddress,
    UrlPortForbidden,
    check_url,
    fetch,
)
from apps.core.egress.addresses import is_public
from tests.factories.loopback import LOOPBACK, Handler, Server, reply, serving


@pytest.fixture
def canary() -> Iterator[Server]:
    """A listener that must never be connected to."""
    with serving(lambda peer, _path, _headers: reply(peer, b"secret")) as server:
        yield server
        time.sleep(0.05)
        assert server.connections == 0


@pytest.fixture
def open_loopback() -> Iterator[None]:
    with override_settings(EGRESS_ALLOW_CIDRS=LOOPBACK):
        yield


def get(url: str, **options: Any) -> Any:
    return fetch(url, **({"max_bytes": 100_000, "timeout_s": 5} | options))


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Make the resolver give these answers, one per name looked up (the last one for ever); returns those names."""
    asked: list[str] = []
    original = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        if host[-1].isdigit() or ":" in host:
            return list(original(host, port, *args, **kwargs))
        answer = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        return [(socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in answer]

    monkeypatch.setattr("apps.core.egress.network.socket.getaddrinfo", getaddrinfo)
    return asked


FORBIDDEN_HOSTS = [
    "127.0.0.1", "127.1", "127.0.1", "0", "0.0.0.0", "2130706433", "0x7f000001", "0x7f.1", "0X7F.0x0.0x0.0x1",
    "0177.0.0.1", "017700000001", "①②⑦.⓪.⓪.①", "127。0。0。1", "１２７.０.０.１", "127.0.0.1.", "localhost",
    "LOCALHOST", "localhost.", "a.localhost", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1",
    "169.254.169.254", "2852039166", "0xA9FEA9FE", "0251.0376.0251.0376", "100.100.100.200", "192.0.0.192",
    "168.63.129.16", "224.0.0.1", "255.255.255.255", "198.18.0.1", "192.88.99.1",
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[fe80::1]", "[fec0::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[2001:db8::1]", "[100::1]", "[3fff::1]",
]  # fmt: skip


@pytest.mark.parametrize("host", FORBIDDEN_HOSTS)
def test_a_private_address_in_any_spelling_is_refused_without_a_packet(host: str, canary: Server) -> None:
    with override_settings(EGRESS_ALLOW_CIDRS=(), EGRESS_PORTS=(80, canary.port)):
        for url in (f"http://{host}:{canary.port}/", f"http://{host}/"):
            with pytest.raises(UrlForbiddenAddress) as caught:
                get(url)
            assert (caught.value.code, caught.value.status) == ("url_forbidden_address", 422)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://example.com/", "url_scheme_forbidden"),
        ("file:///etc/passwd", "url_scheme_forbidden"),
        ("gopher://127.0.0.1:6379/_INFO", "url_scheme_forbidden"),
        ("dict://127.0.0.1:11211/", "url_scheme_forbidden"),
        ("data:text/html,hello", "url_scheme_forbidden"),
        ("javascript:alert(1)", "url_scheme_forbidden"),
        ("//example.com/", "url_scheme_forbidden"),
        ("example.com", "url_scheme_forbidden"),
        ("/etc/passwd", "url_scheme_forbidden"),
        ("", "url_scheme_forbidden"),
        ("http://user:pass@example.com/", "url_userinfo_forbidden"),
        ("http://example.com@127.0.0.1/", "url_userinfo_forbidden"),
        ("http://127.0.0.1:80@example.com/", "url_userinfo_forbidden"),
        ("http://@example.com/", "url_userinfo_forbidden"),
        ("http://example.com:25/", "url_port_forbidden"),
        ("http://example.com:6379/", "url_port_forbidden"),
        ("https://93.184.216.34:22/", "url_port_forbidden"),
        ("http://example.com:0/", "url_invalid"),
        ("http://example.com:65536/", "url_invalid"),
        ("http://example.com:8o/", "url_invalid"),
        ("http://example.com\\@127.0.0.1/", "url_invalid"),
        ("http:\\\\127.0.0.1\\", "url_invalid"),
        ("http://exam ple.com/", "url_invalid"),
        ("http://exa\tmple.com/", "url_invalid"),
        ("http://example.com/\r\nX-Evil: 1", "url_invalid"),
        ("http://example.com/\x00", "url_invalid"),
        ("http://example.com/\ud800", "url_invalid"),
        ("http://", "url_invalid"),
        ("http:///path", "url_invalid"),
        ("http://%31%32%37.0.0.1/", "url_invalid"),
        ("http://[::1/", "url_invalid"),
        ("http://[fe80::1%25eth0]/", "url_invalid"),
        ("http://[127.0.0.1]/", "url_invalid"),
        ("http://1.2.3.4.5/", "url_invalid"),
        ("http://256.1.1.1/", "url_invalid"),
        ("http://0x7f.0.0.0.1/", "url_invalid"),
        ("http://1.08.1.1/", "url_invalid"),
        ("http://4294967296/", "url_invalid"),
        ("http://a..b/", "url_invalid"),
        ("http://" + "a" * 300 + "/", "url_invalid"),
        ("http://example.com/" + "a" * 9000, "url_invalid"),
    ],
)
def test_a_hostile_url_is_refused_by_name(url: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolving(monkeypatch, ["93.184.216.34"])
    with override_settings(EGRESS_ALLOW_CIDRS=()), pytest.raises(EgressError) as caught:
        get(url)
    assert caught.value.code == code
    assert not isinstance(caught.value, TransientEgressError)
    assert asked == []


def test_public_urls_pass_and_are_spelt_one_way() -> None:
    with override_settings(EGRESS_ALLOW_CIDRS=()):
        assert str(check_url("HTTPS://Exämple.com:443/a b".replace(" ", "%20"))) == "https://xn--exmple-cua.com/a%20b"
        assert str(check_url("http://example.com:8080/ü?q=ü#frag")) == "http://example.com:8080/%C3%BC?q=%C3%BC"
        assert str(check_url("http://134744072/")) == "http://8.8.8.8/"
        assert str(check_url("http://[2606:4700::1111]:8443")) == "http://[2606:4700::1111]:8443/"
        assert str(check_url("http://my_service.example.com./")) == "http://my_service.example.com/"


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450::1"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "answer",
    [["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::1"], ["169.254.169.254"], ["::ffff:127.0.0.1"], ["64:ff9b::1"]],
)
def test_a_name_is_refused_when_any_of_its_addresses_is_private(
    answer: list[str], canary: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, answer)
    with (
        override_settings(EGRESS_ALLOW_CIDRS=(), EGRESS_PORTS=(canary.port,)),
        pytest.raises(UrlForbiddenAddress),
    ):
        get(f"http://metadata.google.internal:{canary.port}/")


def test_a_rebinding_name_is_resolved_once_and_the_judged_address_is_used(
    canary: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Public first, private second: the connection goes to the first answer or fails; the second is never asked for."""
    connected: list[str] = []

    def create_connection(address: tuple[str, int], *_args: object, **_kwargs: object) -> None:
        connected.append(address[0])
        raise OSError("no route in this test")

    asked = resolving(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    monkeypatch.setattr("socket.create_connection", create_connection)
    with override_settings(EGRESS_ALLOW_CIDRS=(), EGRESS_PORTS=(canary.port,)), pytest.raises(FetchFailed):
        get(f"http://rebind.example.com:{canary.port}/")
    assert asked == ["rebind.example.com"]
    assert connected == ["93.184.216.34"]


def test_the_host_header_keeps_the_name_and_no_credentials_leak(
    open_loopback: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    resolving(monkeypatch, ["127.0.0.1"])
    with serving(lambda peer, _path, _headers: reply(peer, b"hello", Set_Cookie="a=1", ETag='"v1"')) as server:
        result = get(f"http://wiki.corp.example:{server.port}/x?y=1#z")
    (line, headers) = server.requests[0]
    assert line == "GET /x?y=1 HTTP/1.1"
    assert headers["host"] == f"wiki.corp.example:{server.port}"
    assert headers["accept-encoding"] == "identity"
    assert "cookie" not in headers
    assert "authorization" not in headers
    assert (result.content, result.media_type, result.charset, result.etag) == (b"hello", "text/plain", "utf-8", '"v1"')
    assert result.url_final == f"http://wiki.corp.example:{server.port}/x?y=1"


def test_any_port_is_open_inside_the_allowed_ranges_only(open_loopback: None, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, ["93.184.216.34"])
    with pytest.raises(UrlPortForbidden):
        get("http://example.com:25/")
    with serving(lambda peer, _path, _headers: reply(peer, b"ok")) as server:
        assert get(server.url()).content == b"ok"


def test_a_known_etag_makes_the_request_conditional(open_loopback: None) -> None:
    def handler(peer: socket.socket, _path: str, headers: dict[str, str]) -> None:
        same = headers.get("if-none-match") == '"v1"'
        reply(peer, b"" if same else b"body", "304 Not Modified" if same else "200 OK", ETag='"v1"')

    with serving(handler) as server:
        first = get(server.url())
        again = get(server.url(), etag=first.etag)
    assert (first.status, first.content) == (200, b"body")
    assert (again.status, again.content) == (304, b"")


# --- Redirects -------------------------------------------------------------------------------------------------------


def redirecting(*locations: str, status: str = "302 Found") -> Handler:
    def handler(peer: socket.socket, path: str, _headers: dict[str, str]) -> None:
        step = int(path.strip("/") or 0)
        if step < len(locations):
            reply(peer, status=status, Location=locations[step])
        else:
            reply(peer, b"arrived")

    return handler


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_three_redirects_are_followed(status: str, open_loopback: None) -> None:
    with serving(redirecting("/1", "2", "/3", status=status)) as server:
        result = get(server.url())
    assert result.content == b"arrived"
    assert result.url_final == server.url("/3")


def test_a_fourth_redirect_is_refused(open_loopback: None) -> None:
    with serving(redirecting("/1", "/2", "/3", "/4")) as server, pytest.raises(RedirectForbidden) as caught:
        get(server.url())
    assert caught.value.extra == {"hop": 4}
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data", "http://10.0.0.1/", "http://[::1]/", "http://2852039166/",
        "file:///etc/passwd", "gopher://127.0.0.1/", "//10.0.0.1/", "http://user@example.com/", "http://example.com:25/",
        "http://[bad/",
    ],
)  # fmt: skip
def test_a_redirect_to_a_forbidden_place_names_its_hop(
    location: str, open_loopback: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(redirecting("/1", location)) as server:
        resolving(monkeypatch, ["93.184.216.34"])
        with pytest.raises(RedirectForbidden) as caught:
            get(server.url())
    assert caught.value.extra == {"hop": 2}
    assert caught.value.code == "redirect_forbidden"


def test_a_redirect_by_name_to_a_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only 127.0.0.1 is opened: the redirect's name resolves to 127.0.0.2, where nothing may be asked."""
    resolving(monkeypatch, ["127.0.0.2"])
    with (
        serving(redirecting("http://inside.example:8080/")) as server,
        override_settings(EGRESS_ALLOW_CIDRS=(ip_network("127.0.0.1/32"),)),
        pytest.raises(RedirectForbidden) as caught,
    ):
        get(server.url())
    assert caught.value.extra == {"hop": 1}


def test_authorization_stays_with_its_origin(open_loopback: None) -> None:
    with serving(redirecting()) as other, serving(redirecting("/1", other.url("/9"))) as server:
        get(server.url(), authorization="Bearer secret")
    assert [headers.get("authorization") for _, headers in server.requests] == ["Bearer secret", "Bearer secret"]
    assert other.requests[0][1].get("authorization") is None


# --- Bounds -----------------------------------------------------------------------------------------------------------


def test_a_declared_length_over_the_cap_is_refused_before_reading(open_loopback: None) -> None:
    with (
        serving(lambda peer, _p, _h: reply(peer, b"x", Content_Length="100001")) as server,
        pytest.raises(BodyTooLarge),
    ):
        get(server.url())


def test_an_endless_body_stops_at_the_cap(open_loopback: None) -> None:
    sent = 0

    def handler(peer: socket.socket, _path: str, _headers: dict[str, str]) -> None:
        nonlocal sent
        reply(peer, Content_Length="", Connection="close")
        while True:
            sent += peer.send(b"x" * 10_000)

    with serving(handler) as server, pytest.raises(BodyTooLarge):
        get(server.url())
    assert sent < 10_000_000


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"\0" * 100_000_000, 9)),
        ("deflate", zlib.compress(b"\0" * 100_000_000, 9)),
    ],
)
def test_a_bomb_stops_at_the_unpacked_cap_or_ratio(encoding: str, packed: bytes, open_loopback: None) -> None:
    assert len(packed) < 110_000
    with serving(lambda peer, _p, _h: reply(peer, packed, Content_Encoding=encoding)) as server:
        with pytest.raises(DecodedSizeExceeded) as caught:
            get(server.url(), max_bytes=500_000)
        assert "500000" in caught.value.detail
        with pytest.raises(DecodedSizeExceeded) as caught:
            get(server.url(), max_bytes=200_000_000)
        assert "100 times" in caught.value.detail


@pytest.mark.parametrize("text", [b"", b"hello " * 5000, bytes(range(256)) * 700])
def test_unasked_compression_is_unpacked(text: bytes, open_loopback: None) -> None:
    raw = zlib.compressobj(wbits=-15)
    packings = {
        "gzip": gzip.compress(text), "x-gzip": gzip.compress(text), "deflate": zlib.compress(text),
        "Deflate": raw.compress(text) + raw.flush(), "identity": text,
    }  # fmt: skip
    for encoding, packed in packings.items():
        with serving(lambda peer, _p, _h, e=encoding, b=packed: reply(peer, b, Content_Encoding=e)) as server:  # type: ignore[misc]  # defaults bind the loop variables
            assert get(server.url(), max_bytes=1_000_000).content == text


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "gzip,identity"])
def test_stacked_or_other_encodings_are_refused(encoding: str, open_loopback: None) -> None:
    with (
        serving(lambda peer, _p, _h: reply(peer, b"x", Content_Encoding=encoding)) as server,
        pytest.raises(ContentEncodingUnsupported),
    ):
        get(server.url())


@pytest.mark.parametrize("cut", [b"\x1f\x8b garbage", gzip.compress(b"hello" * 1000)[:-20]])
def test_a_damaged_or_cut_answer_fails_and_may_be_tried_again(cut: bytes, open_loopback: None) -> None:
    with (
        serving(lambda peer, _p, _h: reply(peer, cut, Content_Encoding="gzip")) as server,
        pytest.raises(FetchFailed) as caught,
    ):
        get(server.url())
    assert isinstance(caught.value, TransientEgressError)
    with (
        serving(lambda peer, _p, _h: reply(peer, b"short", Content_Length="500")) as server,
        pytest.raises(FetchFailed),
    ):
        get(server.url())


@pytest.mark.parametrize("where", ["headers", "body"])
def test_one_byte_at_a_time_ends_at_the_deadline(where: str, open_loopback: None) -> None:
    def handler(peer: socket.socket, _path: str, _headers: dict[str, str]) -> None:
        if where == "body":
            reply(peer, Content_Length="100")
        else:
            peer.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            peer.sendall(b"x")
            time.sleep(0.05)

    with serving(handler) as server:
        started = time.monotonic()
        with pytest.raises(FetchTimeout) as caught:
            get(server.url(), timeout_s=0.6)
        assert 0.5 < time.monotonic() - started < 1.5
    assert isinstance(caught.value, TransientEgressError)


def test_a_resolver_that_hangs_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def getaddrinfo(*_args: object, **_kwargs: object) -> list[Any]:
        release.wait(5)
        return []

    monkeypatch.setattr("apps.core.egress.network.socket.getaddrinfo", getaddrinfo)
    with override_settings(EGRESS_ALLOW_CIDRS=()), pytest.raises(FetchTimeout):
        get("http://slow.example.com/", timeout_s=0.3)
    release.set()


@pytest.mark.parametrize(
    ("status", "transient", "retry_after", "seconds"),
    [
        (400, False, "", None), (401, False, "", None), (404, False, "5", None), (410, False, "", None),
        (204, None, "", None), (408, True, "", None), (429, True, "7", 7.0), (500, True, "", None),
        (503, True, "999999999999", 86_400.0), (503, True, "soon", None), (429, True, "-1", None),
        (503, True, "Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)  # fmt: skip
def test_statuses_say_whether_to_come_back(
    status: int, transient: bool | None, retry_after: str, seconds: float | None, open_loopback: None
) -> None:
    with serving(lambda peer, _p, _h: reply(peer, status=f"{status} X", Retry_After=retry_after)) as server:
        if transient is None:
            assert get(server.url()).status == status
            return
        with pytest.raises((HttpStatusError, HttpStatusTransient)) as caught:
            get(server.url())
    assert isinstance(caught.value, TransientEgressError) is transient
    assert (caught.value.code, caught.value.extra["http_status"]) == ("http_status", status)
    assert caught.value.extra.get("retry_after_s") == seconds


def test_what_is_not_http_or_not_there_is_a_failed_fetch(open_loopback: None) -> None:
    with serving(lambda peer, _p, _h: peer.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")) as server, pytest.raises(FetchFailed):
        get(server.url())
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(FetchFailed):
        get(f"http://127.0.0.1:{port}/")

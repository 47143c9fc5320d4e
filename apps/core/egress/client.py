"""GET with every bound: addresses, redirects, wire bytes, unpacked bytes, ratio, and one deadline over all of it."""

import ssl
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Protocol

import httpcore
import httpx

from apps.core.egress.conf import EgressSettings, egress_settings
from apps.core.egress.errors import (
    BodyTooLarge,
    ContentEncodingUnsupported,
    DecodedSizeExceeded,
    EgressError,
    FetchFailed,
    FetchTimeout,
    HttpStatusError,
    HttpStatusTransient,
    RedirectForbidden,
    TlsInvalid,
    TransientEgressError,
)
from apps.core.egress.network import Deadline, PinnedBackend
from apps.core.egress.urls import CheckedUrl, check_url, join_url

REDIRECTS = frozenset({301, 302, 303, 307, 308})
TRANSIENT_STATUS = frozenset({408, 425, 429})
MAX_RETRY_AFTER_S = 86_400.0
_PHASE_TIMEOUT_S = 15.0
_INFLATE_STEP_BYTES = 65_536


@dataclass(frozen=True)
class FetchResult:
    """`content` is unpacked. `status` is 2xx, or 304 with empty `content` when the `etag` given still holds."""

    url_final: str
    status: int
    headers: Mapping[str, str]
    content: bytes
    media_type: str
    charset: str | None

    @property
    def etag(self) -> str:
        return self.headers.get("etag", "")


def fetch(
    url: str,
    *,
    max_bytes: int,
    timeout_s: float,
    accept: str = "text/html,application/xhtml+xml,text/markdown,text/plain,application/pdf;q=0.9,*/*;q=0.1",
    etag: str | None = None,
    authorization: str | None = None,
) -> FetchResult:
    """Fetch one URL.

    `timeout_s` covers name resolution, connecting, all redirects and the whole body. `max_bytes` bounds both the bytes
    on the wire and the unpacked body. `authorization` is sent to the URL's own origin only. Raises an EgressError;
    those under TransientEgressError may pass later.
    """
    conf = egress_settings()
    deadline = Deadline(timeout_s)
    current = check_url(url)
    first_origin = current.origin
    headers = {
        "User-Agent": conf.user_agent,
        "Accept": accept,
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    if etag:
        headers["If-None-Match"] = _header_value(etag)
    for hop in range(conf.max_redirects + 1):
        hop_headers = dict(headers)
        if authorization and current.origin == first_origin:
            hop_headers["Authorization"] = _header_value(authorization)
        outcome = _exchange(current, hop_headers, conf, deadline, max_bytes=max_bytes, hop=hop)
        if isinstance(outcome, FetchResult):
            return outcome
        current = _redirected(current, outcome, hop=hop + 1)
    raise RedirectForbidden(f"More than {conf.max_redirects} redirects.", hop=conf.max_redirects + 1)


def _exchange(
    url: CheckedUrl, headers: dict[str, str], conf: EgressSettings, deadline: Deadline, *, max_bytes: int, hop: int
) -> FetchResult | str:
    """One request: the result, or the Location of a redirect."""
    with (
        _translated(url, hop),
        httpcore.ConnectionPool(
            ssl_context=_tls_context(),
            max_connections=1,
            max_keepalive_connections=0,
            network_backend=PinnedBackend(conf, deadline),
        ) as pool,
        pool.stream(
            "GET",
            httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target),
            headers=[("Host", url.netloc), *headers.items()],
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), _PHASE_TIMEOUT_S)},
        ) as response,
    ):
        got = _headers(response.headers)
        status = response.status
        if status in REDIRECTS:
            if "location" not in got:
                raise HttpStatusError(f"The server answered {status} without a target.", http_status=status)
            return got["location"]
        if status == 304 and "If-None-Match" in headers:
            return FetchResult(str(url), status, got, b"", "", None)
        if not 200 <= status < 300:
            raise _status_error(status, got)
        content = _body(response.iter_stream(), got, conf, max_bytes=max_bytes)
        media_type, charset = _content_type(got.get("content-type", ""))
        return FetchResult(str(url), status, got, content, media_type, charset)


def _redirected(current: CheckedUrl, location: str, *, hop: int) -> CheckedUrl:
    try:
        target = join_url(current, location)
    except (EgressError, ValueError) as error:
        reason = error.detail if isinstance(error, EgressError) else "Its target cannot be read."
        raise RedirectForbidden(f"Redirect {hop} was refused. {reason}", hop=hop) from None
    if current.scheme == "https" and target.scheme == "http":
        raise RedirectForbidden(f"Redirect {hop} leads from https to http.", hop=hop)
    return target


@contextmanager
def _translated(url: CheckedUrl, hop: int) -> Iterator[None]:
    """httpcore's errors as ours; an address refused behind a redirect counts as the redirect's refusal."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise FetchTimeout(f"{url.netloc} did not answer in time.") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
        if _is_certificate_error(error):
            raise TlsInvalid(f"The certificate of {url.host} is not valid.") from error
        raise FetchFailed(f"{url.netloc} could not be reached or broke the connection off.") from error
    except TransientEgressError:
        raise
    except EgressError as error:
        if hop and error.code in {"url_forbidden_address", "url_port_forbidden"}:
            raise RedirectForbidden(f"Redirect {hop} was refused. {error.detail}", hop=hop) from None
        raise


def _is_certificate_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _status_error(status: int, headers: Mapping[str, str]) -> EgressError:
    if status in TRANSIENT_STATUS or status >= 500:
        return HttpStatusTransient(
            f"The server answered {status}.",
            http_status=status,
            retry_after_s=_retry_after_s(headers.get("retry-after", "")),
        )
    return HttpStatusError(f"The server answered {status}.", http_status=status)


def _retry_after_s(raw: str) -> float | None:
    """Seconds from a Retry-After header (RFC 9110 10.2.3), at most a day."""
    raw = raw.strip()
    if raw.isascii() and raw.isdigit():
        return min(float(raw[:12]), MAX_RETRY_AFTER_S)
    try:
        when = parsedate_to_datetime(raw)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return min(max((when - datetime.now(UTC)).total_seconds(), 0.0), MAX_RETRY_AFTER_S)


def _body(stream: Iterable[bytes], headers: Mapping[str, str], conf: EgressSettings, *, max_bytes: int) -> bytes:
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > max_bytes:
        raise BodyTooLarge(f"The answer has {length[:20]} bytes; the limit is {max_bytes}.")
    decoder = _decoder(headers.get("content-encoding", ""))
    wire = 0
    body = bytearray()
    for data in stream:
        wire += len(data)
        if wire > max_bytes:
            raise BodyTooLarge(f"The answer has more than {max_bytes} bytes.")
        for part in decoder.feed(data):
            body += part
            if len(body) > max_bytes:
                raise DecodedSizeExceeded(f"The answer unpacks to more than {max_bytes} bytes.")
            if len(body) > conf.ratio_floor_bytes and len(body) > wire * conf.max_ratio:
                raise DecodedSizeExceeded(f"The answer unpacks to more than {conf.max_ratio} times its size.")
    decoder.finish()
    return bytes(body)


class _Decoder(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]: ...
    def finish(self) -> None: ...


class _Identity:
    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        return


class _Inflate:
    """Bounded steps of gzip or deflate, whichever the server really sent."""

    def __init__(self, wbits: int) -> None:
        self._inflater = zlib.decompressobj(wbits)
        self._may_be_raw = wbits == zlib.MAX_WBITS

    def feed(self, data: bytes) -> Iterator[bytes]:
        while not self._inflater.eof:
            try:
                part = self._inflater.decompress(data, _INFLATE_STEP_BYTES)
            except zlib.error:
                if not self._may_be_raw:
                    raise FetchFailed("The compressed answer is damaged.") from None
                self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)  # "deflate" without its zlib wrapper
                self._may_be_raw = False
                continue
            self._may_be_raw = False
            data = self._inflater.unconsumed_tail
            yield part
            if not data and len(part) < _INFLATE_STEP_BYTES:
                return

    def finish(self) -> None:
        if not self._inflater.eof:
            raise FetchFailed("The compressed answer ended early.")


def _decoder(encoding: str) -> _Decoder:
    """The server was asked for identity; gzip and deflate are taken anyway, anything stacked or other is not."""
    match encoding.strip().lower():
        case "" | "identity":
            return _Identity()
        case "gzip" | "x-gzip":
            return _Inflate(zlib.MAX_WBITS | 16)
        case "deflate":
            return _Inflate(zlib.MAX_WBITS)
        case other:
            raise ContentEncodingUnsupported(f"The answer is encoded as {other[:40]!r}, which was not asked for.")


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Lower-case names; the first of a repeated header wins."""
    headers: dict[str, str] = {}
    for name, value in raw:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return headers


def _content_type(raw: str) -> tuple[str, str | None]:
    if not raw:
        return "", None
    message = Message()
    message["Content-Type"] = raw
    return message.get_content_type(), message.get_content_charset()


def _header_value(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise EgressError("A header value contains characters that cannot be sent.")
    return value


@cache
def _tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()

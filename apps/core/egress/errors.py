"""Why a fetch did not happen. `TransientEgressError` may pass when tried again; every other one will not."""

from typing import Any

from apps.core.errors import DomainError


class EgressError(DomainError):
    """A fetch that was refused or went wrong for good."""

    code = "egress_refused"
    status = 422
    title = "The address cannot be fetched"


class TransientEgressError(EgressError):
    """A fetch that may succeed later; `retry_after_s` (in `extra`) is what the server asked for, when it did."""

    code = "fetch_failed"
    status = 502
    title = "The address could not be fetched"

    def __init__(self, detail: str, *, retry_after_s: float | None = None, **extra: Any) -> None:
        if retry_after_s is not None:
            extra["retry_after_s"] = retry_after_s
        super().__init__(detail, **extra)
        self.retry_after_s = retry_after_s


class UrlInvalid(EgressError):
    code = "url_invalid"
    title = "Not a usable URL"


class UrlSchemeForbidden(EgressError):
    code = "url_scheme_forbidden"
    title = "Only http and https are fetched"


class UrlUserinfoForbidden(EgressError):
    code = "url_userinfo_forbidden"
    title = "A URL must not carry a user name or password"


class UrlPortForbidden(EgressError):
    code = "url_port_forbidden"
    title = "The port is not one that is fetched from"


class UrlForbiddenAddress(EgressError):
    code = "url_forbidden_address"
    title = "The URL leads to an address that is not public"


class RedirectForbidden(EgressError):
    """`hop` (in `extra`) is the number of the redirect that was refused, from 1."""

    code = "redirect_forbidden"
    title = "A redirect was refused"


class BodyTooLarge(EgressError):
    code = "body_too_large"
    status = 413
    title = "The answer is too large"


class DecodedSizeExceeded(EgressError):
    code = "decoded_size_exceeded"
    status = 413
    title = "The answer is too large once unpacked"


class ContentEncodingUnsupported(EgressError):
    code = "content_encoding_unsupported"
    status = 502
    title = "The answer uses an encoding that was not asked for"


class TlsInvalid(EgressError):
    code = "tls_invalid"
    status = 502
    title = "The server's certificate is not valid"


class HttpStatusError(EgressError):
    """The server answered with `http_status` (in `extra`), and asking again will not change that."""

    code = "http_status"
    status = 502
    title = "The server answered with an error"

    def __init__(self, detail: str, *, http_status: int, **extra: Any) -> None:
        super().__init__(detail, http_status=http_status, **extra)
        self.http_status = http_status


class HttpStatusTransient(TransientEgressError):
    """The server answered 408, 425, 429 or 5xx."""

    code = "http_status"
    title = "The server answered with an error"

    def __init__(self, detail: str, *, http_status: int, retry_after_s: float | None = None, **extra: Any) -> None:
        super().__init__(detail, retry_after_s=retry_after_s, http_status=http_status, **extra)
        self.http_status = http_status


class FetchTimeout(TransientEgressError):
    code = "fetch_timeout"
    status = 504
    title = "The server took too long"


class FetchFailed(TransientEgressError):
    code = "fetch_failed"

"""The only way out to addresses that people give us: one client, pinned to the address it checked."""

from apps.core.egress.client import FetchResult, fetch
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
    UrlForbiddenAddress,
    UrlInvalid,
    UrlPortForbidden,
    UrlSchemeForbidden,
    UrlUserinfoForbidden,
)
from apps.core.egress.urls import CheckedUrl, check_url

__all__ = [
    "BodyTooLarge",
    "CheckedUrl",
    "ContentEncodingUnsupported",
    "DecodedSizeExceeded",
    "EgressError",
    "FetchFailed",
    "FetchResult",
    "FetchTimeout",
    "HttpStatusError",
    "HttpStatusTransient",
    "RedirectForbidden",
    "TlsInvalid",
    "TransientEgressError",
    "UrlForbiddenAddress",
    "UrlInvalid",
    "UrlPortForbidden",
    "UrlSchemeForbidden",
    "UrlUserinfoForbidden",
    "check_url",
    "fetch",
]

"""Refusals of the edge itself: malformed input, missing credentials, limits."""

from apps.core.errors import DomainError, FieldError

JSON_LIMIT_BYTES = 1_048_576
UPLOAD_LIMIT_BYTES = 52_428_800


class JsonInvalid(DomainError):
    """The body is not one JSON text in UTF-8 (RFC 8259); `detail` gives the offset."""

    code = "json_invalid"
    status = 400
    title = "The body is not valid JSON"


class JsonTooDeep(JsonInvalid):
    code = "json_too_deep"


class JsonNumberInvalid(JsonInvalid):
    code = "json_number_invalid"


class JsonNumberRange(JsonInvalid):
    code = "json_number_range"


class JsonDuplicateKey(JsonInvalid):
    code = "json_duplicate_key"


class MediaTypeUnsupported(DomainError):
    code = "media_type_unsupported"
    status = 415
    title = "Unsupported media type"


class TextRefused(DomainError):
    """Text that PostgreSQL or UTF-8 cannot hold; the code says which."""

    code = "text_control_char"
    status = 422
    title = "The text holds characters that cannot be stored"


class TextInvalidUnicode(TextRefused):
    code = "text_invalid_unicode"


class ValidationFailed(DomainError):
    """One or more fields were refused; see `errors`."""

    code = "validation_failed"
    status = 422
    title = "Some fields were refused"


class FieldUnknown(ValidationFailed):
    code = "field_unknown"
    title = "Unknown field"


class CursorInvalid(DomainError):
    code = "cursor_invalid"
    status = 422
    title = "The cursor was refused"


class PageLimitRefused(DomainError):
    code = "page_limit"
    status = 422
    title = "The page size was refused"

    def __init__(self, maximum: int) -> None:
        detail = f"limit must be a whole number from 1 to {maximum}."
        super().__init__(detail, errors=[FieldError("/limit", "page_limit", detail)])


class TokenInvalid(DomainError):
    """One answer for every failed authentication: absent, malformed, unknown, expired, revoked, another tenant's."""

    code = "token_invalid"
    status = 401
    title = "Not authenticated"

    def __init__(self) -> None:
        super().__init__("Send a valid API key as `Authorization: Bearer cyb_...`, or sign in.")


class CredentialInUrl(DomainError):
    code = "credential_in_url"
    status = 400
    title = "A credential was sent in the URL"


class BodyTooLarge(DomainError):
    code = "body_too_large"
    status = 413
    title = "The body is too large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"At most {limit_bytes} bytes are accepted here.", limit_bytes=limit_bytes)


class BodyTimeout(DomainError):
    code = "body_timeout"
    status = 408
    title = "The body did not arrive in time"


class RequestMalformed(DomainError):
    """Framing, Host or URL that no correct client sends."""

    code = "request_malformed"
    status = 400
    title = "The request is malformed"


class HostUnknown(DomainError):
    code = "host_unknown"
    status = 404
    title = "Unknown host"

    def __init__(self) -> None:
        super().__init__("No tenant is registered under this host.")


class MethodNotAllowed(DomainError):
    code = "method_not_allowed"
    status = 405
    title = "Method not allowed"


class RateLimited(DomainError):
    code = "rate_limited"
    status = 429
    title = "Too many requests"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"Try again in {retry_after_s} s.", retry_after_s=retry_after_s)


class ServiceUnavailable(DomainError):
    """A dependency the request needs is down. Nothing was changed; the same request may be sent again."""

    code = "service_unavailable"
    status = 503
    title = "Temporarily unavailable"

"""Every refusal leaves as application/problem+json (RFC 9457): a stable code, a trace id, never an exception's text."""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db.utils import InterfaceError, OperationalError
from django.http import Http404, UnreadablePostError
from rest_framework import exceptions
from rest_framework.response import Response

from apps.core.api import errors
from apps.core.api.authentication import CHALLENGE
from apps.core.api.json import pointer
from apps.core.api.trace import current_trace_id
from apps.core.errors import DomainError, FieldError, NotFound, PermissionRefused

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
# DRF's own codes for what (c) 6 and 7 of the threat model name differently.
FIELD_CODES = {
    "null_characters_not_allowed": "text_control_char",
    "surrogate_characters_not_allowed": "text_invalid_unicode",
}
OWN_TITLES = {
    "field_unknown": errors.FieldUnknown,
    "text_control_char": errors.TextRefused,
    "text_invalid_unicode": errors.TextInvalidUnicode,
}


class InternalError(DomainError):
    """A fault of ours. The log has the rest under the trace id."""

    code = "internal_error"
    status = 500
    title = "Something went wrong on our side"

    def __init__(self) -> None:
        super().__init__("The fault is logged under this trace id.")


def problem(error: DomainError) -> dict[str, Any]:
    """The problem document of one refusal."""
    body: dict[str, Any] = {
        "type": f"urn:cybernetic:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "trace_id": current_trace_id(),
    }
    if error.errors:
        body["errors"] = [{"pointer": e.pointer, "code": e.code, "detail": e.detail} for e in error.errors]
    return body | {key: value for key, value in error.extra.items() if key not in body}


def problem_headers(error: DomainError) -> dict[str, str]:
    """The headers that belong to one refusal's status."""
    headers = {"Cache-Control": "no-store"}
    if error.status == 401:
        headers["WWW-Authenticate"] = CHALLENGE
    if error.status in {429, 503}:
        headers["Retry-After"] = str(error.extra.get("retry_after_s", 1))
    if "allow" in error.extra:
        headers["Allow"] = str(error.extra["allow"])
    return headers


def as_domain_error(error: BaseException) -> DomainError | None:
    """The refusal that an exception of Django, DRF or the database stands for; None for a fault of ours."""
    for types, refusal in _REFUSALS:
        if isinstance(error, types):
            return refusal(error)
    return None


def refusal_for(error: Exception) -> DomainError:
    """What the caller is told; faults of ours are logged with their traceback, missing dependencies with one line."""
    known = as_domain_error(error)
    if known is None:
        log.error("request failed trace_id=%s", current_trace_id(), exc_info=error)
        return InternalError()
    if known.status >= 500:
        log.warning("request refused trace_id=%s %s: %s", current_trace_id(), known.code, type(error).__name__)
    return known


def _permission_denied(detail: str) -> DomainError:
    if detail.startswith("CSRF"):
        return CsrfFailed("The CSRF token is missing or wrong: reload the page and try again.")
    return PermissionRefused("Your role does not allow this.")


class CsrfFailed(PermissionRefused):
    """A cookie-authenticated write without this site's own token."""

    code = "csrf_failed"


class NotAcceptable(DomainError):
    code = "not_acceptable"
    status = 406
    title = "Not acceptable"


def validation_failed(error: exceptions.ValidationError) -> DomainError:
    """DRF's nested detail as a flat list with JSON pointers. A code shared by all fields becomes the problem's own."""
    fields = list(_fields(error.get_full_details(), ()))
    codes = {field.code for field in fields}
    kind = OWN_TITLES.get(codes.pop(), errors.ValidationFailed) if len(codes) == 1 else errors.ValidationFailed
    detail = fields[0].detail if len(fields) == 1 else f"{len(fields)} fields were refused."
    return kind(detail, errors=fields)


def _fields(detail: Any, path: tuple[str | int, ...]) -> Iterator[FieldError]:
    if isinstance(detail, Mapping):
        if set(detail) == {"message", "code"} and isinstance(detail["message"], str):
            code = str(detail["code"])
            yield FieldError(pointer(*path), FIELD_CODES.get(code, code), str(detail["message"]))
            return
        for key, child in detail.items():
            yield from _fields(child, path if key == "non_field_errors" else (*path, key))
    elif isinstance(detail, list):
        leaves = all(isinstance(item, Mapping) and set(item) == {"message", "code"} for item in detail)
        for index, item in enumerate(detail):
            yield from _fields(item, path if leaves else (*path, index))


# First match wins: subclasses before their bases.
_REFUSALS: tuple[tuple[tuple[type[BaseException], ...], Callable[[Any], DomainError]], ...] = (
    ((DomainError,), lambda error: error),
    ((exceptions.ValidationError,), validation_failed),
    ((exceptions.NotAuthenticated, exceptions.AuthenticationFailed), lambda _: errors.TokenInvalid()),
    ((exceptions.PermissionDenied,), lambda error: _permission_denied(str(error.detail))),
    ((PermissionDenied,), lambda _: _permission_denied("")),
    ((exceptions.NotFound, Http404), lambda _: NotFound("There is nothing here under that address.")),
    ((exceptions.MethodNotAllowed,), lambda error: errors.MethodNotAllowed(str(error.detail))),
    ((exceptions.UnsupportedMediaType,), lambda error: errors.MediaTypeUnsupported(str(error.detail))),
    ((exceptions.NotAcceptable,), lambda _: NotAcceptable("This address answers in application/json only.")),
    ((exceptions.Throttled,), lambda error: errors.RateLimited(int(error.wait or 1))),
    ((RequestDataTooBig,), lambda _: errors.BodyTooLarge(errors.JSON_LIMIT_BYTES)),
    (
        (exceptions.ParseError, UnreadablePostError, SuspiciousOperation),
        lambda _: errors.RequestMalformed("The request could not be read."),
    ),
    (
        (OperationalError, InterfaceError),
        lambda _: errors.ServiceUnavailable("The database does not answer. Nothing was changed."),
    ),
)


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's EXCEPTION_HANDLER. A fault of ours is logged with its traceback and answered with only the trace id."""
    error = refusal_for(exc)
    headers = problem_headers(error)
    if isinstance(exc, exceptions.MethodNotAllowed):
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    return Response(problem(error), status=error.status, headers=headers, content_type=MEDIA_TYPE)

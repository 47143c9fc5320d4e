"""Errors that a caller can act on; every app's errors descend from DomainError."""

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class FieldError:
    """One field of an input that was refused; `pointer` is a JSON pointer (RFC 6901)."""

    pointer: str
    code: str
    detail: str


class DomainError(Exception):
    """A refusal with a stable code and an HTTP status; `detail` is safe to show to the caller."""

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The request was refused"

    def __init__(self, detail: str, *, errors: list[FieldError] | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors or []
        self.extra = extra


class NotFound(DomainError):
    """The object does not exist, or belongs to someone else: the caller cannot tell which."""

    code = "not_found"
    status = 404
    title = "Not found"


class Conflict(DomainError):
    """The object is in a state that does not allow this."""

    code = "conflict"
    status = 409
    title = "Conflict"


class PermissionRefused(DomainError):
    """The caller's role does not allow this."""

    code = "permission_denied"
    status = 403
    title = "Not allowed"

"""The request's trace id: in every response header, every problem and every log line about it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from apps.core.correlation import correlation
from apps.core.ids import uuid7

_SANE = re.compile(r"[A-Za-z0-9._-]{8,64}")
_trace: ContextVar[str] = ContextVar("trace_id", default="")


def current_trace_id() -> str:
    """The id of the request in hand, or `-` outside of requests."""
    return _trace.get() or "-"


@contextmanager
def tracing(requested: str | None) -> Iterator[str]:
    """Enter a request. A caller's own id is kept when it is sane; a UUID also becomes the correlation id of events."""
    own = uuid7()
    value = requested if requested and _SANE.fullmatch(requested) else str(own)
    try:
        correlation_id = UUID(value)
    except ValueError:
        correlation_id = own
    token = _trace.set(value)
    try:
        with correlation(correlation_id):
            yield value
    finally:
        _trace.reset(token)

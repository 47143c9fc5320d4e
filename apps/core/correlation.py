"""The correlation id: one id from the first cause through every event, job and log line it leads to."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from apps.core.ids import uuid7

_correlation: ContextVar[UUID | None] = ContextVar("correlation_id", default=None)


def current_correlation_id() -> UUID:
    """The id in force, or a new one, which stays in force in this context."""
    value = _correlation.get()
    if value is None:
        value = uuid7()
        _correlation.set(value)
    return value


@contextmanager
def correlation(correlation_id: UUID | None = None) -> Iterator[UUID]:
    """Everything inside carries `correlation_id` (a new one when None)."""
    value = correlation_id or uuid7()
    token = _correlation.set(value)
    try:
        yield value
    finally:
        _correlation.reset(token)

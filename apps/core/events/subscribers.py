"""Handlers that follow the log: each with a cursor per tenant, moved in the handler's own transaction."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from apps.core import models
from apps.core.correlation import correlation
from apps.core.events.base import StoredEvent
from apps.core.events.log import events_after
from apps.core.events.topics import topic_matches
from apps.core.tenancy import TenantRef, in_tenant

BATCH = 200
MAX_FAILURES = 8
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subscriber:
    """A handler and what it listens to."""

    name: str
    topics: tuple[str, ...]
    handle: Callable[[StoredEvent], None]

    def wants(self, name: str) -> bool:
        return any(topic_matches(pattern, name) for pattern in self.topics)


_subscribers: dict[str, Subscriber] = {}


def subscriber(
    name: str, *, topics: tuple[str, ...]
) -> Callable[[Callable[[StoredEvent], None]], Callable[[StoredEvent], None]]:
    """Register a handler: called in the event's tenant, in order, at least once, in one transaction with its cursor."""

    def register(handle: Callable[[StoredEvent], None]) -> Callable[[StoredEvent], None]:
        if name in _subscribers:
            raise TypeError(f"The subscriber name {name!r} is taken.")
        _subscribers[name] = Subscriber(name, topics, handle)
        return handle

    return register


def registered_subscribers() -> list[Subscriber]:
    return list(_subscribers.values())


def deliver(ref: TenantRef, target: Subscriber) -> int:
    """Bring one subscriber up to date in one tenant; returns how many events it has moved past.

    A handler that fails is tried again with growing pauses; after MAX_FAILURES the event is logged and passed over,
    so that one event cannot stop the loop for a tenant.
    """
    moved = 0
    with in_tenant(ref):
        cursor, _ = models.EventCursor.objects.get_or_create(tenant_id=ref.id, subscriber=target.name)
        if cursor.retry_at and cursor.retry_at > timezone.now():
            return 0
        events = events_after(cursor.last_seq, limit=BATCH)
        if not events:
            return 0
        if _deliver_together(cursor, target, events):
            return len(events)
        for event in events:
            if not _deliver_one(cursor, target, event):
                break
            moved += 1
    return moved


def _deliver_together(cursor: models.EventCursor, target: Subscriber, events: list[StoredEvent]) -> bool:
    """The usual case: a whole batch in one transaction. False when a handler failed and nothing of it was kept."""
    try:
        with transaction.atomic():
            locked = models.EventCursor.objects.select_for_update().get(pk=cursor.pk)
            for event in events:
                if event.seq > locked.last_seq and target.wants(event.name):
                    with correlation(event.correlation_id):
                        target.handle(event)
            locked.last_seq = max(locked.last_seq, events[-1].seq)
            locked.failures, locked.last_error, locked.retry_at = 0, "", None
            locked.save()
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # boundary: one event at a time shows which one it is
        log.warning("subscriber %s failed in a batch of %s", target.name, len(events), exc_info=True)
        return False
    return True


def _deliver_one(cursor: models.EventCursor, target: Subscriber, event: StoredEvent) -> bool:
    try:
        with transaction.atomic(), correlation(event.correlation_id):
            locked = models.EventCursor.objects.select_for_update().get(pk=cursor.pk)
            if locked.last_seq >= event.seq:
                cursor.last_seq = locked.last_seq
                return True
            if target.wants(event.name):
                target.handle(event)
            locked.last_seq, locked.failures, locked.last_error, locked.retry_at = event.seq, 0, "", None
            locked.save()
    except (OperationalError, InterfaceError):
        raise  # the database's failure, not the event's
    except Exception as error:  # boundary: a subscriber's bug must not stop the relay
        log.exception("subscriber %s failed on %s %s", target.name, event.name, event.id)
        _record_failure(cursor, target, event, error)
        return False
    cursor.last_seq, cursor.failures = event.seq, 0
    return True


def _record_failure(cursor: models.EventCursor, target: Subscriber, event: StoredEvent, error: Exception) -> None:
    """Try again later, or pass over an event that failed too often; never move a cursor back."""
    failures = cursor.failures + 1
    changes: dict[str, Any] = {
        "failures": failures,
        "last_error": f"{type(error).__name__} on {event.name} {event.id}",
        "retry_at": timezone.now() + timedelta(seconds=min(2**failures, 60)),
    }
    if failures >= MAX_FAILURES:
        log.error("subscriber %s passes over %s %s", target.name, event.name, event.id)
        changes |= {"last_seq": event.seq, "failures": 0, "retry_at": None}
    models.EventCursor.objects.filter(pk=cursor.pk, last_seq__lt=event.seq).update(**changes)

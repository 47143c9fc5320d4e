"""Counting in the event log: what a rule's window held at the moment of one event."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.fields.json import KeyTextTransform

from apps.core.events import StoredEvent
from apps.core.goldrush.rules import Rule, group_of, matches
from apps.core.models import Event
from apps.core.tenancy import current_tenant

SCAN_LIMIT: Final = 10_000


@dataclass(frozen=True)
class Window:
    """The matching events up to and including one event, oldest first; never more than the rule's threshold."""

    group: str
    event_ids: tuple[UUID, ...]
    first_at: datetime
    last_at: datetime

    @property
    def count(self) -> int:
        return len(self.event_ids)


def window_at(rule: Rule, event: StoredEvent, *, floor: datetime | None = None) -> Window | None:
    """What the window held when `event` was numbered, or None when the rule does not count this event.

    Only events numbered up to this one count, so a redelivery sees the same window. Events at or before `floor` are
    settled business and never count again.
    """
    group = group_of(rule, event.payload)
    if group is None or not matches(rule, event):
        return None
    since = event.occurred_at - timedelta(seconds=rule.window_s)
    if floor is not None and floor > since:
        since = floor
    if event.occurred_at <= since:
        return None
    found: list[tuple[UUID, datetime]] = []
    rows = (
        events_in_group(rule, group).filter(occurred_at__gt=since, seq__lte=event.seq).order_by("-occurred_at", "-seq")
    )
    limit = SCAN_LIMIT if rule.where else rule.threshold
    for row in rows[:limit].iterator(chunk_size=1000):
        if all(condition.holds(row.payload) for condition in rule.where):
            found.append((row.id, row.occurred_at))
            if len(found) == rule.threshold:
                break
    found.reverse()
    return Window(
        group=group,
        event_ids=tuple(row_id for row_id, _ in found),
        first_at=min((at for _, at in found), default=event.occurred_at),
        last_at=max((at for _, at in found), default=event.occurred_at),
    )


def events_in_group(rule: Rule, group: str) -> QuerySet[Event, Any]:
    """Rows of the log on the rule's topic whose group field holds this value."""
    rows = Event.objects.filter(tenant_id=current_tenant().id)
    if rule.pattern.endswith(".*"):
        rows = rows.filter(name__startswith=rule.pattern[:-1])
    elif rule.pattern != "*":
        rows = rows.filter(name=rule.pattern)
    return rows.annotate(goldrush_group=payload_text(rule.group_by)).filter(goldrush_group=group)


def payload_text(path: str) -> KeyTextTransform:
    """The payload's value at a dotted path as SQL text; never read as an ORM lookup, whatever the field is called."""
    value: Any = "payload"
    for part in path.split("."):
        value = KeyTextTransform(part, value)
    return cast("KeyTextTransform", value)

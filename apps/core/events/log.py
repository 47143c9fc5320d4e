"""The event log: writing in the caller's transaction, numbering, reading back."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connections

from apps.core import models
from apps.core.correlation import current_correlation_id
from apps.core.events.base import Event, StoredEvent
from apps.core.tenancy import SYSTEM_ALIAS, current_tenant
from apps.core.wakeups import wake_relay_on_commit

NUMBER_BATCH = 1000
_LOCK_NUMBERING = 0x6379_6265_0001

_NUMBER_SQL = """
WITH pending AS (
  SELECT id, tenant_id, row_number() OVER (PARTITION BY tenant_id ORDER BY occurred_at, id) AS n
  FROM (
    SELECT e.id, e.tenant_id, e.occurred_at FROM core_event e JOIN core_eventcounter k USING (tenant_id)
    WHERE e.seq IS NULL ORDER BY e.occurred_at LIMIT %s
  ) oldest
), counted AS (
  UPDATE core_eventcounter c SET last_seq = last_seq + p.total
  FROM (SELECT tenant_id, count(*) AS total FROM pending GROUP BY tenant_id) p
  WHERE c.tenant_id = p.tenant_id
  RETURNING c.tenant_id, c.last_seq - p.total AS base
)
UPDATE core_event e SET seq = counted.base + pending.n
FROM pending JOIN counted USING (tenant_id) WHERE e.id = pending.id
RETURNING e.tenant_id
"""


def publish(event: Event, *, correlation_id: UUID | None = None) -> UUID:
    """Write `event` to the current tenant's log, in the caller's transaction. Returns its id."""
    row = models.Event(
        tenant_id=current_tenant().id,
        name=event.name,
        payload=event.model_dump(mode="json"),
        schema_version=event.schema_version,
        correlation_id=correlation_id or current_correlation_id(),
    )
    row.save(force_insert=True)
    wake_relay_on_commit()
    return row.id


def number_events() -> set[UUID]:
    """Give committed events their place in their tenant's order; returns the tenants that got some.

    One process at a time (advisory lock). Runs under in_system inside a transaction.
    """
    with connections[SYSTEM_ALIAS].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK_NUMBERING])
        if not cursor.fetchone()[0]:
            return set()
        cursor.execute(_NUMBER_SQL, [NUMBER_BATCH])
        return {row[0] for row in cursor.fetchall()}


@dataclass(frozen=True, slots=True)
class LogPosition:
    """Where a tenant's log stands: its epoch, and the oldest and newest number it holds."""

    epoch: str
    oldest_seq: int
    last_seq: int


def log_position() -> LogPosition:
    """The current tenant's log position."""
    tenant_id = current_tenant().id
    counter = models.EventCounter.objects.get(tenant_id=tenant_id)
    oldest = (
        models.Event.objects.filter(tenant_id=tenant_id, seq__isnull=False)
        .order_by("seq")
        .values_list("seq", flat=True)
        .first()
    )
    return LogPosition(counter.epoch, oldest or counter.last_seq + 1, counter.last_seq)


def _stored(row: models.Event) -> StoredEvent:
    return StoredEvent(row.id, row.name, row.payload, row.correlation_id, row.occurred_at, row.seq or 0)


def events_after(seq: int, *, limit: int = 500) -> list[StoredEvent]:
    """Numbered events of the current tenant after `seq`, in order."""
    rows = models.Event.objects.filter(tenant_id=current_tenant().id, seq__gt=seq).order_by("seq")[:limit]
    return [_stored(row) for row in rows]


def events_after_for(positions: Sequence[tuple[UUID, int]], *, limit: int = 1000) -> list[tuple[UUID, StoredEvent]]:
    """Numbered events after each (tenant, seq), for the stream hub. Under in_system; ordered by tenant and seq."""
    if not positions:
        return []
    rows = models.Event.objects.raw(
        "SELECT e.* FROM core_event e JOIN unnest(%s::uuid[], %s::bigint[]) AS p(tenant_id, seq)"
        " ON e.tenant_id = p.tenant_id AND e.seq > p.seq ORDER BY e.tenant_id, e.seq LIMIT %s",
        [[str(p[0]) for p in positions], [p[1] for p in positions], limit],
    )
    return [(row.tenant_id, _stored(row)) for row in rows]

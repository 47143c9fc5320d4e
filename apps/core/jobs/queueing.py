"""Putting work in the table."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from apps.core import models
from apps.core.correlation import current_correlation_id
from apps.core.jobs.registry import JobHandler
from apps.core.tenancy import atomic, current_tenant
from apps.core.wakeups import wake_relay_on_commit


def enqueue(
    handler: JobHandler[Any],
    *,
    _unique_key: str | None = None,
    _priority: int = 0,
    _delay_s: float = 0,
    **args: Any,
) -> UUID:
    """Write a job in the caller's transaction; it runs after the commit. Returns its id.

    With `_unique_key`, an unfinished job of the tenant under that key is returned instead of a second one.
    """
    tenant_id = current_tenant().id
    row = models.Job(
        tenant_id=tenant_id,
        queue=handler.queue,
        name=handler.name,
        args=handler.encode(args),
        state=models.JobState.SCHEDULED if _delay_s else models.JobState.AVAILABLE,
        priority=_priority,
        max_attempts=handler.attempts,
        scheduled_at=timezone.now() + timedelta(seconds=_delay_s),
        unique_key=_unique_key,
        correlation_id=current_correlation_id(),
    )
    with atomic():
        if _unique_key is None:
            row.save(force_insert=True)
        else:
            models.Job.objects.bulk_create([row], ignore_conflicts=True)
            existing = (
                models.Job.objects.filter(tenant_id=tenant_id, unique_key=_unique_key, state__in=models.UNFINISHED)
                .values_list("id", flat=True)
                .first()
            )
            if existing is not None:
                row.id = existing
        wake_relay_on_commit()
    return row.id


def enqueue_many(handler: JobHandler[Any], many: list[dict[str, Any]], *, _priority: int = 0) -> list[UUID]:
    """Write many jobs of one kind in one statement; for ingesting folders."""
    tenant_id, correlation_id = current_tenant().id, current_correlation_id()
    rows = [
        models.Job(
            tenant_id=tenant_id,
            queue=handler.queue,
            name=handler.name,
            args=handler.encode(args),
            priority=_priority,
            max_attempts=handler.attempts,
            correlation_id=correlation_id,
        )
        for args in many
    ]
    with atomic():
        models.Job.objects.bulk_create(rows, batch_size=500)
        wake_relay_on_commit()
    return [row.id for row in rows]

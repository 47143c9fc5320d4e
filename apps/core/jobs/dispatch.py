"""The relay's half of the job system: hand waiting jobs to the broker, rescue orphans, prune history.

The broker holds at most a short window of ids per queue. A message that is lost is sent again; one that comes twice
finds the job claimed and does nothing.
"""

import logging
from datetime import timedelta
from uuid import UUID

from celery import current_app
from django.db import connections
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from apps.core import models
from apps.core.correlation import correlation
from apps.core.jobs.execution import MAX_WORKER_LOSSES, settle
from apps.core.jobs.registry import QUEUES, broker_queue, handler_for
from apps.core.jobs.worker import TASK_NAME
from apps.core.models import JobState
from apps.core.tenancy import SYSTEM_ALIAS, TenantRef, in_system, in_tenant

WINDOW_FACTOR = 3
REDISPATCH_S = 30
PRUNE_AFTER = timedelta(days=7)
PRUNE_TICKS_AFTER = timedelta(hours=1)
PRUNE_BATCH = 5000
QUARANTINE_BATCH = 100

log = logging.getLogger(__name__)

_PICK_SQL = """
WITH room AS (
  SELECT greatest(0, %(window)s - count(*)) AS n FROM core_job
  WHERE queue = %(queue)s AND state IN ('available', 'scheduled', 'retryable')
    AND dispatched_at > now() - make_interval(secs => %(again)s)
), picked AS (
  SELECT id FROM core_job
  WHERE queue = %(queue)s AND state IN ('available', 'scheduled', 'retryable') AND scheduled_at <= now()
    AND (dispatched_at IS NULL OR dispatched_at <= now() - make_interval(secs => %(again)s))
  ORDER BY priority DESC, scheduled_at
  LIMIT (SELECT n FROM room)
  FOR UPDATE SKIP LOCKED
)
UPDATE core_job j SET dispatched_at = now() FROM picked WHERE j.id = picked.id RETURNING j.id
"""

_RESCUE_SQL = """
UPDATE core_job SET
  worker_losses = worker_losses + 1, fence = fence + 1, lease_expires_at = NULL, dispatched_at = NULL, state = 'available',
  cause_code = 'worker_lost', cause_detail = 'The worker ' || worker || ' stopped renewing its lease.'
WHERE state = 'executing' AND lease_expires_at < now() AND worker_losses + 1 < %s
RETURNING id, name, cause_detail
"""


def dispatch_waiting() -> int:
    """Send the ids of due jobs, up to the window of each queue. Raises BrokerError when the broker is away."""
    sent = 0
    for queue, concurrency in QUEUES.items():
        with in_system("job dispatch"), connections[SYSTEM_ALIAS].cursor() as cursor:
            cursor.execute(_PICK_SQL, {"queue": queue, "window": concurrency * WINDOW_FACTOR, "again": REDISPATCH_S})
            ids = [row[0] for row in cursor.fetchall()]
        if not ids:
            continue
        try:
            _send(queue, ids)
        except (BrokerError, OSError):
            with in_system("job dispatch"):
                models.Job.objects.filter(pk__in=ids, state__in=models.WAITING).update(dispatched_at=None)
            raise
        sent += len(ids)
    return sent


def _send(queue: str, ids: list[UUID]) -> None:
    with current_app.producer_or_acquire() as producer:
        for job_id in ids:
            current_app.send_task(
                TASK_NAME, args=[str(job_id)], queue=broker_queue(queue), producer=producer, retry=False
            )


def rescue_orphans() -> int:
    """Take back jobs whose lease ran out; the third lost worker quarantines one. Returns how many."""
    with in_system("job rescue"), connections[SYSTEM_ALIAS].cursor() as cursor:
        cursor.execute(_RESCUE_SQL, [MAX_WORKER_LOSSES])
        rescued = cursor.fetchall()
        poison = list(
            models.Job.objects.filter(state=JobState.EXECUTING, lease_expires_at__lt=timezone.now())[:QUARANTINE_BATCH]
        )
    for job_id, name, detail in rescued:
        log.warning("job %s %s: %s It waits again.", name, job_id, detail)
    for row in poison:
        try:
            _quarantine(row)
        except Exception:  # boundary: one job's hook must not stop the relay; the next round tries again
            log.exception("job %s %s could not be quarantined", row.name, row.pk)
    return len(rescued) + len(poison)


def _quarantine(row: models.Job) -> None:
    changes = {
        "state": JobState.QUARANTINED,
        "worker_losses": row.worker_losses + 1,
        "fence": row.fence + 1,
        "lease_expires_at": None,
        "finished_at": timezone.now(),
        "cause_code": "worker_lost",
        "cause_detail": f"The worker {row.worker} stopped renewing its lease; {row.worker_losses + 1} workers were lost on it.",
    }
    log.error("job %s %s is quarantined: %s", row.name, row.pk, changes["cause_detail"])
    with in_system("job rescue"), connections[SYSTEM_ALIAS].cursor() as cursor:
        cursor.execute("SELECT schema_name, slug FROM tenants_tenant WHERE id = %s", [str(row.tenant_id)])
        found = cursor.fetchone()
    if found is None:
        with in_system("job rescue"):
            models.Job.objects.filter(pk=row.pk, fence=row.fence).update(**changes)
        return
    with in_tenant(TenantRef(row.tenant_id, found[0], found[1])), correlation(row.correlation_id):
        held = models.Job.objects.filter(pk=row.pk, fence=row.fence, state=JobState.EXECUTING)
        settle(held, handler_for(row.name), row.args, changes)


def prune_finished() -> int:
    """Delete old finished jobs, at most one batch; only completed and cancelled ones, so failures stay visible."""
    now = timezone.now()
    with in_system("job pruning"), connections[SYSTEM_ALIAS].cursor() as cursor:
        cursor.execute(
            "DELETE FROM core_job WHERE id IN (SELECT id FROM core_job WHERE state IN ('completed', 'cancelled')"
            " AND (finished_at < %s OR (unique_key LIKE 'tick:%%' AND finished_at < %s)) LIMIT %s)",
            [now - PRUNE_AFTER, now - PRUNE_TICKS_AFTER, PRUNE_BATCH],
        )
        return int(cursor.rowcount)


__all__ = ["BrokerError", "dispatch_waiting", "prune_finished", "rescue_orphans"]

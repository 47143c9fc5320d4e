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
from apps.core.jobs.broker import broker_queue
from apps.core.jobs.execution import MAX_WORKER_LOSSES, run_discard_hook
from apps.core.jobs.registry import QUEUES, handler_for
from apps.core.jobs.worker import TASK_NAME
from apps.core.models import JobState
from apps.core.tenancy import SYSTEM_ALIAS, TenantRef, atomic, in_system

WINDOW_FACTOR = 3
REDISPATCH_S = 30
PRUNE_AFTER = timedelta(days=7)
PRUNE_TICKS_AFTER = timedelta(hours=1)
PRUNE_BATCH = 5000

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
  worker_losses = worker_losses + 1, fence = fence + 1, lease_expires_at = NULL, dispatched_at = NULL,
  state = CASE WHEN worker_losses + 1 >= %s THEN 'quarantined' ELSE 'available' END,
  finished_at = CASE WHEN worker_losses + 1 >= %s THEN now() END,
  cause_code = 'worker_lost', cause_detail = 'The worker ' || worker || ' stopped renewing its lease.'
WHERE state = 'executing' AND lease_expires_at < now()
RETURNING id, state, tenant_id, name, cause_detail
"""


def dispatch_waiting() -> int:
    """Send the ids of due jobs, up to the window of each queue. Raises BrokerError when the broker is away."""
    sent = 0
    for queue, concurrency in QUEUES.items():
        with in_system("job dispatch"), atomic(), connections[SYSTEM_ALIAS].cursor() as cursor:
            cursor.execute(_PICK_SQL, {"queue": queue, "window": concurrency * WINDOW_FACTOR, "again": REDISPATCH_S})
            ids = [row[0] for row in cursor.fetchall()]
            if ids:
                _send(queue, ids)
                sent += len(ids)
    return sent


def _send(queue: str, ids: list[UUID]) -> None:
    with current_app.producer_or_acquire() as producer:
        for job_id in ids:
            current_app.send_task(
                TASK_NAME, args=[str(job_id)], queue=broker_queue(queue), producer=producer, retry=False
            )


def rescue_orphans() -> int:
    """Take back jobs whose lease ran out; the third lost worker quarantines one."""
    with in_system("job rescue"), atomic(), connections[SYSTEM_ALIAS].cursor() as cursor:
        cursor.execute(_RESCUE_SQL, [MAX_WORKER_LOSSES, MAX_WORKER_LOSSES])
        rows = cursor.fetchall()
    for job_id, state, _, name, detail in rows:
        log.warning("job %s %s: %s Now %s.", name, job_id, detail, state)
        if state == JobState.QUARANTINED:
            _quarantined(job_id)
    return len(rows)


def _quarantined(job_id: UUID) -> None:
    with in_system("job rescue"):
        row = models.Job.objects.get(pk=job_id)
        cursor = connections[SYSTEM_ALIAS].cursor()
        cursor.execute("SELECT schema_name, slug FROM tenants_tenant WHERE id = %s", [str(row.tenant_id)])
        found = cursor.fetchone()
    handler = handler_for(row.name)
    if found and handler:
        ref = TenantRef(row.tenant_id, found[0], found[1])
        run_discard_hook(ref, handler, row.args, "quarantined", row.cause_detail, row.correlation_id)


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

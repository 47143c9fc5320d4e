"""One execution of one job: claim, run in the tenant, record the outcome under the fence."""

import json
import logging
import os
import random
import socket
import threading
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, close_old_connections, connections
from django.db.models import QuerySet
from django.utils import timezone

from apps.core import models
from apps.core.correlation import correlation
from apps.core.errors import DomainError
from apps.core.jobs.context import JobCancelled, LeaseLost, RunningJob, Snooze, _running
from apps.core.jobs.registry import JobHandler, handler_for
from apps.core.models import JobState
from apps.core.tenancy import SYSTEM_ALIAS, TenantRef, atomic, in_system, in_tenant

LEASE_S = 30
HEARTBEAT_S = 10
MAX_WORKER_LOSSES = 3
BACKOFF_BASE_S, BACKOFF_MAX_S = 2.0, 300.0

log = logging.getLogger(__name__)
WORKER_NAME = f"{socket.gethostname()}:{os.getpid()}"

_CLAIM_SQL = """
UPDATE core_job SET state = 'executing', attempt = attempt + 1, fence = fence + 1, worker = %s, progress = 0,
  lease_expires_at = now() + make_interval(secs => %s), started_at = now(), cause_code = '', cause_detail = ''
WHERE id = %s AND state IN ('available', 'scheduled', 'retryable') AND scheduled_at <= now()
RETURNING tenant_id, name, args, attempt, max_attempts, fence, correlation_id, cancel_requested_at IS NOT NULL
"""

_RENEW_SQL = """
UPDATE core_job j SET lease_expires_at = now() + make_interval(secs => %s)
FROM unnest(%s::uuid[], %s::bigint[]) AS held(id, fence)
WHERE j.id = held.id AND j.fence = held.fence AND j.state = 'executing'
RETURNING j.id, j.cancel_requested_at IS NOT NULL
"""


@dataclass(frozen=True)
class _Claim:
    tenant: TenantRef | None
    handler: JobHandler[Any] | None
    running: RunningJob
    args: dict[str, Any]
    correlation_id: UUID


class _Leases:
    """Renews the leases of everything this process is executing, on one thread."""

    def __init__(self) -> None:
        self._held: dict[tuple[UUID, int], tuple[RunningJob, float, int]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def hold(self, running: RunningJob, timeout_s: int) -> None:
        with self._lock:
            self._held[running.id, running.fence] = (running, monotonic() + timeout_s, timeout_s)
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="job-leases", daemon=True)
                self._thread.start()

    def release(self, running: RunningJob) -> None:
        with self._lock:
            self._held.pop((running.id, running.fence), None)

    def _loop(self) -> None:
        while True:
            self._wake.wait(HEARTBEAT_S)
            try:
                self.renew()
            except Exception:  # boundary: the next round tries again
                log.warning("leases not renewed", exc_info=True)
            finally:
                connections.close_all()

    def renew(self) -> None:
        """Extend the leases of jobs inside their time limit; learn of cancellations and lost leases."""
        now = monotonic()
        with self._lock:
            held = [running for running, deadline, _ in self._held.values() if deadline > now]
            overdue = [(running, limit) for running, deadline, limit in self._held.values() if deadline <= now]
        for running, limit in overdue:
            log.error(
                "job %s %s is over its limit of %s s: its lease is left to expire", running.name, running.id, limit
            )
            running.lost = True
        if not held:
            return
        with in_system("job leases"), connections[SYSTEM_ALIAS].cursor() as cursor:
            cursor.execute(_RENEW_SQL, [LEASE_S, [str(r.id) for r in held], [r.fence for r in held]])
            kept = dict(cursor.fetchall())
        for running in held:
            if running.id not in kept:
                running.lost = True
            elif kept[running.id]:
                running.cancelled = True


_leases = _Leases()


def _claim(job_id: UUID) -> _Claim | None:
    with in_system("job claim"), connections[SYSTEM_ALIAS].cursor() as cursor:
        cursor.execute(_CLAIM_SQL, [WORKER_NAME, LEASE_S, str(job_id)])
        row = cursor.fetchone()
        if row is None:
            return None
        tenant_id, name, raw, attempt, max_attempts, fence, correlation_id, cancelled = row
        cursor.execute(
            "SELECT schema_name, slug FROM tenants_tenant WHERE id = %s AND status = 'active'", [str(tenant_id)]
        )
        found = cursor.fetchone()
    return _Claim(
        tenant=TenantRef(tenant_id, found[0], found[1]) if found else None,
        handler=handler_for(name),
        running=RunningJob(job_id, name, attempt, max_attempts, fence, cancelled=cancelled),
        args=json.loads(raw),
        correlation_id=correlation_id,
    )


def run_job(job_id: UUID) -> None:
    """Claim and execute one job; nothing happens when it is not waiting any more (a duplicate wake-up)."""
    try:
        claim = _claim(job_id)
        close_old_connections()
        if claim is None:
            return
        if claim.tenant is None:
            _finish(claim.running, JobState.CANCELLED, "tenant_inactive", "The tenant is gone or suspended.")
        elif claim.handler is None:
            _finish(claim.running, JobState.DISCARDED, "worker_unknown", f"No handler is called {claim.running.name}.")
        else:
            _execute(claim, claim.tenant, claim.handler)
    finally:
        connections.close_all()


def _execute(claim: _Claim, tenant: TenantRef, handler: JobHandler[Any]) -> None:
    running = claim.running
    _leases.hold(running, handler.timeout_s)
    token = _running.set(running)
    try:
        running.check_cancelled()
        with in_tenant(tenant), correlation(claim.correlation_id):
            handler.run(claim.args)
        _finish(running, JobState.COMPLETED, "", "")
    except Snooze as snooze:
        _again(running, snooze.seconds, "snoozed", snooze.reason, used_attempt=False)
    except LeaseLost:
        log.warning("job %s %s was taken over by another worker", running.name, running.id)
    except JobCancelled as error:
        _give_up(claim, tenant, handler, JobState.CANCELLED, error.code, error.detail)
    except DomainError as error:
        if isinstance(error, handler.retry_on) and not running.last_attempt:
            pause = error.extra.get("retry_after_s") or _backoff_s(running.attempt)
            _again(running, float(pause), error.code, error.detail, used_attempt=True)
        else:
            _give_up(claim, tenant, handler, JobState.DISCARDED, error.code, error.detail)
    except Exception as error:  # boundary: whatever user code raises becomes the job's recorded cause
        log.exception("job %s %s attempt %s failed", running.name, running.id, running.attempt)
        code = "database_unavailable" if _database_is_away(error) else "job_error"
        detail = f"{type(error).__name__}: see the worker's log for job {running.id}"
        if running.last_attempt and code != "database_unavailable":
            _give_up(claim, tenant, handler, JobState.DISCARDED, code, detail)
        else:
            _again(running, _backoff_s(running.attempt), code, detail, used_attempt=code != "database_unavailable")
    finally:
        _running.reset(token)
        _leases.release(running)


def _backoff_s(attempt: int) -> float:
    """Exponential with full jitter."""
    return random.uniform(0.5, min(BACKOFF_MAX_S, BACKOFF_BASE_S**attempt))  # noqa: S311  # not a secret


def _database_is_away(error: Exception) -> bool:
    """A lost or refused connection; a statement that timed out or met a deadlock is the job's own failure."""
    if not isinstance(error, OperationalError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state.startswith("08") or state in {"57P01", "57P02", "57P03"}


def _outcome(state: JobState, code: str, detail: str) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "state": state,
        "cause_code": code,
        "cause_detail": detail[:2000],
        "finished_at": timezone.now(),
        "lease_expires_at": None,
    }
    if state == JobState.COMPLETED:
        changes["progress"] = 1
    return changes


def _write(running: RunningJob, changes: dict[str, Any]) -> None:
    """Write under the fence, on a new connection when the old one turns out to be dead."""
    for last in (False, True):
        try:
            with in_system("job outcome"):
                written = models.Job.objects.filter(pk=running.id, fence=running.fence, state="executing").update(
                    **changes
                )
        except (OperationalError, InterfaceError):
            connections[SYSTEM_ALIAS].close()
            if last:
                raise
        else:
            if not written:
                log.warning("job %s %s: %s refused, the lease was lost", running.name, running.id, changes["state"])
            return


def _finish(running: RunningJob, state: JobState, code: str, detail: str) -> None:
    _write(running, _outcome(state, code, detail))


def _again(running: RunningJob, seconds: float, code: str, detail: str, *, used_attempt: bool) -> None:
    changes = {
        "state": JobState.RETRYABLE,
        "cause_code": code,
        "cause_detail": detail[:2000],
        "lease_expires_at": None,
        "dispatched_at": None,
        "scheduled_at": timezone.now() + timedelta(seconds=seconds),
        "attempt": running.attempt if used_attempt else running.attempt - 1,
    }
    _write(running, changes)


def _give_up(
    claim: _Claim, tenant: TenantRef, handler: JobHandler[Any], state: JobState, code: str, detail: str
) -> None:
    running = claim.running
    log.warning("job %s %s %s: %s %s", running.name, running.id, state, code, detail)
    with in_tenant(tenant), correlation(claim.correlation_id):
        held = models.Job.objects.filter(pk=running.id, fence=running.fence, state="executing")
        if not settle(held, handler, claim.args, _outcome(state, code, detail)):
            log.warning("job %s %s: %s refused, the lease was lost", running.name, running.id, state)


def settle(
    held: QuerySet[models.Job], handler: JobHandler[Any] | None, args: dict[str, Any], changes: dict[str, Any]
) -> bool:
    """Record that the work will not be done, and let the domain record it too, in one transaction; inside the tenant.

    `held` selects the job while the caller still owns it; False when it does not.
    """
    with atomic():
        if not held.update(**changes):
            return False
        if handler is not None and handler.on_discard is not None:
            handler.on_discard(args, changes["cause_code"], changes["cause_detail"])
    return True

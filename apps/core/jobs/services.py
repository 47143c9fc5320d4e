"""What an operator does to jobs."""

from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.core import models
from apps.core.jobs.errors import JobFinished, JobMissing, JobNotRetryable
from apps.core.jobs.registry import handler_for
from apps.core.models import JobState
from apps.core.tenancy import current_tenant
from apps.core.wakeups import wake_relay_on_commit


def _locked(job_id: UUID) -> models.Job:
    row = models.Job.objects.select_for_update().filter(pk=job_id, tenant_id=current_tenant().id).first()
    if row is None:
        raise JobMissing(f"There is no job {job_id}.")
    return row


def retry_job(job_id: UUID) -> None:
    """Make a discarded, cancelled or quarantined job run again, with a fresh set of attempts."""
    try:
        _make_available(job_id)
    except IntegrityError:
        raise JobNotRetryable("Another job for the same work is waiting already.") from None


def _make_available(job_id: UUID) -> None:
    with transaction.atomic():
        row = _locked(job_id)
        if row.state not in {JobState.DISCARDED, JobState.CANCELLED, JobState.QUARANTINED, JobState.RETRYABLE}:
            raise JobNotRetryable(f"This job is {row.state}: only one that failed or was cancelled can be retried.")
        row.state, row.attempt, row.worker_losses = JobState.AVAILABLE, 0, 0
        row.scheduled_at, row.dispatched_at, row.finished_at, row.cancel_requested_at = timezone.now(), None, None, None
        row.cause_code = row.cause_detail = ""
        row.progress = 0
        row.save()
        wake_relay_on_commit()


def cancel_job(job_id: UUID) -> None:
    """Cancel a waiting job now; ask an executing one to stop at its next check."""
    with transaction.atomic():
        row = _locked(job_id)
        if row.state in models.WAITING:
            row.state, row.finished_at = JobState.CANCELLED, timezone.now()
            earlier = (
                f" while it waited to be tried again after: {row.cause_detail}" if row.attempt else " before it ran."
            )
            row.cause_code, row.cause_detail = "job_cancelled", f"Cancelled{earlier}"
            row.save()
            handler = handler_for(row.name)
            if handler and handler.on_discard:
                handler.on_discard(row.args, row.cause_code, row.cause_detail)
        elif row.state == JobState.EXECUTING:
            row.cancel_requested_at = timezone.now()
            row.save(update_fields=["cancel_requested_at"])
        else:
            raise JobFinished(f"This job is {row.state} already.")

"""Jobs are rows: written in the caller's transaction, claimed with a lease, fenced, retried and rescued."""

from apps.core.jobs.context import JobCancelled, Snooze, current_job
from apps.core.jobs.queueing import enqueue
from apps.core.jobs.registry import QUEUES, job, registered_jobs
from apps.core.jobs.services import cancel_job, retry_job

__all__ = [
    "QUEUES",
    "JobCancelled",
    "Snooze",
    "cancel_job",
    "current_job",
    "enqueue",
    "job",
    "registered_jobs",
    "retry_job",
]

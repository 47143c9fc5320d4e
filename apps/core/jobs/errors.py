"""Refusals about jobs."""

from apps.core.errors import Conflict, NotFound


class JobMissing(NotFound):
    title = "No such job"


class JobNotRetryable(Conflict):
    """Only a finished, failed job can be retried."""

    code = "job_not_retryable"


class JobFinished(Conflict):
    """A finished job cannot be cancelled."""

    code = "job_finished"

"""What a running handler can say: progress, stage, stop."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID

from django.db import connections

from apps.core import models
from apps.core.errors import DomainError
from apps.core.tenancy import SYSTEM_ALIAS, in_system

REPORT_EVERY_S = 0.5


class JobCancelled(DomainError):
    """Someone asked for this job to stop."""

    code = "job_cancelled"
    status = 409
    title = "Cancelled"


class LeaseLost(DomainError):
    """Another worker holds this job now; whatever this run still writes about it is refused."""

    code = "lease_lost"
    status = 409
    title = "Lease lost"


class Snooze(Exception):
    """Try again in `seconds` without using up an attempt (rate limits, a paused source)."""

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(reason)
        self.seconds = seconds
        self.reason = reason


@dataclass
class RunningJob:
    """The job this thread is executing."""

    id: UUID
    name: str
    attempt: int
    max_attempts: int
    fence: int
    cancelled: bool = False
    lost: bool = False
    _reported_at: float = field(default=0.0)

    @property
    def last_attempt(self) -> bool:
        return self.attempt >= self.max_attempts

    def report(self, progress: float, stage: str = "") -> None:
        """Say how far it is (0 to 1) and at what; written at most twice a second."""
        now = monotonic()
        if progress < 1 and now - self._reported_at < REPORT_EVERY_S:
            return
        self._reported_at = now
        with in_system("job progress"):
            models.Job.objects.filter(pk=self.id, fence=self.fence).update(progress=progress, stage=stage[:60])
        connections[SYSTEM_ALIAS].close()  # back to the pool: a job holds one connection, not two

    def check_cancelled(self) -> None:
        """Raise JobCancelled when asked to stop, LeaseLost when another worker took over. Call it between steps."""
        if self.lost:
            raise LeaseLost("Another worker took this job over.")
        if self.cancelled:
            raise JobCancelled("Stopped on request.")


_running: ContextVar[RunningJob | None] = ContextVar("running_job", default=None)


def current_job() -> RunningJob | None:
    """The job being executed here, or None when the handler is called directly."""
    return _running.get()

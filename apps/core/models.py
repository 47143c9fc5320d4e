"""Shared tables of the mechanisms: jobs, the event log and who is alive. PostgreSQL is the truth for all of them."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.core.ids import uuid7


class JobState(models.TextChoices):
    AVAILABLE = "available"
    SCHEDULED = "scheduled"
    EXECUTING = "executing"
    RETRYABLE = "retryable"
    COMPLETED = "completed"
    DISCARDED = "discarded"
    CANCELLED = "cancelled"
    QUARANTINED = "quarantined"


UNFINISHED = (JobState.AVAILABLE, JobState.SCHEDULED, JobState.EXECUTING, JobState.RETRYABLE)
WAITING = (JobState.AVAILABLE, JobState.SCHEDULED, JobState.RETRYABLE)


class Job(models.Model):
    """One piece of work. The row is the job; the broker only carries its id."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.UUIDField(editable=False)
    queue = models.CharField(max_length=32)
    name = models.CharField(max_length=100)
    args = models.JSONField(default=dict)
    state = models.CharField(max_length=12, choices=JobState.choices, default=JobState.AVAILABLE)
    priority = models.SmallIntegerField(default=0, help_text="Higher runs first.")
    attempt = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=5)
    worker_losses = models.PositiveSmallIntegerField(default=0, help_text="Times its worker died; three quarantine it.")
    scheduled_at = models.DateTimeField(default=timezone.now)
    dispatched_at = models.DateTimeField(null=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, editable=False)
    fence = models.BigIntegerField(default=0, editable=False)
    worker = models.CharField(max_length=120, default="", blank=True)
    progress = models.FloatField(default=0)
    stage = models.CharField(max_length=60, default="", blank=True)
    cause_code = models.CharField(max_length=60, default="", blank=True)
    cause_detail = models.TextField(default="", blank=True)
    unique_key = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001  # null = not unique
    correlation_id = models.UUIDField()
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant_id", "unique_key"],
                condition=Q(state__in=UNFINISHED, unique_key__isnull=False),
                name="job_unique_key_unfinished",
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue", "-priority", "scheduled_at"], condition=Q(state__in=WAITING), name="job_waiting"
            ),
            models.Index(fields=["lease_expires_at"], condition=Q(state="executing"), name="job_lease"),
            models.Index(fields=["tenant_id", "-id"], name="job_tenant"),
            models.Index(fields=["finished_at"], condition=Q(finished_at__isnull=False), name="job_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.state}"


class Event(models.Model):
    """What happened: written in the transaction that caused it, numbered per tenant by the sequencer, never changed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.UUIDField(editable=False)
    seq = models.BigIntegerField(null=True, editable=False)
    name = models.CharField(max_length=100)
    payload = models.JSONField()
    schema_version = models.PositiveSmallIntegerField(default=1)
    correlation_id = models.UUIDField()
    occurred_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "seq"], name="event_tenant_seq")]
        indexes = [
            models.Index(fields=["occurred_at"], condition=Q(seq__isnull=True), name="event_unnumbered"),
            models.Index(fields=["tenant_id", "name", "occurred_at"], name="event_name_time"),
            models.Index(fields=["tenant_id", "correlation_id"], name="event_correlation"),
        ]

    def __str__(self) -> str:
        return f"{self.name} #{self.seq}"


class EventCounter(models.Model):
    """The last number given in one tenant's log, and the log's epoch: a new epoch tells clients to start over."""

    tenant_id = models.UUIDField(primary_key=True, editable=False)
    epoch = models.CharField(max_length=16)
    last_seq = models.BigIntegerField(default=0)


class EventCursor(models.Model):
    """How far one subscriber has read one tenant's log."""

    tenant_id = models.UUIDField(editable=False)
    subscriber = models.CharField(max_length=100)
    last_seq = models.BigIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    last_error = models.TextField(default="", blank=True)
    retry_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "subscriber"], name="event_cursor_once")]


class ProcessHeartbeat(models.Model):
    """The last sign of life of one process of the platform."""

    name = models.CharField(max_length=60, primary_key=True)
    host = models.CharField(max_length=120)
    pid = models.IntegerField()
    started_at = models.DateTimeField(default=timezone.now)
    beat_at = models.DateTimeField(default=timezone.now)

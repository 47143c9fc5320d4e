"""How far a run is, counted from its documents each time."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, QuerySet
from django.utils import timezone

from apps.content.conf import ingest_settings
from apps.content.errors import RunMissing
from apps.content.models import Document, IngestRun

_ENDED = (Document.Status.READY, Document.Status.FAILED, Document.Status.REMOVED)


@dataclass(frozen=True)
class RunProgress:
    """`done` counts items that search has (or that were removed meanwhile); unchanged ones are among them.

    `rate_per_s` is over the last half minute while the run is going, over all of it afterwards. `eta_s` is None when
    nothing has ended lately. `stages` counts unfinished documents by the stage they wait for or are in.
    """

    run_id: UUID
    status: str
    total: int
    done: int
    failed: int
    held: int
    unchanged: int
    removed: int
    percent: float
    rate_per_s: float
    eta_s: float | None
    elapsed_s: float
    stages: dict[str, int] = field(default_factory=dict)

    @property
    def pending(self) -> int:
        return max(self.total - self.done - self.failed - self.held, 0)


def runs_recent() -> QuerySet[IngestRun]:
    """Runs with their sources, newest first."""
    return IngestRun.objects.select_related("source").order_by("-id")


def run_by_id(run_id: UUID) -> IngestRun:
    """Raises RunMissing."""
    run = runs_recent().filter(pk=run_id).first()
    if run is None:
        raise RunMissing(f"There is no ingest run {run_id}.")
    return run


def run_progress(run_id: UUID) -> RunProgress:
    """The progress of one run. Raises RunMissing."""
    return progress_of_runs([run_by_id(run_id)])[run_id]


def progress_of_runs(runs: Iterable[IngestRun]) -> dict[UUID, RunProgress]:
    """The progress of several runs in two queries."""
    by_id = {run.pk: run for run in runs}
    now = timezone.now()
    window = timedelta(seconds=ingest_settings().rate_window_s)
    documents = Document.objects.filter(run__in=by_id).order_by()
    counts: dict[UUID, list[tuple[str, str, int]]] = {run_id: [] for run_id in by_id}
    for run_id, status, stage, number in documents.values_list("run_id", "status", "stage").annotate(n=Count("pk")):
        if run_id is not None:
            counts[run_id].append((status, stage, number))
    lately = documents.filter(status__in=_ENDED, updated_at__gte=now - window)
    recent = dict(lately.values_list("run_id").annotate(n=Count("pk")))
    return {run_id: _progress(run, counts[run_id], recent.get(run_id, 0), now) for run_id, run in by_id.items()}


def _progress(run: IngestRun, counts: list[tuple[str, str, int]], recent: int, now: datetime) -> RunProgress:
    by_status: dict[str, int] = {}
    stages: dict[str, int] = {}
    for status, stage, number in counts:
        by_status[status] = by_status.get(status, 0) + number
        if status in {Document.Status.PENDING, Document.Status.PROCESSING}:
            stages[stage] = stages.get(stage, 0) + number
    worked = by_status.get(Document.Status.READY, 0) + by_status.get(Document.Status.REMOVED, 0)
    done = worked + run.unchanged
    failed = by_status.get(Document.Status.FAILED, 0)
    held = by_status.get(Document.Status.HELD, 0)
    if run.status == IngestRun.Status.COMPLETED:  # a later run may have taken its documents over
        worked, failed = run.indexed, run.failed
        done = worked + run.unchanged
    total = max(run.total, done + failed + held)
    elapsed_s = max(((run.finished_at or now) - run.created_at).total_seconds(), 0.001)
    is_running = run.status == IngestRun.Status.RUNNING
    rate = recent / min(elapsed_s, ingest_settings().rate_window_s) if is_running else (worked + failed) / elapsed_s
    left = total - done - failed - held
    return RunProgress(
        run_id=run.pk,
        status=run.status,
        total=total,
        done=done,
        failed=failed,
        held=held,
        unchanged=run.unchanged,
        removed=run.removed,
        percent=round(100 * (done + failed) / total, 1) if total else 100.0 * (not is_running),
        rate_per_s=round(rate, 3),
        eta_s=round(left / rate, 1) if is_running and rate > 0 else None,
        elapsed_s=round(elapsed_s, 3),
        stages=stages,
    )

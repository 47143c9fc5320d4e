"""Runs: which documents one request to ingest is waiting for."""

from uuid import UUID

from django.utils import timezone

from apps.content.errors import RunFinished, RunMissing
from apps.content.events import IngestStarted
from apps.content.locks import lock_document, lock_runs
from apps.content.models import Blob, Document, IngestRun, Source
from apps.content.services.documents import stop_job_of
from apps.content.services.outcomes import FINAL, complete_run_when_done, record_failure
from apps.core.correlation import current_correlation_id
from apps.core.events import publish
from apps.core.tenancy import atomic

UNFINISHED = (Document.Status.PENDING, Document.Status.PROCESSING, Document.Status.HELD)


def start_run(source: Source, *, origin: str, total: int) -> IngestRun:
    """A new run over `total` items, in the caller's transaction."""
    run = IngestRun.objects.create(
        source=source, origin=origin[:2000], total=total, correlation_id=current_correlation_id()
    )
    publish(IngestStarted(run_id=run.pk, source_id=source.pk, total=total))
    return run


def move_to_run(document: Document, run: IngestRun) -> None:
    """The newest run answers for a document; an older one that was still waiting for it needs one less."""
    previous = document.run_id
    document.run = run
    document.save(update_fields=["run"])
    if previous is not None and previous != run.pk:
        release_from_runs({previous: 1})


def release_from_runs(counts: dict[UUID, int]) -> None:
    """These runs no longer wait for so many of their documents."""
    for run in lock_runs(counts.keys()).values():
        if run.status == IngestRun.Status.RUNNING:
            run.total = max(run.total - counts[run.pk], 0)
            run.save(update_fields=["total"])
            complete_run_when_done(run.pk)


def cancel_run(run_id: UUID) -> int:
    """Stop what a run still has to do; what it has indexed stays. Returns how many documents were stopped."""
    with atomic():
        run = lock_runs([run_id]).get(run_id)
        if run is None:
            raise RunMissing(f"There is no ingest run {run_id}.")
        if run.status != IngestRun.Status.RUNNING:
            raise RunFinished(f"This run is {run.status} already.")
        run.status = IngestRun.Status.CANCELLED
        run.finished_at = timezone.now()
        run.save()
    unfinished = list(
        Document.objects.filter(run=run, status__in=UNFINISHED).order_by("pk").values_list("pk", flat=True)
    )
    for document_id in unfinished:
        with atomic():
            document = lock_document(document_id)
            if document is not None and document.status in UNFINISHED:
                record_failure(document, code="run_cancelled", detail="The ingest run was cancelled.")
                stop_job_of(document)
    return len(unfinished)


def abandon_interrupted_runs(source: Source) -> None:
    """Close runs of this source whose ingest was killed before all of its files were taken in."""
    running = IngestRun.objects.filter(source=source, status=IngestRun.Status.RUNNING).order_by("pk")
    for run in lock_runs(list(running.values_list("pk", flat=True))).values():
        documents = Document.objects.filter(run=run)
        taken_in = documents.count() + run.unchanged
        if taken_in < run.total and not documents.exclude(status__in=FINAL).exists():
            run.status = IngestRun.Status.CANCELLED
            run.finished_at = timezone.now()
            run.save()


def is_served(document: Document, hash_: str) -> bool:
    """Whether search has exactly this content of the document."""
    return (
        document.status == Document.Status.READY
        and document.content_hash == hash_
        and document.blob is not None
        and document.blob.state == Blob.State.INDEXED
    )


def prepare_document(document: Document, hash_: str, kind: str) -> None:
    """Ready for extraction of new content; what search has of the document stays until then."""
    document.content_hash = hash_
    document.media_type = kind
    document.status = Document.Status.PENDING
    document.stage = Document.Stage.EXTRACT
    document.progress = 0.0
    document.attempts = 0
    document.error_code = document.error_detail = ""
    document.removed_at = None
    document.fetched_at = timezone.now()

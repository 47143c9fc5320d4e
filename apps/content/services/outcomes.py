"""How documents and runs end. Everything here runs in a transaction that holds the document and its run."""

from uuid import UUID

from django.db.models import Count
from django.utils import timezone

from apps.content.events import DocumentAdvanced, DocumentFailed, IngestCompleted
from apps.content.locks import lock_document
from apps.content.models import Document, IngestRun
from apps.core.events import publish
from apps.core.jobs import current_job
from apps.core.tenancy import atomic

WAITING = (Document.Status.PENDING, Document.Status.PROCESSING)
FINAL = (Document.Status.READY, Document.Status.FAILED, Document.Status.REMOVED)

PROGRESS: dict[str, float] = {
    Document.Stage.FETCH: 0.0,
    Document.Stage.NORMALISE: 0.15,
    Document.Stage.EXTRACT: 0.2,
    Document.Stage.CHUNK: 0.35,
    Document.Stage.EMBED: 0.4,
    Document.Stage.CONTAINERISE: 0.9,
    Document.Stage.INDEX: 0.95,
    Document.Stage.DONE: 1.0,
}
"""How far a document is when a stage begins."""


def advance(document: Document, stage: Document.Stage, *, progress: float | None = None) -> None:
    """Record that a document entered a stage, and say so."""
    document.status = Document.Status.PROCESSING
    document.stage = stage
    document.progress = PROGRESS[stage] if progress is None else progress
    document.save()
    publish(
        DocumentAdvanced(
            document_id=document.pk,
            run_id=document.run_id,
            source_id=document.source_id,
            stage=stage,
            progress=document.progress,
        )
    )


def begin_stage(document: Document, stage: Document.Stage) -> None:
    """Show which stage a job is working on; the event comes when the stage is done."""
    job = current_job()
    Document.objects.filter(
        pk=document.pk, content_hash=document.content_hash, status__in=[*WAITING, Document.Status.FAILED]
    ).update(
        status=Document.Status.PROCESSING,
        stage=stage,
        job_id=job.id if job else document.job_id,
        updated_at=timezone.now(),
    )


def fail_document(document_id: UUID, *, content_hash: str | None, code: str, detail: str) -> None:
    """Mark a document failed with its cause, unless it is so already, has moved on to other content, or is gone."""
    with atomic():
        document = lock_document(document_id)
        if document is None or document.status in {Document.Status.REMOVED, Document.Status.FAILED}:
            return
        if content_hash is not None and document.content_hash != content_hash:
            return
        record_failure(document, code=code, detail=detail)


def record_failure(document: Document, *, code: str, detail: str) -> None:
    """The document and its run are locked."""
    document.status = Document.Status.FAILED
    document.error_code = code
    document.error_detail = detail
    document.save()
    publish(
        DocumentFailed(
            document_id=document.pk,
            run_id=document.run_id,
            source_id=document.source_id,
            stage=document.stage,
            code=code,
            detail=detail,
        )
    )
    complete_run_when_done(document.run_id)


def complete_run_when_done(run_id: UUID | None) -> None:
    """Complete a run when all of its items are accounted for. The caller holds the run's row, so this happens once."""
    run = IngestRun.objects.filter(pk=run_id, status=IngestRun.Status.RUNNING).first() if run_id else None
    if run is None:
        return
    documents = Document.objects.filter(run=run)
    if documents.exclude(status__in=FINAL).exists():
        return
    counted = documents.order_by().values_list("status").annotate(number=Count("pk"))
    by_status = dict.fromkeys(FINAL, 0) | {Document.Status(status): number for status, number in counted}
    if sum(by_status.values()) + run.unchanged < run.total:
        return
    run.status = IngestRun.Status.COMPLETED
    run.finished_at = timezone.now()
    run.indexed = by_status[Document.Status.READY] + by_status[Document.Status.REMOVED]
    run.failed = by_status[Document.Status.FAILED]
    run.save()
    publish(
        IngestCompleted(
            run_id=run.pk,
            source_id=run.source_id,
            indexed=by_status[Document.Status.READY] + run.unchanged,
            failed=run.failed,
        )
    )

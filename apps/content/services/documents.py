"""What people do to documents: remove them, process them again."""

from collections.abc import Collection
from uuid import UUID

from django.utils import timezone

from apps.content.errors import DocumentMissing, DocumentNotRetryable
from apps.content.events import DocumentRemoved
from apps.content.locks import lock_document
from apps.content.models import Blob, Document, IngestRun, SemanticContainer, Source
from apps.content.services.blobs import drop_unused_blob
from apps.content.services.outcomes import complete_run_when_done
from apps.content.tasks import enqueue_extract, enqueue_fetch
from apps.core.events import publish
from apps.core.jobs import cancel_job
from apps.core.jobs.errors import JobFinished, JobMissing
from apps.core.tenancy import atomic


def remove_document(document_id: UUID, *, reason: str) -> None:
    """Take a document out of search at once; its content goes too unless another document holds it.

    Raises DocumentMissing. Removing it again changes nothing.
    """
    with atomic():
        document = lock_document(document_id)
        if document is None:
            raise DocumentMissing(f"There is no document {document_id}.")
        if document.status == Document.Status.REMOVED:
            return
        unused = {document.blob_id} | set(
            Blob.objects.filter(content_hash=document.content_hash).values_list("pk", flat=True)
        )
        SemanticContainer.objects.filter(document=document).delete()
        document.status = Document.Status.REMOVED
        document.removed_at = timezone.now()
        document.blob = None
        document.content_hash = document.etag = ""
        document.error_code = document.error_detail = ""
        document.save()
        publish(DocumentRemoved(document_id=document.pk, source_id=document.source_id, reason=reason))
        complete_run_when_done(document.run_id)
        for blob_id in sorted(blob_id for blob_id in unused if blob_id is not None):
            drop_unused_blob(blob_id)


def retry_document(document_id: UUID) -> UUID:
    """Process a failed document again from the furthest stage whose result is kept. Returns the job's id.

    Raises DocumentMissing, DocumentNotRetryable.
    """
    with atomic():
        document = lock_document(document_id)
        if document is None or document.status == Document.Status.REMOVED:
            raise DocumentMissing(f"There is no document {document_id}.")
        if document.status != Document.Status.FAILED:
            raise DocumentNotRetryable(f"This document is {document.status}; only a failed one can be retried.")
        job_id = restart(document)
        if document.run_id is not None:
            IngestRun.objects.filter(pk=document.run_id, status=IngestRun.Status.COMPLETED).update(
                status=IngestRun.Status.RUNNING, finished_at=None
            )
        return job_id


def restart(document: Document) -> UUID:
    """Put a locked document back to work and save it. Raises DocumentNotRetryable when its content never arrived."""
    document.status = Document.Status.PENDING
    document.progress = 0.0
    document.attempts = 0
    document.error_code = document.error_detail = ""
    is_stored = Blob.objects.filter(content_hash=document.content_hash).exists() if document.content_hash else False
    if is_stored:
        document.stage = Document.Stage.EXTRACT
        job_id = enqueue_extract(document.pk, document.content_hash)
    elif document.source.kind == Source.Kind.WEB:
        document.stage = Document.Stage.FETCH
        job_id = enqueue_fetch(document.pk)
    else:
        raise DocumentNotRetryable("Its content never arrived; bring it in again from where it is.")
    document.job_id = job_id
    document.save()
    return job_id


def retry_failed_documents(document_ids: Collection[UUID] | None = None) -> tuple[list[UUID], list[UUID]]:
    """Retry these failed documents, or all; returns the ids that were retried and the ones that cannot be."""
    failed = Document.objects.filter(status=Document.Status.FAILED)
    wanted = (
        list(document_ids) if document_ids is not None else list(failed.order_by("pk").values_list("pk", flat=True))
    )
    retried: list[UUID] = []
    refused: list[UUID] = []
    for document_id in wanted:
        try:
            retry_document(document_id)
        except (DocumentNotRetryable, DocumentMissing):
            refused.append(document_id)
        else:
            retried.append(document_id)
    return retried, refused


def stop_job_of(document: Document) -> None:
    """Ask the job that works on a document to stop, if there is one."""
    if document.job_id is None:
        return
    try:
        cancel_job(document.job_id)
    except (JobMissing, JobFinished):
        return

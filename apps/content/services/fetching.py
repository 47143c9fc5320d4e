"""Fetch: bring one item's bytes in, unless they are the ones we have."""

from collections.abc import Callable
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit
from uuid import UUID

from django.utils import timezone

from apps.content.conf import ingest_settings
from apps.content.events import SourceFetchFailed
from apps.content.extraction import media_type_of
from apps.content.locks import lock_document
from apps.content.models import Blob, Document, Source
from apps.content.services.blobs import content_hash, store_blob
from apps.content.services.outcomes import advance, complete_run_when_done
from apps.core.egress import EgressError, FetchResult, fetch
from apps.core.events import publish
from apps.core.jobs import current_job
from apps.core.tenancy import atomic

NextStep = Callable[[UUID, str], UUID]
"""Enqueues the next stage of (document, content hash); returns the job's id."""


def fetch_document(document_id: UUID, *, then: NextStep) -> None:
    """Fetch a web document and go on with `then`, or finish at once when nothing has changed.

    A paused source holds the document. Each failed attempt is an event, written before the error goes on to the job.
    Raises EgressError, ExtractionError (content that is not read).
    """
    document = _begin(document_id)
    if document is None:
        return
    conf = ingest_settings()
    known = document.blob is not None and document.blob.state == Blob.State.INDEXED and document.etag
    try:
        result = fetch(
            document.uri,
            max_bytes=conf.max_document_bytes,
            timeout_s=conf.fetch_timeout_s,
            etag=document.etag if known else None,
        )
    except EgressError as error:
        _record_failed_attempt(document, error)
        raise
    _receive(document_id, result, then)


def _begin(document_id: UUID) -> Document | None:
    with atomic():
        document = lock_document(document_id)
        if document is None or document.status == Document.Status.REMOVED:
            return None
        job = current_job()
        document.job_id = job.id if job else document.job_id
        if document.source.state == Source.State.PAUSED:
            document.status = Document.Status.HELD
            document.save()
            return None
        document.attempts += 1
        advance(document, Document.Stage.FETCH)
        return document


def _record_failed_attempt(document: Document, error: EgressError) -> None:
    with atomic():
        Document.objects.filter(pk=document.pk).update(
            error_code=error.code, error_detail=error.detail, updated_at=timezone.now()
        )
        publish(
            SourceFetchFailed(
                source_id=document.source_id,
                document_id=document.pk,
                url=document.uri,
                code=error.code,
                detail=error.detail,
                attempt=document.attempts,
            )
        )


def _receive(document_id: UUID, result: FetchResult, then: NextStep) -> None:
    filename = unquote(PurePosixPath(urlsplit(result.url_final).path).name)
    with atomic():
        document = lock_document(document_id)
        if document is None or document.status == Document.Status.REMOVED:
            return
        document.fetched_at = timezone.now()
        document.error_code = document.error_detail = ""
        if result.status == 304:
            settle_unchanged(document)
            return
        advance(document, Document.Stage.NORMALISE)
    kind = media_type_of(result.content, declared=result.media_type, filename=filename)
    hash_ = content_hash(result.content, kind)
    with atomic():
        document = lock_document(document_id)
        if document is None or document.status == Document.Status.REMOVED:
            return
        document.etag = result.etag[:500]
        document.media_type = kind
        if document.blob is not None and document.blob.content_hash == hash_ and is_indexed(document):
            document.content_hash = hash_
            settle_unchanged(document)
            return
        store_blob(result.content, hash_=hash_, media_type=kind, charset=result.charset)
        document.content_hash = hash_
        document.job_id = then(document.pk, hash_)
        advance(document, Document.Stage.EXTRACT)


def is_indexed(document: Document) -> bool:
    """Whether the document's present blob is served by search."""
    return document.blob is not None and document.blob.state == Blob.State.INDEXED


def settle_unchanged(document: Document) -> None:
    """The document is what search has already; it and its run are locked."""
    document.status = Document.Status.READY
    document.stage = Document.Stage.DONE
    document.progress = 1.0
    document.error_code = document.error_detail = ""
    document.save()
    complete_run_when_done(document.run_id)

"""Embed, containerise and index: from passages to something search finds."""

from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from django.utils import timezone

from apps.content.chunking import embedding_text
from apps.content.errors import ContentGone, EmbeddingsGone
from apps.content.events import DocumentIndexed
from apps.content.extraction import ExtractionError
from apps.content.locks import lock_blob, lock_document
from apps.content.models import Blob, Chunk, Document, SemanticContainer
from apps.content.services.blobs import drop_unused_blob
from apps.content.services.outcomes import PROGRESS, advance, begin_stage, complete_run_when_done
from apps.core.events import publish
from apps.core.jobs import current_job
from apps.core.tenancy import atomic, current_tenant
from apps.intelligence import services as intelligence
from apps.intelligence.ports import Embedder

CAPABILITIES = ["search", "chat", "cite"]
ANNOUNCE_EVERY_S = 2.0
UPDATE_BATCH = 500


class NothingToIndex(ExtractionError):
    """The content was read, but holds no passage."""

    code = "document_empty"
    title = "The document contains no text"


@dataclass(frozen=True)
class IndexResult:
    """`embedded` vectors were made now; the other chunks of `chunks` had theirs."""

    chunks: int
    embedded: int


def index_document(document_id: UUID, *, expected_hash: str, embedder: Embedder) -> IndexResult | None:
    """Embed what has no vector yet, make the document findable, and drop what it replaces.

    The switch from old to new content is one transaction. Safe to run twice; None when the document has moved on.
    Raises EmbedderUnavailable, EmbeddingsGone (try again), NothingToIndex.
    """
    document = Document.objects.filter(pk=document_id, content_hash=expected_hash).first()
    blob = Blob.objects.filter(content_hash=expected_hash).first()
    if document is None or document.status in {Document.Status.REMOVED, Document.Status.READY}:
        return None
    if blob is None:
        raise ContentGone("The stored content of this document is gone; bring it in again.")
    begin_stage(document, Document.Stage.EMBED)
    chunks = list(Chunk.objects.filter(blob=blob).order_by("ordinal").defer("tsv"))
    if not chunks:
        raise NothingToIndex("The document contains no readable text.")
    texts = [embedding_text(row.title, row.heading_path, row.text) for row in chunks]
    result = intelligence.ensure_embeddings(texts, _Announcer(document))
    replaced = _switch(document_id, expected_hash, blob.pk, chunks, result, embedder.model_id)
    if replaced is not None:
        drop_unused_blob(replaced)
    return IndexResult(len(chunks), result.embedded)


def _switch(
    document_id: UUID,
    expected_hash: str,
    blob_id: UUID,
    chunks: list[Chunk],
    result: intelligence.EmbedResult,
    model_id: str,
) -> UUID | None:
    """Point the document at its new blob; returns the blob it replaced."""
    with atomic():
        document = lock_document(document_id)
        if document is None or document.content_hash != expected_hash:
            return None
        if document.status in {Document.Status.REMOVED, Document.Status.READY}:
            return None
        blob = lock_blob(blob_id)
        if blob is None:
            return None
        _label_chunks(blob, chunks, result.labels)
        replaced = document.blob_id if document.blob_id != blob.pk else None
        document.blob = blob
        document.title = blob.title or _name_of(document.uri)
        document.media_type = blob.media_type
        document.status = Document.Status.READY
        document.stage = Document.Stage.DONE
        document.progress = 1.0
        document.error_code = document.error_detail = ""
        document.indexed_at = timezone.now()
        document.save()
        container = _containerise(document, blob, model_id)
        publish(
            DocumentIndexed(
                document_id=document.pk,
                container_id=container.pk,
                run_id=document.run_id,
                source_id=document.source_id,
                chunk_count=len(chunks),
                embedded_count=result.embedded,
            )
        )
        complete_run_when_done(document.run_id)
        intelligence.notify_index_after_commit(current_tenant())
        return replaced


def _label_chunks(blob: Blob, chunks: list[Chunk], labels: list[int]) -> None:
    """Tie chunks to their vectors, which stay from here on. Raises EmbeddingsGone when one was deleted meanwhile."""
    if blob.state == Blob.State.INDEXED and all(row.label == label for row, label in zip(chunks, labels, strict=True)):
        return
    if intelligence.hold_embeddings(labels) != set(labels):
        raise EmbeddingsGone("Vectors were removed while this document was being indexed.")
    for row, label in zip(chunks, labels, strict=True):
        row.label = label
    Chunk.objects.bulk_update(chunks, ["label"], batch_size=UPDATE_BATCH)
    blob.state = Blob.State.INDEXED
    blob.save(update_fields=["state"])


def _containerise(document: Document, blob: Blob, model_id: str) -> SemanticContainer:
    container, _ = SemanticContainer.objects.update_or_create(
        document=document,
        defaults={
            "title": document.title,
            "content_type": blob.media_type,
            "capabilities": CAPABILITIES,
            "provenance": {
                "source_id": str(document.source_id),
                "source": document.source.name,
                "uri": document.uri,
                "content_hash": blob.content_hash,
                "fetched_at": document.fetched_at.isoformat() if document.fetched_at else None,
                "chunker": blob.chunker,
                "embedding_model": model_id,
            },
            "active": True,
        },
    )
    return container


def _name_of(uri: str) -> str:
    return (uri.rstrip("/").rpartition("/")[2] or uri)[:500]


class _Announcer:
    """Reports the progress of embedding: to the job at every step, as an event every two seconds."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._announced_at = monotonic()

    def __call__(self, done: int, total: int) -> None:
        share = done / max(total, 1)
        job = current_job()
        if job is not None:
            job.report(share, "embed")
            job.check_cancelled()
        if monotonic() - self._announced_at < ANNOUNCE_EVERY_S:
            return
        self._announced_at = monotonic()
        span = PROGRESS[Document.Stage.CONTAINERISE] - PROGRESS[Document.Stage.EMBED]
        progress = PROGRESS[Document.Stage.EMBED] + share * span
        with atomic():
            document = lock_document(self._document.pk)
            if document is not None and document.content_hash == self._document.content_hash:
                advance(document, Document.Stage.EMBED, progress=progress)

"""Normalise, extract and chunk: from stored bytes to passages, once per content."""

from uuid import UUID

from django.utils import timezone

from apps.content.chunking import chunk, embedding_text
from apps.content.errors import ContentGone
from apps.content.extraction import Extracted, extract
from apps.content.locks import lock_blob, lock_document
from apps.content.models import Blob, Chunk, Document
from apps.content.services.fetching import NextStep
from apps.content.services.outcomes import advance, begin_stage
from apps.core.jobs import current_job
from apps.core.tenancy import atomic
from apps.intelligence.ports import Embedder
from apps.intelligence.services import text_hash
from apps.storage import services as storage

CHUNKER = "structure/1"
"""Name and version of how text is cut; goes with the embedder's id onto each blob."""
MAX_CHUNK_TOKENS = 400
INSERT_BATCH = 500


def chunker_for(embedder: Embedder) -> str:
    return f"{CHUNKER}:{min(embedder.max_tokens, MAX_CHUNK_TOKENS)}"


def extract_document(document_id: UUID, *, expected_hash: str, embedder: Embedder, then: NextStep) -> None:
    """Read and cut a document's content unless that was done before, and go on with `then`.

    Returns at once when the document has moved on. Raises ContentGone, ExtractionError and the errors of storage.
    """
    document = Document.objects.filter(pk=document_id, content_hash=expected_hash).first()
    blob = Blob.objects.filter(content_hash=expected_hash).first()
    if document is None or document.status == Document.Status.REMOVED:
        return
    if blob is None:
        raise ContentGone("The stored content of this document is gone; bring it in again.")
    begin_stage(document, Document.Stage.EXTRACT)
    chunker = chunker_for(embedder)
    if blob.state == Blob.State.STORED or blob.chunker != chunker:
        _extract_blob(blob, embedder, chunker)
    with atomic():
        locked = lock_document(document_id)
        if locked is None or locked.content_hash != expected_hash or locked.status == Document.Status.REMOVED:
            return
        locked.job_id = then(document_id, expected_hash)
        advance(locked, Document.Stage.EMBED)


def _extract_blob(blob: Blob, embedder: Embedder, chunker: str) -> None:
    data = storage.retrieve_bytes(blob.artifact_path)
    _note("extract", 0.2)
    extracted = extract(data, media_type=blob.media_type, charset=blob.metadata.get("charset"))
    _note("chunk", 0.7)
    rows = chunk_rows(blob, extracted, embedder)
    with atomic():
        locked = lock_blob(blob.pk)
        if locked is None or (locked.state != Blob.State.STORED and locked.chunker == chunker):
            return
        Chunk.objects.filter(blob=locked).delete()
        Chunk.objects.bulk_create(rows, batch_size=INSERT_BATCH)
        locked.text = extracted.text
        locked.title = extracted.title
        locked.language = extracted.language
        locked.metadata = extracted.metadata | {
            "headings": [[heading.level, heading.text, heading.start] for heading in extracted.headings[:2000]],
            "extracted_at": timezone.now().isoformat(),
        }
        locked.chunker = chunker
        locked.state = Blob.State.EXTRACTED
        locked.save()


def chunk_rows(blob: Blob, extracted: Extracted, embedder: Embedder) -> list[Chunk]:
    """Unsaved chunks of an extracted document."""
    spans = chunk(extracted, tokenizer=embedder, max_tokens=min(embedder.max_tokens, MAX_CHUNK_TOKENS))
    rows = []
    for span in spans:
        text = extracted.text[span.start : span.end]
        rows.append(
            Chunk(
                blob=blob,
                ordinal=span.ordinal,
                start=span.start,
                end=span.end,
                heading_path=list(span.heading_path),
                heading=" > ".join(span.heading_path),
                title=extracted.title,
                text=text,
                text_hash=text_hash(embedding_text(extracted.title, span.heading_path, text)),
            )
        )
    return rows


def _note(stage: str, progress: float) -> None:
    job = current_job()
    if job is not None:
        job.report(progress, stage)
        job.check_cancelled()

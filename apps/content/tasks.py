"""Jobs of content: fetch, then extract, then index. Each is safe to run twice and stops when the document moved on."""

from typing import Any
from uuid import UUID

from apps.content.errors import EmbeddingsGone
from apps.content.services import extracting, fetching, indexing
from apps.content.services.blobs import sweep_unused_blobs
from apps.content.services.outcomes import fail_document
from apps.core.egress import TransientEgressError
from apps.core.jobs import enqueue, job
from apps.core.schedules import every
from apps.intelligence.errors import EmbedderUnavailable
from apps.intelligence.ports import embedder
from apps.storage.errors import StorageFull, StorageUnavailable

STORAGE_TROUBLE = (StorageUnavailable, StorageFull)


def _discarded(args: dict[str, Any], code: str, detail: str) -> None:
    fail_document(UUID(str(args["document_id"])), content_hash=args.get("content_hash"), code=code, detail=detail)


@job(
    "content.index_document",
    queue="storage",
    timeout_s=1800,
    attempts=5,
    retry_on=(EmbedderUnavailable, EmbeddingsGone),
    on_discard=_discarded,
)
def index_document(*, document_id: UUID, content_hash: str) -> None:
    """Embed, containerise, index."""
    indexing.index_document(document_id, expected_hash=content_hash, embedder=embedder())


@job(
    "content.extract_document",
    timeout_s=300,
    attempts=5,
    retry_on=(*STORAGE_TROUBLE, EmbedderUnavailable),
    on_discard=_discarded,
)
def extract_document(*, document_id: UUID, content_hash: str) -> None:
    """Normalise, extract, chunk."""
    extracting.extract_document(document_id, expected_hash=content_hash, embedder=embedder(), then=enqueue_index)


@job(
    "content.fetch_document",
    timeout_s=120,
    attempts=5,
    retry_on=(TransientEgressError, *STORAGE_TROUBLE),
    on_discard=_discarded,
)
def fetch_document(*, document_id: UUID) -> None:
    """Fetch, or hold while the source is paused."""
    fetching.fetch_document(document_id, then=enqueue_extract)


@every(3600, "content.sweep_blobs")
@job("content.sweep_blobs", timeout_s=300)
def sweep_blobs() -> None:
    """Drop blobs that no document holds."""
    sweep_unused_blobs()


def enqueue_fetch(document_id: UUID, *, priority: int = 0) -> UUID:
    return enqueue(
        fetch_document, document_id=document_id, _unique_key=f"content.fetch:{document_id}", _priority=priority
    )


def enqueue_extract(document_id: UUID, content_hash: str) -> UUID:
    key = f"content.extract:{document_id}:{content_hash}"
    return enqueue(extract_document, document_id=document_id, content_hash=content_hash, _unique_key=key)


def enqueue_index(document_id: UUID, content_hash: str) -> UUID:
    key = f"content.index:{document_id}:{content_hash}"
    return enqueue(index_document, document_id=document_id, content_hash=content_hash, _unique_key=key)

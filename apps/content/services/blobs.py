"""One blob per content: stored when first seen, dropped when no document holds it."""

from collections.abc import Sequence
from uuid import UUID

from blake3 import blake3
from django.db.models import Q

from apps.content.conf import ingest_settings
from apps.content.locks import lock_blob, lock_content
from apps.content.models import Blob, Chunk, Document
from apps.core.tenancy import atomic, current_tenant
from apps.intelligence import services as intelligence
from apps.storage import services as storage


def content_hash(data: bytes, media_type: str) -> str:
    """BLAKE3 of the media type and the bytes: the same bytes read as another format are other content."""
    return blake3(media_type.encode() + b"\0" + data).hexdigest()


def blob_path(hash_: str) -> str:
    return f"blobs/{hash_[:2]}/{hash_}"


def store_blob(data: bytes, *, hash_: str, media_type: str, charset: str | None) -> Blob:
    """The blob of this content, created when it is not there. Call it in the transaction that makes a document name it."""
    lock_content(hash_)
    found = Blob.objects.filter(content_hash=hash_).first()
    if found is not None and storage.exists(found.artifact_path):
        return found
    path = blob_path(hash_)
    storage.store_bytes(path, data, content_type=media_type)
    if found is not None:
        return found
    return Blob.objects.create(
        content_hash=hash_,
        media_type=media_type,
        artifact_path=path,
        size_bytes=len(data),
        metadata={"charset": charset} if charset else {},
    )


def drop_unused_blob(blob_id: UUID) -> bool:
    """Drop a blob that no document holds, with its chunks, its vectors that no other chunk uses, and its bytes."""
    with atomic():
        known = Blob.objects.filter(pk=blob_id).values_list("content_hash", flat=True).first()
        if known is None:
            return False
        lock_content(known)
        blob = lock_blob(blob_id)
        if blob is None or _is_held(blob):
            return False
        labels = list(Chunk.objects.filter(blob=blob, label__isnull=False).values_list("label", flat=True).distinct())
        path = blob.artifact_path
        blob.delete()
        if labels:
            intelligence.delete_embeddings([label for label in labels if label is not None], referenced=_referenced)
        storage.delete(path)
        intelligence.notify_index_after_commit(current_tenant())
    return True


def sweep_unused_blobs() -> int:
    """Drop blobs that a crash left behind; returns how many went."""
    held = Document.objects.exclude(content_hash="").values("content_hash")
    unused = (
        Blob.objects.filter(documents__isnull=True)
        .exclude(content_hash__in=held)
        .order_by("pk")
        .values_list("pk", flat=True)[: ingest_settings().sweep_batch]
    )
    return sum(drop_unused_blob(blob_id) for blob_id in list(unused))


def _is_held(blob: Blob) -> bool:
    """Held by a document that serves it, or by one on its way to it."""
    return (
        Document.objects.filter(Q(blob=blob) | Q(content_hash=blob.content_hash))
        .exclude(status=Document.Status.REMOVED)
        .exists()
    )


def _referenced(labels: Sequence[int]) -> set[int]:
    rows = Chunk.objects.filter(label__in=labels).values_list("label", flat=True).distinct()
    return {label for label in rows if label is not None}

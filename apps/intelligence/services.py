"""Writes of embeddings, in the tenant in force. Equal text under one model is embedded once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from blake3 import blake3
from django.db import transaction
from django.utils import timezone

from apps.core.tenancy import TenantRef, alias_in_force, atomic
from apps.intelligence.errors import VectorInvalid
from apps.intelligence.locks import hold_embeddings, lock_embeddings
from apps.intelligence.models import Embedding, EmbeddingTombstone
from apps.intelligence.ports import Embedder, Vectors, embedder
from apps.intelligence.vectors import client

__all__ = [
    "EmbedResult",
    "check_vectors",
    "delete_embeddings",
    "ensure_embeddings",
    "hold_embeddings",
    "notify_index",
    "notify_index_after_commit",
    "prune_tombstones",
    "text_hash",
]

EMBED_BATCH = 8
LOOKUP_BATCH = 1000
TOMBSTONES_KEPT_S = 3600.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class EmbedResult:
    """Labels in the order of the texts; how many vectors were made now, and how many texts were known already."""

    labels: list[int]
    embedded: int
    reused: int


def text_hash(text: str) -> str:
    """BLAKE3 of the text's UTF-8, in hex: the identity of what is embedded."""
    return blake3(text.encode()).hexdigest()


def ensure_embeddings(texts: Sequence[str], on_progress: Progress | None = None) -> EmbedResult:
    """Give every text an embedding under the current model and return its labels.

    Call it outside a transaction: each batch is stored when it is made, so an interrupted run continues where it was.
    `on_progress(done, total)` counts distinct texts and may raise to stop. Raises EmbedderUnavailable.
    """
    model = embedder()
    hashes = [text_hash(text) for text in texts]
    by_hash = dict(zip(hashes, texts, strict=True))
    labels = _known_labels(model.model_id, list(by_hash))
    missing = [value for value in by_hash if value not in labels]
    total, known = len(by_hash), len(by_hash) - len(missing)
    for start in range(0, len(missing), EMBED_BATCH):
        batch = missing[start : start + EMBED_BATCH]
        vectors = check_vectors(model.embed([by_hash[value] for value in batch]), model.dim, len(batch))
        labels |= _store(model, batch, vectors)
        if on_progress is not None:
            on_progress(known + start + len(batch), total)
    return EmbedResult([labels[value] for value in hashes], len(missing), known)


def check_vectors(vectors: Vectors, dim: int, count: int) -> Vectors:
    """`vectors`, if they are finite, not zero, and of shape (count, dim). Raises VectorInvalid."""
    if vectors.shape != (count, dim):
        raise VectorInvalid(f"The embedding model returned {vectors.shape} numbers, not {(count, dim)}.")
    if not np.isfinite(vectors).all() or not np.any(vectors, axis=1).all():
        raise VectorInvalid("The embedding model returned a vector that is zero or not finite.")
    return vectors


def delete_embeddings(labels: Sequence[int], *, referenced: Callable[[list[int]], set[int]] | None = None) -> int:
    """Delete embeddings and leave word for the index. Returns how many went.

    `referenced` is asked under the rows' locks which of them are needed after all; those stay.
    """
    with atomic():
        locked = lock_embeddings(labels)
        kept = referenced(list(locked)) if referenced is not None and locked else set[int]()
        gone = {label: model_id for label, model_id in locked.items() if label not in kept}
        Embedding.objects.filter(label__in=gone).delete()
        EmbeddingTombstone.objects.bulk_create(
            [EmbeddingTombstone(label=label, model_id=model_id) for label, model_id in gone.items()],
            ignore_conflicts=True,
        )
    return len(gone)


def prune_tombstones(*, older_than_s: float = TOMBSTONES_KEPT_S) -> int:
    """Delete tombstones no index needs: one that has not read for so long compares everything anyway."""
    gone, _ = EmbeddingTombstone.objects.filter(
        created_at__lt=timezone.now() - timedelta(seconds=older_than_s)
    ).delete()
    return gone


def notify_index(tenant: TenantRef) -> None:
    """Tell the index owner that `tenant` has news. Best effort: an owner that is away reads it when it returns."""
    client.notify(tenant.id)


def notify_index_after_commit(tenant: TenantRef) -> None:
    """The same, once the transaction in force is committed."""
    transaction.on_commit(lambda: notify_index(tenant), using=alias_in_force(), robust=True)


def _known_labels(model_id: str, hashes: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for start in range(0, len(hashes), LOOKUP_BATCH):
        rows = Embedding.objects.filter(model_id=model_id, text_hash__in=hashes[start : start + LOOKUP_BATCH])
        found |= dict(rows.values_list("text_hash", "label"))
    return found


def _store(model: Embedder, hashes: list[str], vectors: Vectors) -> dict[str, int]:
    """Insert what nobody else has inserted meanwhile; the labels in force either way."""
    rows = [
        Embedding(model_id=model.model_id, text_hash=value, vector=vector)
        for value, vector in zip(hashes, vectors, strict=True)
    ]
    Embedding.objects.bulk_create(rows, ignore_conflicts=True)
    return _known_labels(model.model_id, hashes)

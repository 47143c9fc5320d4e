"""The vector leg of a search: the owner's index first, PostgreSQL when it cannot answer."""

import time
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from apps.core.tenancy import current_tenant
from apps.intelligence.errors import VectorInvalid
from apps.intelligence.ports import Vectors, embedder
from apps.intelligence.vectors import client, protocol
from apps.intelligence.vectors.base import Hit, VectorHits, VectorStatus
from apps.intelligence.vectors.pgvector import PgvectorIndex

STATUS_TIMEOUT_S = 1.0
EXACT = "pgvector"


def search(query: str | Vectors, *, k: int) -> VectorHits:
    """The `k` embeddings of the tenant in force nearest to a text or a vector, best first.

    Labels may have been deleted a moment ago: join them with their rows in PostgreSQL. `backend` says what answered.
    Raises EmbedderUnavailable, VectorInvalid.
    """
    tenant, model = current_tenant(), embedder()
    given = None if isinstance(query, str) else _checked(query, model.dim)
    request = protocol.Search(
        tenant.id,
        model.model_id,
        k,
        text=query[: protocol.MAX_TEXT_CHARS] if isinstance(query, str) else "",
        vector=b"" if given is None else protocol.pack_vector(given),
    )
    try:
        reply = client.ask(request)
    except client.OwnerUnavailable as away:
        vector = given if given is not None else _embed_here(tenant.id.bytes, model.model_id, request.text)
        return _in_postgres(model.model_id, vector, k, str(away))
    match reply:
        case protocol.Hits(labels, scores, packed):
            hits = list(zip(labels, scores, strict=True))
            return VectorHits(hits, "hnswlib", model.model_id, protocol.unpack_vector(packed))
        case protocol.NoIndex(reason, packed):
            return _in_postgres(model.model_id, protocol.unpack_vector(packed), k, reason)
    raise AssertionError(f"not a reply to a search: {reply!r}")


def embed_query(text: str) -> Vectors:
    """The vector of a query, float32 of shape (dim,). Raises EmbedderUnavailable."""
    tenant, model, text = current_tenant(), embedder(), text[: protocol.MAX_TEXT_CHARS]
    try:
        reply = client.ask(protocol.Embed(tenant.id, model.model_id, text))
    except client.OwnerUnavailable:
        return _embed_here(tenant.id.bytes, model.model_id, text)
    if not isinstance(reply, protocol.NoIndex):
        raise AssertionError(f"not a reply to an embedding: {reply!r}")
    return protocol.unpack_vector(reply.vector)


def exact_search(vector: Vectors, *, labels: Sequence[int] | None = None, k: int) -> list[Hit]:
    """Compare every embedding of the tenant in force, or those with the given labels: for selective filters."""
    model = embedder()
    return PgvectorIndex(model.model_id, labels).search(_checked(vector, model.dim), k)


def status() -> VectorStatus:
    """What serves the vector leg now; needs no tenant."""
    started = time.perf_counter()
    try:
        reply = client.ask(protocol.Status(), timeout_s=STATUS_TIMEOUT_S)
    except client.OwnerUnavailable as away:
        return VectorStatus(
            EXACT, False, (time.perf_counter() - started) * 1000, f"{away}; exact search in PostgreSQL serves"
        )
    latency_ms = (time.perf_counter() - started) * 1000
    if not isinstance(reply, protocol.Report):
        raise AssertionError(f"not a status: {reply!r}")
    count = sum(index.count for index in reply.indexes)
    detail = reply.detail or f"{reply.model_id}, {len(reply.indexes)} indexes in memory, {count} vectors"
    return VectorStatus(reply.backend, True, latency_ms, detail)


def _in_postgres(model_id: str, vector: Vectors, k: int, reason: str) -> VectorHits:
    return VectorHits(PgvectorIndex(model_id).search(vector, k), EXACT, model_id, vector, reason)


def _checked(vector: Vectors, dim: int) -> Vectors:
    vector = np.asarray(vector, np.float32)
    if vector.shape != (dim,) or not np.isfinite(vector).all() or not vector.any():
        raise VectorInvalid(f"A query vector has {dim} finite numbers, not all zero.")
    return vector


@lru_cache(maxsize=512)
def _embed_here(tenant: bytes, model_id: str, text: str) -> Vectors:
    """Embed in this process. Cached per tenant, so that timing tells nothing about another's queries."""
    vector: Vectors = embedder().embed([text])[0]
    vector.flags.writeable = False
    return vector

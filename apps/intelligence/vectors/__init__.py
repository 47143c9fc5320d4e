"""Vector search behind one interface: hnswlib in the index owner, pgvector in PostgreSQL, exact in memory."""

from apps.intelligence.vectors.base import Hit, MutableVectorIndex, VectorHits, VectorIndex, VectorStatus
from apps.intelligence.vectors.searching import embed_query, exact_search, search, status

__all__ = [
    "Hit",
    "MutableVectorIndex",
    "VectorHits",
    "VectorIndex",
    "VectorStatus",
    "embed_query",
    "exact_search",
    "search",
    "status",
]

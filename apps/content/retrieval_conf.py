"""Typed options of search and chat, with the reason for each number."""

from dataclasses import dataclass, field
from functools import cache

from django.conf import settings

from apps.content.services.fusion import FusionWeights


@dataclass(frozen=True)
class RetrievalSettings:
    """One set for a deployment."""

    fence_secret: str = field(repr=False)
    """Keeps the marks around passages in a prompt from being guessed by whoever wrote a passage."""
    max_query_chars: int = 1_000
    max_message_chars: int = 4_000
    text_candidates: int = 200
    vector_candidates: int = 100
    """Over-fetch: several of the nearest chunks belong to one document, or to one that was removed a moment ago."""
    exact_ground: int = 50_000
    """Chunks at most that an exact search under filters looks at."""
    facet_rows: int = 5_000
    weights: FusionWeights = field(default_factory=lambda: FusionWeights(k=60, text=1.0, vector=1.0))
    passages: int = 6
    passages_per_document: int = 2
    widened_passages: int = 3
    coverage_weight: float = 0.25
    min_relevance: float = 0.53
    """Relevance = cosine of the nearest passage + coverage_weight x the largest share of the query's idf that one
    passage holds. Measured with all-MiniLM-L6-v2 over PostgreSQL's manual (10,400 chunks): 50 questions it answers gave
    0.62 to 1.07, 20 it does not gave 0.21 to 0.43, but for two about near neighbours ("innodb_buffer_pool_size" 0.70).
    The middle of the gap: a wrong "found nothing" is worse than a quotation that readers can judge."""
    min_coverage_alone: float = 0.7
    """The rule while the embedding model does not answer: words alone decide."""


@cache
def retrieval_settings() -> RetrievalSettings:
    """Read once."""
    return RetrievalSettings(fence_secret=settings.SECRET_KEY)

"""Typed options of search and chat, with the reason for each number."""

from dataclasses import dataclass, field
from functools import cache

from apps.content.services.fusion import FusionWeights


@dataclass(frozen=True)
class RetrievalSettings:
    """One set for a deployment."""

    max_query_chars: int = 1_000
    max_message_chars: int = 4_000
    text_candidates: int = 400
    vector_candidates: int = 200
    """Over-fetch: several of the nearest chunks belong to one document, or to one that was removed a moment ago."""
    exact_ground: int = 50_000
    """Chunks at most that an exact search under filters looks at."""
    facet_rows: int = 5_000
    weights: FusionWeights = field(default_factory=lambda: FusionWeights(k=60, text=1.0, vector=1.0))
    passages: int = 6
    passages_per_document: int = 2
    widened_passages: int = 3
    min_cosine: float = 0.35
    min_cosine_with_words: float = 0.25
    min_coverage: float = 0.6
    """An answer is tried when the nearest passage is this near, or near enough and holding this share of the query's
    idf. Below it chat says that it found nothing."""


@cache
def retrieval_settings() -> RetrievalSettings:
    """Read once."""
    return RetrievalSettings()

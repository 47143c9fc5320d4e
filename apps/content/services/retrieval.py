"""Both legs for one query: what search ranks and chat quotes."""

import logging
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.content.errors import QueryEmpty, QueryInvalid, QueryTooLong
from apps.content.retrieval_conf import retrieval_settings
from apps.content.selectors import search as selectors
from apps.content.selectors.search import Candidate, Lexeme, SearchFilters
from apps.content.services.fusion import LegHit
from apps.intelligence import vectors
from apps.intelligence.errors import EmbedderUnavailable
from apps.intelligence.ports import Vectors

log = logging.getLogger(__name__)

NO_VECTORS = "unavailable"


@dataclass(frozen=True)
class Retrieved:
    """The legs' hits, each best first, and how well the best of them fit the query."""

    idf: Mapping[str, float]
    text: Sequence[LegHit]
    vector: Sequence[LegHit]
    best_cosine: float
    best_coverage: float
    """Largest share of the query's idf that one chunk holds."""
    vector_backend: str
    """What served the vector leg; NO_VECTORS when nothing did."""


def checked_query(query: str, *, max_chars: int) -> str:
    """The query with white space made plain. Raises QueryEmpty, QueryTooLong, QueryInvalid."""
    if len(query) > max_chars:
        raise QueryTooLong(f"At most {max_chars:,} characters; this has {len(query):,}.")
    if any(unicodedata.category(char) in {"Cc", "Cs"} and char not in "\t\r\n" for char in query):
        raise QueryInvalid("Remove control characters from the query.")
    plain = " ".join(query.split())
    if not plain:
        raise QueryEmpty("Write what to look for.")
    return plain


def retrieve(query: str, filters: SearchFilters, *, want: int) -> Retrieved:
    """Ask both legs for `query` (already checked); `want` = how many blobs the caller shows."""
    options = retrieval_settings()
    lexemes = selectors.lexemes_of_query(query)
    nearest = _nearest(query)
    hits = nearest.hits if nearest else []
    found = selectors.candidates(lexemes, hits, filters, text_limit=options.text_candidates)
    text = [candidate for candidate in found if candidate.leg == "text"]
    vector = [_hit(candidate) for candidate in found if candidate.leg == "vector"]
    if nearest and filters and len({hit.blob_id for hit in vector}) < want:
        vector = _exact_hits(nearest.vector, filters)
    return Retrieved(
        idf={lexeme.text: lexeme.idf for lexeme in lexemes},
        text=[_hit(candidate) for candidate in text],
        vector=vector,
        best_cosine=vector[0].score if vector else 0.0,
        best_coverage=max((_coverage(candidate, lexemes) for candidate in text), default=0.0),
        vector_backend=nearest.backend if nearest else NO_VECTORS,
    )


def _nearest(query: str) -> vectors.VectorHits | None:
    """The vector leg, or None while the embedding model does not answer: full text still does."""
    try:
        return vectors.search(query, k=retrieval_settings().vector_candidates)
    except EmbedderUnavailable as error:
        log.warning("search without vectors: %s", error.code)
        return None


def _exact_hits(query: Vectors, filters: SearchFilters) -> list[LegHit]:
    """The filters left too little of the nearest neighbours: compare with every chunk they allow."""
    options = retrieval_settings()
    ground = selectors.labelled_chunks(filters, limit=options.exact_ground)
    by_label: dict[int, list[selectors.LabelledChunk]] = {}
    for chunk in ground:
        by_label.setdefault(chunk.label, []).append(chunk)
    nearest = vectors.exact_search(query, labels=list(by_label), k=options.vector_candidates)
    return [
        LegHit(chunk_id=chunk.chunk_id, blob_id=chunk.blob_id, score=score)
        for label, score in nearest
        for chunk in by_label.get(label, ())
    ]


def _hit(candidate: Candidate) -> LegHit:
    return LegHit(chunk_id=candidate.chunk_id, blob_id=candidate.blob_id, score=candidate.score)


def _coverage(candidate: Candidate, lexemes: Sequence[Lexeme]) -> float:
    total = sum(lexeme.idf for lexeme in lexemes)
    held = sum(lexeme.idf for lexeme, rank in zip(lexemes, candidate.ranks, strict=True) if rank > 0)
    return held / total if total else 0.0

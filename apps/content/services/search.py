"""Search: one question, one ranked list of containers, with highlights, facets and reasons."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from uuid import UUID

from apps.content.errors import LimitRefused
from apps.content.retrieval_conf import retrieval_settings
from apps.content.selectors.search import HitRow, SearchFilters, hit_rows
from apps.content.services.fusion import FusedHit, fuse
from apps.content.services.highlighting import Highlight, best_sentences, deep_link
from apps.content.services.retrieval import Retrieved, checked_query, retrieve

MAX_LIMIT = 50


@dataclass(frozen=True, slots=True)
class ChunkView:
    """The passage a hit was found by; `text == normalised_text[start:end]`."""

    start: int
    end: int
    heading_path: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a hit stands where it does: rank and score in each leg (None = the leg did not find it), and their fusion."""

    fts_rank: int | None
    fts_score: float | None
    vector_rank: int | None
    vector_score: float | None
    rrf: float


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One container. `score` is the fused score as a share of the best possible one, first in both legs."""

    container_id: UUID
    document_id: UUID
    title: str
    source_uri: str
    deep_link: str
    score: float
    highlights: tuple[Highlight, ...]
    chunk: ChunkView
    explanation: Explanation | None
    source_name: str
    content_type: str


@dataclass(frozen=True, slots=True)
class FacetCount:
    """How many of the found containers have this value."""

    value: str
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Facets:
    source: tuple[FacetCount, ...]
    content_type: tuple[FacetCount, ...]


@dataclass(frozen=True, slots=True)
class SearchResponse:
    """`found` = containers counted in the facets, of which `results` are the best."""

    query: str
    results: tuple[SearchHit, ...]
    facets: Facets
    found: int
    took_ms: float
    vector_backend: str


def search(
    query: str, *, limit: int = 10, filters: SearchFilters | None = None, explain: bool = False
) -> SearchResponse:
    """Full text and vectors, fused; filters hold in both legs.

    At most five statements, two more when narrow filters call for an exact vector search.
    Raises QueryEmpty, QueryTooLong, QueryInvalid, LimitRefused.
    """
    started = perf_counter()
    options = retrieval_settings()
    if not 1 <= limit <= MAX_LIMIT:
        raise LimitRefused(f"Ask for 1 to {MAX_LIMIT} results.")
    plain = checked_query(query, max_chars=options.max_query_chars)
    conditions = filters or SearchFilters()
    retrieved = retrieve(plain, conditions, want=limit)
    fused = fuse(retrieved.text, retrieved.vector, options.weights)
    rows = hit_rows(
        [(hit.blob_id, hit.chunk_id) for hit in fused], conditions, with_text=limit, limit=options.facet_rows
    )
    return SearchResponse(
        query=plain,
        results=tuple(_hit(row, fused[row.position], retrieved, explain=explain) for row in rows[:limit]),
        facets=Facets(
            source=_facet(rows, lambda row: (str(row.source_id), row.source_name)),
            content_type=_facet(rows, lambda row: (row.content_type, row.content_type)),
        ),
        found=len(rows),
        took_ms=round((perf_counter() - started) * 1000, 2),
        vector_backend=retrieved.vector_backend,
    )


def _hit(row: HitRow, hit: FusedHit, retrieved: Retrieved, *, explain: bool) -> SearchHit:
    text = row.text or ""
    highlights = tuple(best_sentences(text, offset=row.start, idf=retrieved.idf))
    return SearchHit(
        container_id=row.container_id,
        document_id=row.document_id,
        title=row.title,
        source_uri=row.uri,
        deep_link=deep_link(
            uri=row.uri,
            document_id=row.document_id,
            highlight=highlights[0] if highlights else None,
            start=row.start,
            end=row.end,
        ),
        score=round(hit.rrf / retrieval_settings().weights.best, 6),
        highlights=highlights,
        chunk=ChunkView(start=row.start, end=row.end, heading_path=tuple(row.heading_path), text=text),
        explanation=_explanation(hit) if explain else None,
        source_name=row.source_name,
        content_type=row.content_type,
    )


def _explanation(hit: FusedHit) -> Explanation:
    return Explanation(
        fts_rank=hit.text.rank if hit.text else None,
        fts_score=hit.text.score if hit.text else None,
        vector_rank=hit.vector.rank if hit.vector else None,
        vector_score=hit.vector.score if hit.vector else None,
        rrf=hit.rrf,
    )


def _facet(rows: Sequence[HitRow], value_of: Callable[[HitRow], tuple[str, str]]) -> tuple[FacetCount, ...]:
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        value = value_of(row)
        counts[value] = counts.get(value, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0][1]))
    return tuple(FacetCount(value=value, label=label, count=count) for (value, label), count in ordered)

"""The SQL of retrieval. Both legs filter inside the query, so a filter never costs a hit that exists.

PostgreSQL's own ranking knows no document frequencies. Here a chunk's score is the sum over the query's lexemes of
idf (BM25's) times ts_rank of that lexeme alone, which saturates with its count and weighs title and headings higher.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID

from django.db import connections

from apps.core.tenancy import alias_in_force, current_tenant

TS_WEIGHTS = "{0.5,0.5,0.8,1.0}"
"""What ts_rank gives to weights D (text), C, B (headings), A (title)."""
MAX_LEXEMES = 24
DF_CAP = 20_000
DF_TTL_S = 60.0
COMMON_SHARE = 0.5
MATCH_BUDGET = 1_500
"""Rows the full-text leg may rank: rarest lexemes select first; the others still add to the score. Quality over
PostgreSQL's manual is the same from 500 to 6,000 and drops at 250 (docs/benchmarks.md)."""


@dataclass(frozen=True, slots=True)
class SearchFilters:
    """What hits must satisfy; empty = no condition. Sources by id or name."""

    source: tuple[str, ...] = ()
    content_type: tuple[str, ...] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None

    def __bool__(self) -> bool:
        return bool(self.source or self.content_type or self.created_after or self.created_before)


@dataclass(frozen=True, slots=True)
class Lexeme:
    """One lexeme of a query with its weight in this tenant's chunks."""

    text: str
    df: int
    idf: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live chunk that a leg found. `ranks` = ts_rank per scored lexeme in the text leg."""

    leg: str
    chunk_id: int
    blob_id: UUID
    score: float
    ranks: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class HitRow:
    """One live container of a found blob, with the chunk it was found by. `text` is None where it was not asked for."""

    position: int
    container_id: UUID
    document_id: UUID
    title: str
    uri: str
    content_type: str
    source_id: UUID
    source_name: str
    chunk_id: int
    start: int
    end: int
    heading_path: Sequence[str]
    text: str | None


@dataclass(frozen=True, slots=True)
class LabelledChunk:
    """A live chunk and its embedding's label."""

    label: int
    chunk_id: int
    blob_id: UUID


_frequencies: dict[tuple[UUID, str], tuple[float, int]] = {}
"""(tenant, lexeme) -> (read at, chunks that hold it); "" counts all chunks. A cache only: TTL, bounded, per process."""
MAX_CACHED_FREQUENCIES = 50_000

LIVE = """
SELECT 1 FROM content_document d JOIN content_semanticcontainer sc ON sc.document_id = d.id AND sc.active
WHERE d.status <> 'removed'"""
"""A document points at a blob from the moment it is indexed: while it is refreshed, or the refresh fails, what was
indexed before is served."""


def _rows(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connections[alias_in_force()].cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def lexemes_of_query(query: str) -> list[Lexeme]:
    """The query's lexemes with their frequencies, rarest first. One statement, two when a frequency is not cached."""
    found = [row[0] for row in _rows("SELECT lexeme FROM unnest(to_tsvector('english', %s))", [query])]
    counts = _frequencies_of(found)
    total = max(counts[""], 1)
    lexemes = [
        Lexeme(text=text, df=counts[text], idf=math.log(1 + (total - counts[text] + 0.5) / (counts[text] + 0.5)))
        for text in found
    ]
    return sorted(lexemes, key=lambda lexeme: (lexeme.df, lexeme.text))[:MAX_LEXEMES]


def _frequencies_of(texts: Sequence[str]) -> dict[str, int]:
    tenant, now = current_tenant().id, monotonic()
    known: dict[str, int] = {}
    for text in ("", *texts):
        cached = _frequencies.get((tenant, text))
        if cached is not None and now - cached[0] < DF_TTL_S:
            known[text] = cached[1]
    missing = [text for text in ("", *texts) if text not in known]
    if missing:
        rows = _rows(
            """
            SELECT t.lexeme, CASE WHEN t.lexeme = '' THEN (SELECT count(*) FROM content_chunk)
              ELSE (SELECT count(*) FROM (SELECT 1 FROM content_chunk WHERE tsv @@ t.query LIMIT %s) hits) END
            FROM unnest(%s::text[], %s::tsquery[]) AS t(lexeme, query)""",
            [DF_CAP, missing, [as_tsquery(text) for text in missing]],
        )
        if len(_frequencies) > MAX_CACHED_FREQUENCIES:
            _frequencies.clear()
        for text, count in rows:
            known[text] = count
            _frequencies[(tenant, text)] = (now, count)
    return known


def forget_frequencies() -> None:
    """Drop this process's cached frequencies."""
    _frequencies.clear()


def as_tsquery(lexeme: str) -> str:
    """A lexeme as tsquery text, whatever characters it holds."""
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'" if lexeme else ""


def selecting_lexemes(lexemes: Sequence[Lexeme], *, total: int) -> list[Lexeme]:
    """Which lexemes choose the rows to rank (given rarest first): not those of most chunks, unless all are."""
    telling = [lexeme for lexeme in lexemes if 0 < lexeme.df <= total * COMMON_SHARE] or [
        lexeme for lexeme in lexemes if lexeme.df > 0
    ]
    chosen: list[Lexeme] = []
    budget = MATCH_BUDGET
    for lexeme in telling:
        budget -= lexeme.df
        if chosen and budget < 0:
            break
        chosen.append(lexeme)
    return chosen


def chunk_total() -> int:
    """How many chunks the tenant has, at most DF_TTL_S old."""
    return _frequencies_of(())[""]


def candidates(
    lexemes: Sequence[Lexeme],
    vector_hits: Sequence[tuple[int, float]],
    filters: SearchFilters,
    *,
    text_limit: int,
) -> list[Candidate]:
    """Both legs' live chunks in one statement, each leg best first. `vector_hits` are (label, cosine)."""
    where, where_params = _conditions(filters)
    legs: list[str] = []
    params: list[Any] = []
    selecting = selecting_lexemes(lexemes, total=chunk_total()) if lexemes else []
    if selecting:
        ranks = ", ".join(["ts_rank(%s::float4[], c.tsv, %s::tsquery)"] * len(lexemes))
        rank_params = [value for lexeme in lexemes for value in (TS_WEIGHTS, as_tsquery(lexeme.text))]
        score = " + ".join(f"%s::float8 * r.ranks[{position}]" for position in range(1, len(lexemes) + 1))
        legs.append(
            f"""(SELECT 'text', c.id, c.blob_id, {score} AS score, r.ranks
            FROM content_chunk c CROSS JOIN LATERAL (SELECT ARRAY[{ranks}] AS ranks OFFSET 0) r
            WHERE c.tsv @@ %s::tsquery AND EXISTS ({LIVE} AND d.blob_id = c.blob_id {where})
            ORDER BY score DESC, c.id LIMIT %s)"""  # noqa: S608  # only placeholders and constants are put in
        )
        match = " | ".join(as_tsquery(lexeme.text) for lexeme in selecting)
        params += [*(lexeme.idf for lexeme in lexemes), *rank_params, match, *where_params, text_limit]
    if vector_hits:
        legs.append(
            f"""(SELECT 'vector', c.id, c.blob_id, v.score, NULL::float4[]
            FROM unnest(%s::bigint[], %s::float8[]) AS v(label, score) JOIN content_chunk c ON c.label = v.label
            WHERE EXISTS ({LIVE} AND d.blob_id = c.blob_id {where}))"""  # noqa: S608  # as above
        )
        params += [[label for label, _ in vector_hits], [score for _, score in vector_hits], *where_params]
    if not legs:
        return []
    rows = _rows(" UNION ALL ".join(legs), params)
    found = [Candidate(row[0], row[1], row[2], float(row[3]), tuple(row[4] or ())) for row in rows]
    return sorted(found, key=lambda candidate: (-candidate.score, candidate.chunk_id))


def labelled_chunks(filters: SearchFilters, *, limit: int) -> list[LabelledChunk]:
    """Live embedded chunks under these filters: the ground for an exact search among them."""
    where, params = _conditions(filters)
    rows = _rows(
        f"""SELECT c.label, c.id, c.blob_id FROM content_chunk c
        WHERE c.label IS NOT NULL AND EXISTS ({LIVE} AND d.blob_id = c.blob_id {where})
        ORDER BY c.id DESC LIMIT %s""",  # noqa: S608  # as above
        [*params, limit],
    )
    return [LabelledChunk(*row) for row in rows]


def hit_rows(hits: Sequence[tuple[UUID, int]], filters: SearchFilters, *, with_text: int, limit: int) -> list[HitRow]:
    """The live containers of (blob, chunk) hits, in the hits' order: equal content in two sources is two containers.

    The chunk's text comes with the first `with_text` hits; the other rows are for counting.
    """
    where, params = _conditions(filters)
    rows = _rows(
        f"""SELECT f.position - 1, sc.id, d.id, coalesce(nullif(d.title, ''), nullif(sc.title, ''), d.uri), d.uri,
          sc.content_type, s.id, s.name, c.id, c.start, c."end", c.heading_path,
          CASE WHEN f.position <= %s THEN c.text END
        FROM unnest(%s::uuid[], %s::bigint[]) WITH ORDINALITY AS f(blob_id, chunk_id, position)
        JOIN content_chunk c ON c.id = f.chunk_id
        JOIN content_document d ON d.blob_id = f.blob_id AND d.status <> 'removed'
        JOIN content_semanticcontainer sc ON sc.document_id = d.id AND sc.active
        JOIN content_source s ON s.id = d.source_id
        WHERE true {where}
        ORDER BY f.position, sc.id LIMIT %s""",  # noqa: S608  # as above
        [with_text, [blob_id for blob_id, _ in hits], [chunk_id for _, chunk_id in hits], *params, limit],
    )
    return [HitRow(*row) for row in rows]


def neighbours(chunk_ids: Sequence[int]) -> dict[int, tuple[int, int, str]]:
    """Each chunk widened by the one before and after it: (start, end, text) of the normalised text."""
    rows = _rows(
        """SELECT c.id, span.lo, span.hi, substr(b.text, span.lo + 1, span.hi - span.lo)
        FROM content_chunk c JOIN content_blob b ON b.id = c.blob_id
        CROSS JOIN LATERAL (
          SELECT min(n.start) AS lo, max(n."end") AS hi FROM content_chunk n
          WHERE n.blob_id = c.blob_id AND n.ordinal BETWEEN c.ordinal - 1 AND c.ordinal + 1) span
        WHERE c.id = ANY(%s)""",
        [list(chunk_ids)],
    )
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def _conditions(filters: SearchFilters) -> tuple[str, list[Any]]:
    parts: list[str] = []
    params: list[Any] = []
    if filters.source:
        parts.append("AND d.source_id IN (SELECT id FROM content_source WHERE id::text = ANY(%s) OR name = ANY(%s))")
        params += [[source.lower() for source in filters.source], list(filters.source)]
    if filters.content_type:
        parts.append("AND sc.content_type = ANY(%s)")
        params.append(list(filters.content_type))
    if filters.created_after:
        parts.append("AND d.created_at >= %s")
        params.append(filters.created_after)
    if filters.created_before:
        parts.append("AND d.created_at < %s")
        params.append(filters.created_before)
    return " ".join(parts), params

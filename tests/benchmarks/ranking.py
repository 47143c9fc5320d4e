"""Ranked pages for one question: the platform's legs and fusion, and named peers over the same chunks.

Every list holds a page once, at the rank of its best chunk.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from apps.content.retrieval_conf import retrieval_settings
from apps.content.selectors.search import SearchFilters
from apps.content.services.fusion import FusionWeights, LegHit, fuse, placings
from apps.content.services.retrieval import retrieve
from apps.intelligence import vectors
from tests.benchmarks.instance import rows
from tests.benchmarks.questions import page_of

DEPTH = 50
PEER_CHUNKS = 400

DJANGO_FULL_TEXT = """
SELECT blob_id FROM content_chunk, websearch_to_tsquery('english', %s) AS query
WHERE tsv @@ query ORDER BY ts_rank_cd(tsv, query) DESC, id LIMIT %s"""
"""SearchVectorField with SearchQuery(search_type="websearch") and SearchRank(cover_density=True): every word must match."""

ANY_WORD_FULL_TEXT = """
SELECT blob_id FROM content_chunk,
  (SELECT string_agg(quote_literal(lexeme), ' | ')::tsquery AS query FROM unnest(to_tsvector('english', %s))) AS words
WHERE tsv @@ query ORDER BY ts_rank_cd(tsv, query) DESC, id LIMIT %s"""
"""The same ranking when any word may match."""


@dataclass(frozen=True)
class Legs:
    """What both legs found for one question, before fusion."""

    text: Sequence[LegHit]
    vector: Sequence[LegHit]


class Pages:
    """Pages of blobs: equal content in two files is two pages at one rank. Read once, in the tenant in force."""

    def __init__(self) -> None:
        self._names: dict[UUID, list[str]] = {}
        for blob_id, uri in rows(
            """SELECT d.blob_id, d.uri FROM content_document d JOIN content_semanticcontainer sc ON sc.document_id = d.id
            WHERE d.status = 'ready' ORDER BY sc.id"""
        ):
            self._names.setdefault(blob_id, []).append(page_of(uri))

    def ranked(self, blobs: Iterable[UUID]) -> list[str]:
        """At most DEPTH page names, best first."""
        names = [name for blob_id in dict.fromkeys(blobs) for name in self._names.get(blob_id, ())]
        return names[:DEPTH]


def legs_of(question: str) -> Legs:
    """Both legs at the depth the product asks for."""
    found = retrieve(question, SearchFilters(), want=DEPTH)
    return Legs(text=found.text, vector=found.vector)


def leg_blobs(hits: Sequence[LegHit]) -> list[UUID]:
    """One leg alone: blobs by their best chunk."""
    return sorted(placed := placings(hits), key=lambda blob_id: placed[blob_id].rank)


def fused_blobs(legs: Legs, weights: FusionWeights | None = None) -> list[UUID]:
    """The fused list, with the product's weights unless others are given."""
    return [hit.blob_id for hit in fuse(legs.text, legs.vector, weights or retrieval_settings().weights)]


def django_full_text_blobs(question: str) -> list[UUID]:
    """Peer: what a Django project gets from contrib.postgres."""
    return [row[0] for row in rows(DJANGO_FULL_TEXT, [question, PEER_CHUNKS])]


def any_word_full_text_blobs(question: str) -> list[UUID]:
    """Peer: the same, any word."""
    return [row[0] for row in rows(ANY_WORD_FULL_TEXT, [question, PEER_CHUNKS])]


class Bm25:
    """Peer: SQLite's FTS5 with its BM25 and Porter stemmer over the same chunks. Reads them in the tenant in force."""

    def __init__(self) -> None:
        self._blobs: dict[int, UUID] = {}
        self._base = sqlite3.connect(":memory:")
        self._base.execute(
            "CREATE VIRTUAL TABLE chunks USING fts5(title, heading, body, tokenize = 'porter unicode61', content = '')"
        )
        for chunk_id, blob_id, *texts in rows("SELECT id, blob_id, title, heading, text FROM content_chunk"):
            self._blobs[chunk_id] = blob_id
            self._base.execute(
                "INSERT INTO chunks (rowid, title, heading, body) VALUES (?, ?, ?, ?)", [chunk_id, *texts]
            )

    def blobs(self, question: str) -> list[UUID]:
        """Any word may match; English stop words of PostgreSQL's list are left out, as in the other full-text lists."""
        words = [
            row[0]
            for row in rows(
                "SELECT DISTINCT token FROM ts_debug('english', %s) WHERE cardinality(lexemes) > 0", [question]
            )
        ]
        if not words:
            return []
        match = " OR ".join('"' + word.replace('"', '""') + '"' for word in words)
        found = self._base.execute(
            "SELECT rowid FROM chunks WHERE chunks MATCH ? ORDER BY bm25(chunks), rowid LIMIT ?", [match, PEER_CHUNKS]
        )
        return [self._blobs[row[0]] for row in found]


def exact_vector_blobs(question: str) -> list[UUID]:
    """Peer: every vector compared by pgvector, no index."""
    hits = vectors.exact_search(vectors.embed_query(question), k=retrieval_settings().vector_candidates)
    return [
        row[0]
        for row in rows(
            """SELECT c.blob_id FROM unnest(%s::bigint[]) WITH ORDINALITY AS hit(label, position)
            JOIN content_chunk c ON c.label = hit.label ORDER BY hit.position, c.id""",
            [[label for label, _ in hits]],
        )
    ]

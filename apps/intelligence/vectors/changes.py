"""What changed in a tenant's embeddings, read from PostgreSQL in the tenant in force.

Transactions commit in another order than they start, so a row's number alone would skip late ones. Each row carries
its transaction's id; a reader keeps the oldest id that was still running when it looked, and next time reads from
there on. What it reads twice it knows already.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from django.db import connections

from apps.core.tenancy import alias_in_force
from apps.intelligence.ports import Vectors

LIST_BATCH, VECTOR_BATCH = 20_000, 256

_NEWS = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
  ARRAY(SELECT label FROM intelligence_embedding WHERE model_id = %(model)s AND changed_xid >= %(since)s),
  ARRAY(SELECT label FROM intelligence_embeddingtombstone WHERE model_id = %(model)s AND changed_xid >= %(since)s)
"""
_HORIZON = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_MARKS = """
SELECT label, ('x' || left(text_hash, 16))::bit(64)::bigint FROM intelligence_embedding
WHERE model_id = %s AND label > %s ORDER BY label LIMIT %s
"""
_VECTORS = """
SELECT label, ('x' || left(text_hash, 16))::bit(64)::bigint, vector_send(vector) FROM intelligence_embedding
WHERE model_id = %s AND label = ANY(%s) ORDER BY label
"""


@dataclass(frozen=True)
class News:
    """Labels written and deleted since a horizon, and the horizon to ask from next time."""

    horizon: int
    written: list[int]
    deleted: list[int]


@dataclass(frozen=True)
class VectorBatch:
    labels: list[int]
    marks: list[int]
    vectors: Vectors


def horizon() -> int:
    """The id of the oldest transaction still running: everything older is visible to a later statement."""
    with connections[alias_in_force()].cursor() as cursor:
        cursor.execute(_HORIZON)
        return int(cursor.fetchone()[0])


def news_since(model_id: str, since: int) -> News:
    """What transactions from `since` on have written and deleted; may repeat what an earlier call returned."""
    with connections[alias_in_force()].cursor() as cursor:
        cursor.execute(_NEWS, {"model": model_id, "since": since})
        return News(*cursor.fetchone())


def all_marks(model_id: str) -> dict[int, int]:
    """Label -> mark (the first 64 bits of the text's hash) of every embedding of a model."""
    marks: dict[int, int] = {}
    last = -1
    with connections[alias_in_force()].cursor() as cursor:
        while True:
            cursor.execute(_MARKS, [model_id, last, LIST_BATCH])
            rows = cursor.fetchall()
            marks.update(rows)
            if len(rows) < LIST_BATCH:
                return marks
            last = rows[-1][0]


def read_vectors(model_id: str, dim: int, labels: Sequence[int]) -> Iterator[VectorBatch]:
    """The vectors of these labels in batches; labels that are gone by now are left out."""
    for start in range(0, len(labels), VECTOR_BATCH):
        with connections[alias_in_force()].cursor() as cursor:
            cursor.execute(_VECTORS, [model_id, list(labels[start : start + VECTOR_BATCH])])
            rows = cursor.fetchall()
        if not rows:
            continue
        # vector_send: two int16 (dimensions, unused), then big-endian float32.
        body = b"".join(bytes(row[2])[4:] for row in rows)
        vectors = np.frombuffer(body, ">f4").reshape(len(rows), dim).astype(np.float32)
        yield VectorBatch([row[0] for row in rows], [row[1] for row in rows], vectors)

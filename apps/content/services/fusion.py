"""Weighted reciprocal rank fusion of the two legs. Pure: no database, no model."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class LegHit:
    """One chunk in one leg's list. Scores of different legs cannot be compared; their ranks can."""

    chunk_id: int
    blob_id: UUID
    score: float


@dataclass(frozen=True, slots=True)
class Placing:
    """Where a blob stands in one leg: the rank (from 1) and score of its best chunk there."""

    rank: int
    score: float
    chunk_id: int


@dataclass(frozen=True, slots=True)
class FusedHit:
    """One blob with its best chunk. `rrf` is the weighted sum of 1 / (k + rank) over the legs that found it."""

    blob_id: UUID
    chunk_id: int
    rrf: float
    text: Placing | None
    vector: Placing | None


@dataclass(frozen=True, slots=True)
class FusionWeights:
    """`k` flattens the top of each list (Cormack, Clarke and Buettcher 2009 use 60)."""

    k: int
    text: float
    vector: float

    @property
    def best(self) -> float:
        """The rrf of a hit that is first in both legs."""
        return (self.text + self.vector) / (self.k + 1)


def placings(hits: Sequence[LegHit]) -> dict[UUID, Placing]:
    """Rank blobs by their best chunk: a long document must not fill a leg's list with its own chunks."""
    found: dict[UUID, Placing] = {}
    for hit in sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id)):
        if hit.blob_id not in found:
            found[hit.blob_id] = Placing(rank=len(found) + 1, score=hit.score, chunk_id=hit.chunk_id)
    return found


def fuse(text: Sequence[LegHit], vector: Sequence[LegHit], weights: FusionWeights) -> list[FusedHit]:
    """Every blob that a leg found, best first; ties go to the older chunk, so that equal runs give equal lists."""
    by_text, by_vector = placings(text), placings(vector)
    chunk_scores = _chunk_scores(text, vector, weights)
    fused = []
    for blob_id in by_text.keys() | by_vector.keys():
        in_text, in_vector = by_text.get(blob_id), by_vector.get(blob_id)
        rrf = (weights.text / (weights.k + in_text.rank) if in_text else 0.0) + (
            weights.vector / (weights.k + in_vector.rank) if in_vector else 0.0
        )
        offered = {placing.chunk_id for placing in (in_text, in_vector) if placing}
        best = min(offered, key=lambda chunk_id: (-chunk_scores[chunk_id], chunk_id))
        fused.append(FusedHit(blob_id=blob_id, chunk_id=best, rrf=rrf, text=in_text, vector=in_vector))
    return sorted(fused, key=lambda hit: (-hit.rrf, hit.chunk_id))


def fuse_chunks(
    text: Sequence[LegHit], vector: Sequence[LegHit], weights: FusionWeights, *, per_blob: int
) -> list[LegHit]:
    """Chunks by their own fused score, at most `per_blob` of one blob: the passages of an answer."""
    scores = _chunk_scores(text, vector, weights)
    blobs = {hit.chunk_id: hit.blob_id for hit in (*text, *vector)}
    taken: dict[UUID, int] = {}
    chosen = []
    for chunk_id, score in sorted(scores.items(), key=lambda item: (-item[1], item[0])):
        blob_id = blobs[chunk_id]
        if taken.get(blob_id, 0) < per_blob:
            taken[blob_id] = taken.get(blob_id, 0) + 1
            chosen.append(LegHit(chunk_id=chunk_id, blob_id=blob_id, score=score))
    return chosen


def _chunk_scores(text: Sequence[LegHit], vector: Sequence[LegHit], weights: FusionWeights) -> dict[int, float]:
    scores: dict[int, float] = {}
    for hits, weight in ((text, weights.text), (vector, weights.vector)):
        ranked = sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id))
        for rank, hit in enumerate(ranked, start=1):
            scores[hit.chunk_id] = scores.get(hit.chunk_id, 0.0) + weight / (weights.k + rank)
    return scores

"""Weighted reciprocal rank fusion, on paper."""

from random import Random
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from apps.content.services.fusion import FusionWeights, LegHit, fuse, fuse_chunks

A, B, C = (UUID(int=n) for n in (1, 2, 3))
WEIGHTS = FusionWeights(k=60, text=1.0, vector=2.0)


def test_a_blob_found_by_both_legs_gains_from_both_and_a_long_one_takes_one_rank() -> None:
    text = [LegHit(11, A, 9.0), LegHit(12, A, 8.0), LegHit(21, B, 7.0)]
    vector = [LegHit(21, B, 0.9), LegHit(31, C, 0.8)]
    fused = fuse(text, vector, WEIGHTS)
    assert [hit.blob_id for hit in fused] == [B, C, A]
    assert [round(hit.rrf, 9) for hit in fused] == [
        round(1 / 62 + 2 / 61, 9),
        round(2 / 62, 9),
        round(1 / 61, 9),
    ]
    assert fused[0].text is not None
    assert (fused[0].text.rank, fused[0].text.score) == (2, 7.0)
    assert fused[1].text is None


def test_the_chunk_shown_is_the_one_with_the_best_fused_rank() -> None:
    text = [LegHit(11, A, 9.0), LegHit(12, A, 8.0)]
    vector = [LegHit(12, A, 0.9)]
    assert fuse(text, vector, WEIGHTS)[0].chunk_id == 12


def test_passages_take_at_most_so_many_chunks_of_one_blob() -> None:
    text = [LegHit(10 + n, A, 9.0 - n) for n in range(4)] + [LegHit(21, B, 1.0)]
    assert [hit.chunk_id for hit in fuse_chunks(text, [], WEIGHTS, per_blob=2)] == [10, 11, 21]


def test_nothing_found_is_nothing() -> None:
    assert fuse([], [], WEIGHTS) == []


HITS = st.lists(
    st.builds(LegHit, st.integers(1, 40), st.sampled_from([A, B, C]), st.floats(0, 1, width=16)),
    unique_by=lambda hit: hit.chunk_id,
    max_size=20,
)


@given(HITS, HITS, st.randoms())
def test_the_order_of_a_legs_list_does_not_matter_and_no_score_beats_first_in_both(
    text: list[LegHit], vector: list[LegHit], random: Random
) -> None:
    text = [hit for hit in text if hit.chunk_id not in {other.chunk_id for other in vector}]
    fused = fuse(text, vector, WEIGHTS)
    shuffled = list(text)
    random.shuffle(shuffled)
    assert fuse(shuffled, vector[::-1], WEIGHTS) == fused
    assert {hit.blob_id for hit in fused} == {hit.blob_id for hit in (*text, *vector)}
    assert all(0 < hit.rrf <= WEIGHTS.best + 1e-12 for hit in fused)

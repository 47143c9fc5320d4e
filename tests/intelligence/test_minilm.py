"""The bundled model itself, from its packages, without a network."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.intelligence.adapters import minilm
from apps.intelligence.ports import embedder

PASSAGES = [
    "To restore a database from a backup, stop the server and copy the files of the last base backup into place.",
    "The cat slept on the warm windowsill all afternoon while rain fell outside.",
    "An index speeds up queries that filter on its columns, at the price of slower writes.",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "A vacuum removes dead rows so that their space can be used again.",
]
QUESTIONS = [
    ("How do I recover my data after a crash?", 0),
    ("Where did the animal take a nap?", 1),
    ("Why is my lookup slow and how can I make it faster?", 2),
    ("How do plants make food?", 3),
    ("How is the space of deleted records reclaimed?", 4),
]


@pytest.fixture(scope="module")
def model() -> minilm.MiniLM:
    return minilm.MiniLM()


def test_the_bundled_model_is_the_default() -> None:
    assert isinstance(embedder(), minilm.MiniLM)
    assert embedder() is embedder()


def test_preparing_twice_gives_the_recorded_result() -> None:
    first = minilm.prepare()
    steps: list[str] = []
    assert minilm.prepare(steps.append) == first
    assert steps == []
    assert first.model_id in {minilm.PLAIN, minilm.QUANTISED}
    assert first.file.is_file()


def test_a_lost_file_is_made_again() -> None:
    first = minilm.prepare()
    if first.model_id == minilm.PLAIN:
        pytest.skip("the original graph serves on this processor")
    first.file.unlink()
    assert minilm.prepare().file == first.file
    assert first.file.is_file()


def test_each_question_finds_its_passage(model: minilm.MiniLM) -> None:
    scores = model.embed([question for question, _ in QUESTIONS]) @ model.embed(PASSAGES).T
    assert scores.argmax(axis=1).tolist() == [answer for _, answer in QUESTIONS]


def test_vectors_are_normalised_and_do_not_depend_on_neighbours(model: minilm.MiniLM) -> None:
    together = model.embed([*PASSAGES, ""])
    assert together.shape == (6, 384)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    alone = np.concatenate([model.embed([text]) for text in [*PASSAGES, ""]])
    assert np.array_equal(together, alone)


def test_what_lies_past_the_window_does_not_count(model: minilm.MiniLM) -> None:
    text = "word " * model.max_tokens
    assert model.count_tokens(text) == model.max_tokens
    assert np.array_equal(model.embed([text]), model.embed([text + " and more that is cut off"]))
    assert not np.array_equal(model.embed(["word " * 250]), model.embed(["word " * 250 + " and more"]))


def test_threads_get_the_same_vectors(model: minilm.MiniLM) -> None:
    expected = model.embed(PASSAGES)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: model.embed(PASSAGES), range(12)):
            assert np.array_equal(found, expected)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_offsets_are_ordered_character_spans(text: str) -> None:
    offsets = embedder().token_offsets(text)
    assert len(offsets) == embedder().count_tokens(text)
    assert all(0 <= start <= end <= len(text) for start, end in offsets)
    assert offsets == sorted(offsets)


def test_offsets_cut_the_words_out_of_the_text() -> None:
    text = "Grüße 😀 from PostgreSQL"
    pieces = [text[start:end] for start, end in embedder().token_offsets(text)]
    assert "".join(pieces) == text.replace(" ", "")
    assert pieces.index("from") == pieces.index("😀") + 1

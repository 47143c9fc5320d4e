"""Chunks: true offsets, full cover, never above the cap, for any text and the embedder's real tokenizer."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.content.chunking import MAX_CHUNK_CHARS, ChunkSpan, chunk, embedding_text
from apps.content.extraction import Extracted, ExtractionError, Heading, extract
from apps.intelligence.adapters.minilm import MiniLM
from tests.content.embedding import HashEmbedder


@cache
def minilm() -> MiniLM:
    return MiniLM()


def check(extracted: Extracted, spans: list[ChunkSpan], tokenizer: MiniLM | HashEmbedder, cap: int) -> None:
    """What holds for every document."""
    end = 0
    for ordinal, span in enumerate(spans):
        text = extracted.text[span.start : span.end]
        assert span.ordinal == ordinal
        assert text == text.strip()
        assert text
        assert not extracted.text[end : span.start].strip()
        assert len(text) <= MAX_CHUNK_CHARS
        assert tokenizer.count_tokens(embedding_text(extracted.title, span.heading_path, text)) <= cap
        end = span.end
    assert not extracted.text[end:].strip()


def document(blocks: list[tuple[int, str]], title: str) -> Extracted:
    """Blocks of (heading level or 0, text)."""
    text = ""
    headings = []
    for level, raw in blocks:
        block = " ".join(raw.split()) if level else raw
        if not block.strip():
            continue
        text += "\n\n" if text else ""
        if level:
            headings.append(Heading(level, block, len(text)))
        text += block.strip()
    return Extracted(text, title, headings)


WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=300) | st.lists(
    st.sampled_from(["pump", "Wasser.", "a", "x" * 250, "漢字かな" * 30, "!?…", "\n", "e\u0301", "🙂", "don't", "   "]),
    max_size=200,
).map(" ".join)
BLOCKS = st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 2, 3, 7]), WORDS), max_size=12)


@given(BLOCKS, st.text(max_size=200), st.sampled_from([254, 400]))
@settings(max_examples=150, deadline=None)
def test_any_document_with_the_real_tokenizer(blocks: list[tuple[int, str]], title: str, cap: int) -> None:
    extracted = document(blocks, title)
    spans = chunk(extracted, tokenizer=minilm(), max_tokens=cap)
    check(extracted, spans, minilm(), cap)
    assert chunk(extracted, tokenizer=minilm(), max_tokens=cap) == spans


@given(st.text(max_size=3000))
@settings(max_examples=100, deadline=None)
def test_any_extracted_text(text: str) -> None:
    if not text.strip() or not (data := text.encode("utf-8", "replace")).strip():
        return
    try:
        extracted = extract(data, media_type="text/markdown")
    except ExtractionError:
        return
    check(extracted, chunk(extracted, tokenizer=minilm(), max_tokens=254), minilm(), 254)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 100_000,
        "ab" * 50_000 + " end",
        "漢" * 5_000,
        "word " * 10_000,
        "a.b.c.d." * 5_000,
        "\n".join(f"| {n} | {n * n} |" for n in range(2_000)),
        "\u0301" * 30_000,
        "x" + " " * 100_000 + "y",
        "🙂" * 20_000,
    ],
)
def test_what_has_no_structure_is_cut_all_the_same(text: str) -> None:
    extracted = Extracted(text, "T", [])
    check(extracted, chunk(extracted, tokenizer=minilm(), max_tokens=254), minilm(), 254)


def test_sections_are_kept_apart_and_small_ones_joined() -> None:
    long_a, long_b = "alpha " * 80, "beta " * 80
    extracted = document(
        [
            (1, "Book"),
            (2, "One"),
            (0, long_a),
            (2, "Two"),
            (0, long_b),
            (2, "S1"),
            (0, "tiny"),
            (2, "S2"),
            (0, "small"),
        ],
        "Book",
    )
    spans = chunk(extracted, tokenizer=HashEmbedder(), max_tokens=120)
    shown = [(extracted.text[s.start : s.end].split()[0], s.heading_path) for s in spans]
    assert shown == [("Book", ("Book",)), ("Two", ("Book", "Two")), ("S1", ("Book",))]


def test_a_long_section_is_cut_into_even_parts_at_paragraphs_and_sentences() -> None:
    paragraphs = [(0, "This is sentence one. And here is another one, with a comma.") for _ in range(20)]
    extracted = document([(1, "H"), *paragraphs], "T")
    spans = chunk(extracted, tokenizer=HashEmbedder(), max_tokens=100)
    sizes = [HashEmbedder().count_tokens(extracted.text[s.start : s.end]) for s in spans]
    assert max(sizes) - min(sizes) <= 30
    assert all(extracted.text[s.end - 1] == "." for s in spans)
    assert {s.heading_path for s in spans} == {("H",)}


def test_the_embedded_text_says_nothing_twice() -> None:
    assert embedding_text("T", ("T", "A", "B"), "body") == "T > A > B\nbody"
    assert embedding_text("T", ("A", "B"), "B\n\nbody") == "T > A\nB\n\nbody"
    assert embedding_text("T", (), "T\n\nbody") == "T\n\nbody"
    assert embedding_text("", (), "body") == "body"


def test_endless_headings_leave_room_for_the_text() -> None:
    extracted = document(
        [(level, f"heading {level} " + "very " * 60) for level in range(1, 7)] + [(0, "text " * 500)], "t " * 300
    )
    check(extracted, chunk(extracted, tokenizer=minilm(), max_tokens=254), minilm(), 254)

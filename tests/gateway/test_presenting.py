"""What readers see of plain values."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.gateway.pages.presenting import Heading, blocks, event_text, happenings, origin_link, snippet
from apps.gateway.templatetags.ui import duration, number

TEXTS = st.text(alphabet=st.sampled_from("ab .\n\n\u00e9\U0001f600"), max_size=400)


@dataclass(frozen=True)
class Span:
    start: int
    end: int


@dataclass(frozen=True)
class Happened:
    name: str
    payload: dict[str, object]
    occurred_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)


@given(TEXTS, st.lists(st.integers(0, 400), max_size=5))
def test_blocks_are_exact_stretches_in_order_and_lose_only_blank_space(text: str, starts: list[int]) -> None:
    headings = [Heading(1, "", start) for start in starts if start < len(text)]
    found = blocks(text, headings, max_chars=len(text))
    at = 0
    for block in found:
        assert text[block.start : block.start + len(block.text)] == block.text
        assert text[at : block.start].strip() == ""
        at = block.start + len(block.text)
    assert text[at:].strip() == ""


def test_blocks_stop_where_they_are_told() -> None:
    assert "".join(block.text for block in blocks("one\n\ntwo\n\nthree", [], max_chars=8)) == "onetwo"


@given(TEXTS, st.lists(st.tuples(st.integers(0, 400), st.integers(0, 60)), max_size=3), st.integers(0, 1000))
def test_snippets_mark_only_what_is_highlighted(text: str, raw: list[tuple[int, int]], offset: int) -> None:
    parts = snippet(text, offset, [Span(offset + start, offset + start + size) for start, size in raw])
    marked = {text[start : start + size] for start, size in raw}
    plain = "".join(part.text for part in parts)
    assert len(plain) <= len(text) + 4
    for part in parts:
        if part.marked:
            assert any(part.text.strip() in " ".join(["", *whole.split(), ""]) for whole in marked)


def test_a_snippet_begins_near_its_first_highlight() -> None:
    text = "word " * 100 + "The answer. " + "more " * 200
    start = text.index("The answer.")
    parts = snippet(text, 50, [Span(50 + start, 50 + start + 11)])
    assert [part.text for part in parts if part.marked] == ["The answer."]
    assert (parts[0].text, parts[-1].text) == ("… ", " …")
    assert sum(len(part.text) for part in parts) < 430


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://example.org/a/b/", ("https://example.org/a/b/", "example.org/a/b")),
        ("javascript:alert(1)", ("", "")),
        ("upload:0197/x.md", ("", "")),
        ("https:///nowhere", ("", "")),
    ],
)
def test_only_web_addresses_become_links(uri: str, expected: tuple[str, str]) -> None:
    assert origin_link(uri) == expected


def test_equal_neighbours_are_one_line() -> None:
    failed = Happened("source.fetch_failed", {"code": "http_500", "url": "https://example.org/"})
    lines = happenings([failed, failed, Happened("source.paused", {"reason": "Too many failures"})])
    assert [(line.name, line.times, line.tone) for line in lines] == [
        ("source.fetch_failed", 2, "bad"),
        ("source.paused", 1, "warn"),
    ]


def test_an_event_says_what_it_carries() -> None:
    assert event_text({"system": 2, "state": "clear"}) == "S2 clear"
    assert event_text({"outcome": "allow", "action": "source.pause", "reason": "r"}) == "allow source.pause · r"
    assert event_text({"indexed": 3, "failed": 1}) == "3 indexed, 1 failed"


def test_figures_are_written_the_way_people_read_them() -> None:
    assert (number(1234567), number(12.34), number(2.0), number(None)) == ("1,234,567", "12.3", "2", "–")
    assert [duration(value) for value in (0.4, 59, 61, 600, 3660, None)] == [
        "0 s",
        "59 s",
        "1 min 1 s",
        "10 min",
        "1 h 1 min",
        "–",
    ]

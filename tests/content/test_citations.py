"""A model's stream, cleaned: the result never depends on how the stream was cut into pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.content.services.citations import AnswerParser, Marker

SOURCE = "https://docs.example/wal"


def parse(*pieces: str) -> list[str | Marker]:
    parser = AnswerParser(passages=3, allowed_urls={SOURCE})
    return [*(part for piece in pieces for part in parser.feed(piece)), *parser.finish()]


def text_of(*pieces: str) -> str:
    return "".join(part for part in parse(*pieces) if isinstance(part, str))


def markers_of(*pieces: str) -> list[Marker]:
    return [part for part in parse(*pieces) if isinstance(part, Marker)]


@pytest.mark.parametrize(
    ("given_text", "clean", "numbers"),
    [
        ("Logs come first [1].", "Logs come first [1].", [1]),
        ("Two say so [1][3].", "Two say so [1][3].", [1, 3]),
        ("Two say so [1, 3] today.", "Two say so [1][3] today.", [1, 3]),
        ("One is wrong [2, 9].", "One is wrong [2].", [2]),
        ("None exists [7].", "None exists.", []),
        ("Zero [0] neither.", "Zero neither.", []),
        ("An array a[1] counts", "An array a[1] counts", [1]),
        ("In code `a[9]` and\n```\nx[8] [link](http://evil)\n```\nafter [9]", None, []),
        ("Not a number [abc] [12", "Not a number [abc] [12", []),
        (f"See [the page]({SOURCE}) now", f"See [the page]({SOURCE}) now", []),
        ("See [the page](https://evil.example/?q=secret) now", "See the page now", []),
        ("![pixel](https://evil.example/p.png?d=secret) ok", "pixel ok", []),
        (f"![own]({SOURCE})", "own", []),
        ("Wow! [1] yes", "Wow! [1] yes", [1]),
        ("[1](https://evil.example) x", "1 x", []),
    ],
)
def test_markers_and_links(given_text: str, clean: str | None, numbers: list[int]) -> None:
    if clean is None:
        clean = "In code `a[9]` and\n```\nx[8] [link](http://evil)\n```\nafter"
    assert text_of(given_text) == clean
    assert [marker.n for marker in markers_of(given_text)] == numbers


def test_a_marker_carries_the_sentence_it_stands_for() -> None:
    assert markers_of("First things. Logs ", "come first [1]. Then pages", " follow. [2]") == [
        Marker(1, "Logs come first"),
        Marker(2, "Then pages follow."),
    ]


def test_text_is_handed_on_before_the_stream_ends() -> None:
    parser = AnswerParser(passages=1)
    assert parser.feed("Logs come first, ") == ["Logs come first,"]
    assert parser.feed("[") == []
    assert parser.feed("1") == []
    assert parser.feed("] yes") == [" [1]", Marker(1, "Logs come first,"), " yes"]


def test_a_bracket_that_never_closes_is_not_held_for_ever() -> None:
    parser = AnswerParser(passages=1)
    said = "".join(str(part) for part in parser.feed("[" + "a" * 900))
    assert len(said) > 600


LINKS = ["[t](http://evil/a)", f"[t]({SOURCE})", "![i](http://e)"]
MARKS = ["[1]", " [2, 9]", "[8]", "`a[1]`", "```\nx[9]\n```", "[", "]", "`", "!", "(", "[12"]
PARTS = st.sampled_from(["Logs. ", "word ", " ", *LINKS, *MARKS])


@given(st.lists(PARTS, max_size=14).map("".join), st.lists(st.integers(1, 6), min_size=1, max_size=60))
def test_the_cut_into_pieces_changes_nothing(text: str, sizes: list[int]) -> None:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(text[at : at + size])
        at += size
    pieces.append(text[at:])
    assert text_of(*pieces) == text_of(text)
    assert [marker.n for marker in markers_of(*pieces)] == [marker.n for marker in markers_of(text)]
    assert all(1 <= marker.n <= 3 for marker in markers_of(text))

"""Sentences, highlights and deep links: offsets are exact whatever the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.content.services.highlighting import (
    MAX_SENTENCE_CHARS,
    Highlight,
    best_sentences,
    deep_link,
    sentences,
    supporting_sentence,
    with_next_sentence,
)

WAL = (
    "Write-ahead logging protects data. Changes are logged first, e.g. by wal_writer. See Fig. 3 for details.\n\n"
    "# Replication\nA standby replays the log.\n- Slots keep segments\n- Archives hold the rest"
)


def texts(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


def test_sentences_end_at_marks_blank_lines_and_list_items_but_not_at_abbreviations() -> None:
    assert texts(WAL) == [
        "Write-ahead logging protects data.",
        "Changes are logged first, e.g. by wal_writer.",
        "See Fig. 3 for details.",
        "# Replication\nA standby replays the log.",
        "- Slots keep segments",
        "- Archives hold the rest",
    ]


def test_a_line_break_inside_a_sentence_does_not_end_it() -> None:
    assert texts("One sentence\nover two lines. Next.") == ["One sentence\nover two lines.", "Next."]


@given(st.text(alphabet=st.sampled_from("ab.!? \n\t-#1[]`é。A"), max_size=300) | st.text(max_size=200))
def test_sentences_are_trimmed_in_order_bounded_and_cover_every_visible_character(text: str) -> None:
    spans = sentences(text)
    last = 0
    covered: set[int] = set()
    for start, end in spans:
        assert last <= start < end
        assert text[start:end] == text[start:end].strip()
        assert end - start <= MAX_SENTENCE_CHARS
        covered.update(range(start, end))
        last = end
    assert all(index in covered or char.isspace() for index, char in enumerate(text))


def test_a_very_long_run_is_cut_at_spaces() -> None:
    text = "word " * 300
    spans = sentences(text)
    assert all(end - start <= MAX_SENTENCE_CHARS for start, end in spans)
    assert " ".join(text[start:end] for start, end in spans).split() == text.split()


def test_the_best_sentence_carries_the_rare_lexeme_and_its_offsets_count_from_the_document() -> None:
    [highlight] = best_sentences(WAL, offset=1000, idf={"standbi": 5.0, "log": 0.5}, limit=1)
    assert highlight == Highlight(
        text="# Replication\nA standby replays the log.", start=1106, end=1146, marks=((16, 23), (36, 39))
    )
    assert WAL[highlight.start - 1000 : highlight.end - 1000] == highlight.text


def test_a_second_sentence_is_taken_only_for_what_it_adds() -> None:
    text = "Slots keep segments alive for standbys. Slots keep segments. Vacuum removes dead rows from a table."
    idf = {"slot": 3.0, "segment": 3.0, "vacuum": 3.0}
    assert [highlight.text for highlight in best_sentences(text, offset=0, idf=idf)] == [
        "Slots keep segments alive for standbys.",
        "Vacuum removes dead rows from a table.",
    ]
    assert len(best_sentences(text, offset=0, idf={"slot": 3.0, "segment": 3.0})) == 1


def test_a_hit_of_the_vector_leg_alone_shows_its_opening_sentence() -> None:
    [highlight] = best_sentences("Title\n\nThe planner estimates how many rows come back.", offset=7, idf={"xyz": 1.0})
    assert (highlight.text, highlight.start, highlight.marks) == (
        "The planner estimates how many rows come back.",
        14,
        (),
    )


def test_text_without_words_gives_no_highlight() -> None:
    assert best_sentences(" \n ", offset=0, idf={"a": 1.0}) == []


def test_a_quotation_takes_the_next_sentence_of_its_paragraph_along() -> None:
    [best] = best_sentences(WAL, offset=10, idf={"chang": 2.0}, limit=1)
    quote = with_next_sentence(WAL, best, offset=10, max_chars=100)
    assert quote.text == "Changes are logged first, e.g. by wal_writer. See Fig. 3 for details."
    assert WAL[quote.start - 10 : quote.end - 10] == quote.text
    assert with_next_sentence(WAL, best, offset=10, max_chars=60) == best
    [last] = best_sentences(WAL, offset=10, idf={"detail": 2.0, "fig": 1.0}, limit=1)
    assert with_next_sentence(WAL, last, offset=10, max_chars=900) == last


def test_a_claim_is_supported_by_the_sentence_that_shares_its_words_or_by_none() -> None:
    support = supporting_sentence(WAL, "The standby replays what was logged", offset=0)
    assert support is not None
    assert support.text == "# Replication\nA standby replays the log."
    assert supporting_sentence(WAL, "Quokkas hop", offset=0) is None


@pytest.mark.parametrize(
    ("uri", "link"),
    [
        ("https://docs.example/wal.html", "https://docs.example/wal.html#:~:text=Write%2Dahead%20logging%2C%20first."),
        ("https://docs.example/#wal", "https://docs.example/#wal:~:text=Write%2Dahead%20logging%2C%20first."),
        ("file:///srv/wal.md", "/documents/D1/#c10-36"),
    ],
)
def test_deep_links(uri: str, link: str) -> None:
    highlight = Highlight("Write-ahead logging, first.", 10, 36)
    assert deep_link(uri=uri, document_id="D1", highlight=highlight, start=0, end=99) == link


def test_a_long_sentence_links_by_its_first_and_last_words() -> None:
    sentence = "one two three four five six seven eight nine ten eleven twelve thirteen"
    link = deep_link(uri="http://a/", document_id=1, highlight=Highlight(sentence, 0, 9), start=0, end=9)
    assert link == "http://a/#:~:text=one%20two%20three%20four%20five,nine%20ten%20eleven%20twelve%20thirteen"

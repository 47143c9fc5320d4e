"""The judged questions are well formed: what a benchmark reports means nothing otherwise."""

from collections import Counter

from tests.benchmarks.questions import HALVES, gold_rank, load_questions, page_of


def test_both_halves_hold_every_kind_in_equal_numbers() -> None:
    counts = Counter((question.kind, question.half) for question in load_questions())
    kinds = {kind for kind, _ in counts}
    assert kinds == {"how-to", "concept", "error message", "parameter"}
    for kind in kinds:
        first, second = (counts[kind, half] for half in HALVES)
        assert 0 <= first - second <= 1


def test_every_question_is_asked_once_and_names_one_to_three_pages() -> None:
    questions = load_questions()
    assert len({question.text for question in questions}) == len(questions) >= 80
    for question in questions:
        assert 1 <= len(question.gold) <= 3
        assert question.first in question.gold
        assert all(page.endswith(".html") for page in question.gold)


def test_the_rank_is_that_of_the_first_right_page() -> None:
    question = next(question for question in load_questions() if len(question.gold) > 1)
    first, second = sorted(question.gold)[:2]
    assert gold_rank(["other.html", second, first], question) == 2
    assert gold_rank(["other.html"], question) is None


def test_a_page_is_its_file_name() -> None:
    assert page_of("file:///usr/share/doc/html/sql-copy.html#x") == "sql-copy.html"
    assert page_of("/usr/share/doc/html/sql-copy.html") == "sql-copy.html"

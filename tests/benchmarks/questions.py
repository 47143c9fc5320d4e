"""The judged questions over the PostgreSQL manual."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

QUESTIONS = Path(__file__).parent / "data" / "postgresql_questions.json"
HALVES = ("dev", "held-out")


@dataclass(frozen=True, slots=True)
class Question:
    """`gold` = file names of the pages that answer it; any one counts. `evidence` is found in the first."""

    text: str
    kind: str
    half: str
    gold: frozenset[str]
    first: str
    evidence: str


def load_questions(path: Path = QUESTIONS) -> list[Question]:
    """All questions in the file's order."""
    return [
        Question(
            text=entry["question"],
            kind=entry["kind"],
            half=entry["half"],
            gold=frozenset(entry["gold"]),
            first=entry["gold"][0],
            evidence=entry["evidence"],
        )
        for entry in json.loads(path.read_text())["questions"]
    ]


def page_of(uri: str) -> str:
    """The page's file name, whatever the corpus' folder or address was."""
    return unquote(urlsplit(uri).path).rpartition("/")[2]


def gold_rank(pages: Sequence[str], question: Question) -> int | None:
    """The rank (from 1) of the first page that answers the question."""
    return next((rank for rank, page in enumerate(pages, start=1) if page in question.gold), None)

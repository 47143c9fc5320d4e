"""Sentences with offsets, and which of them answers a query. Pure: works on the text and the query's lexemes."""

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import snowballstemmer

MAX_SENTENCE_CHARS = 400
PROSE_SHARE = 0.75
TITLE_SHARE = 0.6
"""A heading or a stub matches cheaply and says little: what its match counts beside that of a sentence."""
_CLOSING = frozenset(".!?…:;\"')]”’。！？")
_BLOCK = re.compile(r"\n[ \t]*\n+|\n(?=[ \t]*(?:[-*+•][ \t]|\d{1,3}[.)][ \t]|#{1,6}[ \t]|\||```))")
_SENTENCE_END = re.compile(r"[.!?…]+[\"')\]”’]*\s+(?=[\"'(\[“‘`]?[A-Z0-9À-ÖØ-Þ`])|[。！？]")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|etc|vs|cf|al|approx|resp|fig|vol|pp?|dr|mr|mrs|ms|prof|st|jr|sr|inc|ltd|u\.s|[a-z])\.$",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_local = threading.local()


@dataclass(frozen=True, slots=True)
class Highlight:
    """A sentence of the normalised text: `text == normalised_text[start:end]`. `marks` are matched words in `text`."""

    text: str
    start: int
    end: int
    marks: tuple[tuple[int, int], ...] = ()


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The Snowball English stem, as PostgreSQL's `english` configuration has it."""
    stemmer: Any = getattr(_local, "stemmer", None)  # a stemmer keeps state while it works: one per thread
    if stemmer is None:
        stemmer = _local.stemmer = snowballstemmer.stemmer("english")
    result: str = stemmer.stemWord(word.lower().replace("’", "'"))
    return result


def words(text: str) -> Iterator[tuple[str, int, int]]:
    """(stem, start, end) of each word."""
    for match in _WORD.finditer(text):
        yield stem(match.group()), match.start(), match.end()


def sentences(text: str) -> list[tuple[int, int]]:
    """Spans of the sentences, trimmed, in order, none empty and none longer than MAX_SENTENCE_CHARS.

    A blank line, a list item, a heading and a table row end a sentence; a single line break does not.
    """
    spans: list[tuple[int, int]] = []
    for block_start, block_end in _split(text, 0, len(text), _BLOCK, keep=False):
        for start, end in _sentences_of_block(text, block_start, block_end):
            spans.extend(_bounded(text, start, end))
    return spans


def _split(text: str, start: int, end: int, boundary: re.Pattern[str], *, keep: bool) -> Iterator[tuple[int, int]]:
    at = start
    for match in boundary.finditer(text, start, end):
        yield at, match.end() if keep else match.start()
        at = match.end()
    yield at, end


def _sentences_of_block(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    at = start
    for match in _SENTENCE_END.finditer(text, start, end):
        before = text[at : match.start() + 1]
        if match.group().startswith(".") and _ABBREVIATION.search(before):
            continue
        yield at, match.end()
        at = match.end()
    yield at, end


def _bounded(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Trim; cut what is too long at line breaks, then at spaces, then anywhere."""
    while True:
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if start >= end:
            return
        if end - start <= MAX_SENTENCE_CHARS:
            yield start, end
            return
        limit = start + MAX_SENTENCE_CHARS
        cut = max(text.rfind("\n", start + 1, limit), -1)
        if cut <= start:
            cut = text.rfind(" ", start + 1, limit)
        cut = cut if cut > start else limit
        piece_end = cut
        while piece_end > start and text[piece_end - 1].isspace():
            piece_end -= 1
        yield start, piece_end
        start = cut


def best_sentences(text: str, *, offset: int, idf: Mapping[str, float], limit: int = 2) -> list[Highlight]:
    """The sentences that carry most of the query, by summed idf of distinct lexemes, in reading order.

    `offset` is where `text` starts in the normalised text. A second sentence is taken only for what it adds. When no
    lexeme occurs (the hit came from the vector leg) the opening sentence that says something stands in.
    """
    spans = sentences(text)
    found = [_Match.of(text, start, end, idf) for start, end in spans]
    chosen: list[_Match] = []
    covered: set[str] = set()
    while len(chosen) < limit:
        best = max(
            (match for match in found if match not in chosen),
            key=lambda match: (match.gain(idf, covered), -match.start),
            default=None,
        )
        if best is None or best.gain(idf, covered) <= 0 or (chosen and best.share(idf, covered) < 0.2):
            break
        chosen.append(best)
        covered |= best.lexemes
    if not chosen:
        chosen = [match for match in found if match.tells][:1] or found[:1]
    return [match.highlight(text, offset) for match in sorted(chosen, key=lambda match: match.start)]


def telling_sentences(text: str, *, offset: int, idf: Mapping[str, float]) -> list[tuple[Highlight, float]]:
    """The sentences that say something by themselves (no headings or stubs), each with its share of the query's idf."""
    found = [_Match.of(text, start, end, idf) for start, end in sentences(text)]
    return [
        (match.highlight(text, offset), match.share(idf, set()))
        for match in found
        if match.tells and is_prose(text[match.start : match.end])
    ]


def is_prose(text: str) -> bool:
    """Whether a sentence reads like one: not a command line, code or a row of symbols."""
    if text.startswith(("$ ", ">>> ", "@", "{", "<")):
        return False
    return sum(char.isalpha() or char.isspace() for char in text) >= PROSE_SHARE * len(text)


@dataclass(frozen=True)
class _Match:
    start: int
    end: int
    lexemes: frozenset[str]
    marks: tuple[tuple[int, int], ...]
    tells: bool

    @classmethod
    def of(cls, text: str, start: int, end: int, idf: Mapping[str, float]) -> "_Match":
        marked = [(lexeme, a, b) for lexeme, a, b in words(text[start:end]) if lexeme in idf]
        length = end - start
        return cls(
            start,
            end,
            lexemes=frozenset(lexeme for lexeme, _, _ in marked),
            marks=tuple((a, b) for _, a, b in marked),
            tells=length >= 25 and (length >= 60 or text[end - 1] in _CLOSING),
        )

    def gain(self, idf: Mapping[str, float], covered: set[str]) -> float:
        mass = sum(idf[lexeme] for lexeme in self.lexemes - covered)
        return mass * (1.0 if self.tells else TITLE_SHARE)

    def share(self, idf: Mapping[str, float], covered: set[str]) -> float:
        total = sum(idf.values())
        return self.gain(idf, covered) / total if total else 0.0

    def highlight(self, text: str, offset: int) -> Highlight:
        return Highlight(text[self.start : self.end], offset + self.start, offset + self.end, self.marks)


def with_next_sentence(text: str, sentence: Highlight, *, offset: int, max_chars: int) -> Highlight:
    """The sentence and the one after it in its paragraph, if both fit: a quotation that explains itself."""
    spans = sentences(text)
    for (start, end), (next_start, next_end) in pairwise(spans):
        if offset + start == sentence.start and next_end - start <= max_chars:
            if "\n" not in text[end:next_start]:
                return Highlight(text[start:next_end], offset + start, offset + next_end, sentence.marks)
            break
    return sentence


def supporting_sentence(text: str, claim: str, *, offset: int) -> Highlight | None:
    """The sentence of a passage that shares most words with a claim made from it, for a citation's exact offsets.

    Longer words weigh more; no word in common means no support, and None.
    """
    weights = {lexeme: float(min(len(lexeme), 8)) for lexeme, _, _ in words(claim) if len(lexeme) > 2}
    matches = [_Match.of(text, start, end, weights) for start, end in sentences(text)]
    best = max(matches, key=lambda match: (match.gain(weights, set()), -match.start), default=None)
    if best is None or best.gain(weights, set()) <= 0:
        return None
    return best.highlight(text, offset)


def text_fragment(sentence: str) -> str:
    """A text fragment directive for a sentence (WICG scroll-to-text-fragment), without the `#`."""
    parts = sentence.split()
    if len(parts) <= 12:
        return f":~:text={_fragment(parts)}"
    return f":~:text={_fragment(parts[:5])},{_fragment(parts[-5:])}"


def _fragment(parts: Iterable[str]) -> str:
    return quote(" ".join(parts), safe="").replace("-", "%2D")


def deep_link(*, uri: str, document_id: object, highlight: Highlight | None, start: int, end: int) -> str:
    """Where a reader sees the passage: the web page scrolled to the sentence, else our own page of the document."""
    if highlight is not None:
        start, end = highlight.start, highlight.end
    if uri.startswith(("http://", "https://")) and highlight is not None:
        joint = "" if "#" in uri else "#"
        return f"{uri}{joint}{text_fragment(highlight.text)}"
    return f"/documents/{document_id}/#c{start}-{end}"

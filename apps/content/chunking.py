"""Structure-aware chunks: sections first, then paragraphs, lines, sentences and words packed up to the embedder's cap.

Every chunk is a slice of the normalised text; together they cover all of it but white space.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile
from math import ceil
from typing import Protocol

from apps.content.extraction.document import Extracted

MAX_TITLE_CHARS = 120
MAX_HEADING_CHARS = 80
MAX_CHUNK_CHARS = 8_000
SMALL_TOKENS = 64
"""A section below this is joined with the next one."""
HEADING_ONLY_TOKENS = 24
"""A section below this is joined with the next one even when the two must be split again."""
_LONG_TOKEN_CHARS = 64
_PIECE_CHARS = 16
_SEPARATORS = (
    re.compile(r"\n[ \t]*\n\s*"),
    re.compile(r"\n"),
    re.compile(r"[.!?;:][\"'”’)\]]*\s+|[。！？；]"),
    re.compile(r"\s+"),
)


class Tokenizer(Protocol):
    """The embedder's own tokenizer."""

    def count_tokens(self, text: str) -> int: ...
    def token_offsets(self, text: str) -> list[tuple[int, int]]: ...


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """`start` and `end` are character offsets into the normalised text; neither end is white space."""

    start: int
    end: int
    heading_path: tuple[str, ...]
    ordinal: int


def embedding_text(title: str, heading_path: Sequence[str], text: str) -> str:
    """What is embedded for a chunk: title and heading path in front of the text, without saying anything twice."""
    title = title[:MAX_TITLE_CHARS]
    path = [heading for heading in heading_path if heading != title]
    if path and text.startswith(path[-1]):
        path = path[:-1]
    if title and not text.startswith(title):
        path = [title, *path]
    return f"{' > '.join(path)}\n{text}" if path else text


def chunk(extracted: Extracted, *, tokenizer: Tokenizer, max_tokens: int) -> list[ChunkSpan]:
    """Spans whose `embedding_text` has at most `max_tokens` tokens, not counting the model's own marks."""
    return _Chunker(extracted, tokenizer, max_tokens).run()


@dataclass(frozen=True, slots=True)
class _Section:
    start: int
    end: int
    path: tuple[str, ...]


class _Weights:
    """Tokens of any slice in O(log n). A token of unusual length, such as an unknown word, counts by its characters."""

    def __init__(self, offsets: list[tuple[int, int]]) -> None:
        self._starts: list[int] = []
        weights: list[int] = []
        for start, end in offsets:
            if end - start <= _LONG_TOKEN_CHARS:
                self._starts.append(start)
                weights.append(1)
                continue
            for piece in range(start, end, _PIECE_CHARS):
                self._starts.append(piece)
                weights.append(_PIECE_CHARS)
        self._sums = [0, *accumulate(weights)]

    def count(self, start: int, end: int) -> int:
        return self._sums[bisect_left(self._starts, end)] - self._sums[bisect_left(self._starts, start)]

    def cuts(self, start: int, end: int) -> list[int]:
        """Where tokens start strictly inside the slice."""
        return self._starts[bisect_left(self._starts, start + 1) : bisect_left(self._starts, end)]


class _Chunker:
    def __init__(self, extracted: Extracted, tokenizer: Tokenizer, max_tokens: int) -> None:
        self._text = extracted.text
        self._title = extracted.title
        self._extracted = extracted
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._weights = _Weights(tokenizer.token_offsets(extracted.text))
        self._budgets: dict[tuple[str, ...], int] = {}

    def run(self) -> list[ChunkSpan]:
        spans: list[ChunkSpan] = []
        for group in self._grouped():
            budget = min(self._budget(section.path) for section in group)
            for start, end in self._split(group[0].start, group[-1].end, budget):
                trimmed = self._trimmed(start, end)
                if trimmed is not None:
                    spans.append(ChunkSpan(*trimmed, _path_of(group, *trimmed), len(spans)))
        return spans

    def _sections(self) -> list[_Section]:
        """Slices from one heading to the next, each with the headings in force."""
        headings = self._extracted.headings
        bounds = [heading.start for heading in headings] + [len(self._text)]
        sections = [_Section(0, bounds[0], ())] if bounds[0] > 0 else []
        stack: list[tuple[int, str]] = []
        for index, heading in enumerate(headings):
            while stack and stack[-1][0] >= heading.level:
                stack.pop()
            stack.append((heading.level, heading.text[:MAX_HEADING_CHARS]))
            path = tuple(text for _, text in stack)
            if bounds[index + 1] > heading.start:
                sections.append(_Section(heading.start, bounds[index + 1], self._fitting(path)))
        return sections

    def _fitting(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """The path without its upper parts where title and path would take more than half of the cap."""
        while path and self._budget(path) < self._max_tokens // 2:
            path = path[1:]
        return path

    def _budget(self, path: tuple[str, ...]) -> int:
        """Tokens left for text under this path."""
        if path not in self._budgets:
            prefix = " > ".join([self._title[:MAX_TITLE_CHARS], *path])
            left = self._max_tokens - self._tokenizer.count_tokens(prefix)
            self._budgets[path] = max(left, 16)
        return self._budgets[path]

    def _grouped(self) -> Iterator[list[_Section]]:
        """Neighbouring sections joined until they are worth a chunk of their own."""
        group: list[_Section] = []
        for section in self._sections():
            if group and not self._joins(group, section):
                yield group
                group = []
            group.append(section)
        if group:
            yield group

    def _joins(self, group: list[_Section], section: _Section) -> bool:
        tokens = self._weights.count(group[0].start, group[-1].end)
        if tokens < HEADING_ONLY_TOKENS:
            return True
        budget = min(self._budget(member.path) for member in [*group, section])
        return tokens < SMALL_TOKENS and self._weights.count(group[0].start, section.end) <= budget

    def _split(self, start: int, end: int, budget: int) -> Iterator[tuple[int, int]]:
        """Pieces of nearly equal size, none above the budget, cut at the strongest separators that do."""
        if self._fits(start, end, budget):
            yield start, end
            return
        piece_start = piece_end = start
        target = self._even_share(start, end, budget)
        for atom_end in self._atom_ends(start, end, budget, 0):
            if piece_end > piece_start and not self._fits(piece_start, atom_end, budget):
                yield piece_start, piece_end
                piece_start = piece_end
                target = self._even_share(piece_start, end, budget)
            piece_end = atom_end
            if self._weights.count(piece_start, piece_end) >= target:
                yield piece_start, piece_end
                piece_start = piece_end
                target = self._even_share(piece_start, end, budget)
        if piece_end > piece_start:
            yield piece_start, piece_end

    def _fits(self, start: int, end: int, budget: int) -> bool:
        return self._weights.count(start, end) <= budget and end - start <= MAX_CHUNK_CHARS

    def _even_share(self, start: int, end: int, budget: int) -> float:
        """Tokens per piece when the rest is cut into as few equal pieces as possible."""
        total = self._weights.count(start, end)
        return total / ceil(total / budget) if total else budget

    def _atom_ends(self, start: int, end: int, budget: int, level: int) -> Iterator[int]:
        """Ends of consecutive parts of a slice, each within the budget."""
        if self._fits(start, end, budget):
            yield end
            return
        if level == len(_SEPARATORS):
            yield from self._hard_ends(start, end, budget)
            return
        at = start
        for match in _SEPARATORS[level].finditer(self._text, start, end):
            if match.end() < end:
                yield from self._atom_ends(at, match.end(), budget, level + 1)
                at = match.end()
        yield from self._atom_ends(at, end, budget, level + 1)

    def _hard_ends(self, start: int, end: int, budget: int) -> Iterator[int]:
        """Cuts inside one endless word, at token starts, or every MAX_CHUNK_CHARS where there are none."""
        at = start
        last = start
        for cut in [*self._weights.cuts(start, end), end]:
            if self._weights.count(at, cut) > budget and last > at:
                yield last
                at = last
            while cut - at > MAX_CHUNK_CHARS:
                at += MAX_CHUNK_CHARS
                yield at
            last = cut
        if last > at:
            yield last

    def _trimmed(self, start: int, end: int) -> tuple[int, int] | None:
        piece = self._text[start:end]
        left = len(piece) - len(piece.lstrip())
        right = len(piece.rstrip())
        return (start + left, start + right) if right > left else None


def _path_of(group: list[_Section], start: int, end: int) -> tuple[str, ...]:
    """The headings that hold for the whole of a slice."""
    paths = [section.path for section in group if section.start < end and section.end > start]
    shared = takewhile(lambda headings: len(set(headings)) == 1, zip(*paths, strict=False))
    return tuple(headings[0] for headings in shared)

"""The normalised document, and the builder that every format writes it through."""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

TERM_LEVEL = 7
"""Level of a definition term with a long definition: below every real heading."""

MAX_TITLE_CHARS = 300
_SPACES = re.compile(r"[ \t\n\r\f\v\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_BAD = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufdd0-\ufdef"
    "\ufffe\uffff\ud800-\udfff]"
)
_LINE_BREAKS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_BLANK_LINES = re.compile(r"[ \t]*\n(?:[ \t]*\n)+")


@dataclass(frozen=True, slots=True)
class Heading:
    """`start` is the offset of the heading's line in the normalised text; level 1 is the highest."""

    level: int
    text: str
    start: int


@dataclass(frozen=True)
class Extracted:
    """Readable text in NFC without control characters; blank lines between blocks. Offsets count characters."""

    text: str
    title: str
    headings: list[Heading]
    language: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


def clean(text: str) -> str:
    """NFC, `\\n` line ends, nothing invisible: control, bidi-override, zero-width characters, lone surrogates."""
    text = _BAD.sub("", _LINE_BREAKS.sub("\n", text))
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def collapse(text: str) -> str:
    """One line: every run of white space is one space."""
    return _SPACES.sub(" ", text).strip(" ")


class TextBuilder:
    """Appends blocks and keeps the offsets of headings. Feed it raw text: it cleans and collapses by itself."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self.headings: list[Heading] = []

    def __len__(self) -> int:
        return self._length

    def _append(self, block: str, separator: str) -> int:
        if self._length:
            self._parts.append(separator)
            self._length += len(separator)
        start = self._length
        self._parts.append(block)
        self._length += len(block)
        return start

    def heading(self, level: int, text: str) -> None:
        line = collapse(clean(text))
        if line:
            self.headings.append(Heading(level, line[:MAX_TITLE_CHARS], self._append(line, "\n\n")))

    def paragraph(self, text: str, *, prefix: str = "", tight: bool = False) -> None:
        """One block of flowing text; `\\x0b` in it is a line break. `tight` joins it to the block before."""
        lines = [collapse(clean(part)) for part in text.split("\x0b")]
        block = "\n".join(line for line in lines if line)
        if block:
            self._append(prefix + block, "\n" if tight else "\n\n")

    def preformatted(self, text: str) -> None:
        """A block whose line breaks and inner spaces mean something."""
        lines = [line.replace("\u00a0", " ").rstrip() for line in clean(text).split("\n")]
        block = "\n".join(lines).strip("\n")
        if block.strip():
            self._append(block, "\n\n")

    def row(self, cells: list[str], *, first: bool) -> None:
        """One row of a table, cells separated by bars."""
        flat = [collapse(clean(cell.replace("\x0b", " "))) for cell in cells]
        if any(flat):
            self._append(" | ".join(flat), "\n\n" if first else "\n")

    def term(self, text: str, *, long: bool) -> None:
        """A definition term; it counts as a heading when its definition is long."""
        line = collapse(clean(text.replace("\x0b", " ")))
        if not line:
            return
        start = self._append(line, "\n\n")
        if long:
            self.headings.append(Heading(TERM_LEVEL, line[:MAX_TITLE_CHARS], start))

    def build(self, *, title: str, language: str = "", metadata: dict[str, Any] | None = None) -> Extracted:
        text = "".join(self._parts)
        title = collapse(clean(title))[:MAX_TITLE_CHARS]
        if not title and self.headings:
            title = next((h.text for h in self.headings if h.level < TERM_LEVEL), "")
        return Extracted(text, title, list(self.headings), language, metadata or {})


def split_plain(text: str) -> list[str]:
    """Paragraphs of plain text, blank lines between them removed."""
    return [part.strip("\n") for part in _BLANK_LINES.split(text) if part.strip()]

"""What a model wrote, cleaned while it streams: citation markers checked, foreign links and images taken out. Pure.

Passages are outside text that may tell the model to leak what it saw through a URL; a link or image is kept only when
it points at one of the sources. Code blocks and code spans pass untouched.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from apps.content.services.highlighting import sentences

MAX_HELD_CHARS = 700
CLAIM_WINDOW_CHARS = 600
_CITATION = re.compile(r"\[\s*(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\s*\]")
_URL = r"[^()\s<>]*(?:\([^()\s]*\)[^()\s<>]*)*"
_LINK = re.compile(rf"(!?)\[([^\[\]\n]{{0,200}})\]\(\s*<?({_URL})>?(?:\s+\"[^\"\n]*\")?\s*\)")
_OPEN = re.compile(r"!?\[[^\[\]\n]{0,200}(?:\](?:\([^\n]{0,450})?)?\Z")
_INTERESTING = re.compile(r"[ \t]*!?\[|[ \t]+\Z|!\Z|`+")


@dataclass(frozen=True, slots=True)
class Marker:
    """The model cites passage `n` for `claim`, the sentence it has just written."""

    n: int
    claim: str


class AnswerParser:
    """Feed it the pieces of a stream; it hands back clean text and markers as soon as they are certain."""

    def __init__(self, *, passages: int, allowed_urls: Collection[str] = ()) -> None:
        self._passages = passages
        self._allowed_urls = frozenset(allowed_urls)
        self._pending = ""
        self._code = ""  # the run of backticks that opened the code being passed through
        self._said = ""

    def feed(self, piece: str) -> list[str | Marker]:
        """What is certain after this piece."""
        self._pending += piece
        return self._drain(final=False)

    def finish(self) -> list[str | Marker]:
        """The rest, when the stream has ended."""
        return self._drain(final=True)

    def _drain(self, *, final: bool) -> list[str | Marker]:
        out: list[str | Marker] = []
        while self._pending:
            before = len(self._pending)
            step = self._code_step(final=final) if self._code else self._text_step(final=final)
            out.extend(step)
            if len(self._pending) == before:
                break
        return _joined(out)

    def _take(self, count: int) -> str:
        taken, self._pending = self._pending[:count], self._pending[count:]
        return taken

    def _say(self, text: str) -> list[str | Marker]:
        self._said = (self._said + text)[-CLAIM_WINDOW_CHARS:]
        return [text] if text else []

    def _code_step(self, *, final: bool) -> list[str | Marker]:
        at = self._pending.find(self._code)
        if at >= 0:
            end = at + len(self._code)
            self._code = ""
            return self._say(self._take(end))
        return self._say(self._take(len(self._pending) if final else max(0, len(self._pending) - 2)))

    def _text_step(self, *, final: bool) -> list[str | Marker]:
        match = _INTERESTING.search(self._pending)
        if match is None:
            return self._say(self._take(len(self._pending)))
        if match.start() > 0:
            return self._say(self._take(match.start()))
        found = match.group()
        at_end = match.end() == len(self._pending)
        if found.startswith("`"):
            if at_end and not final:
                return []
            self._code = found if len(found) != 2 else ""  # an empty code span opens nothing
            return self._say(self._take(len(found)))
        if "[" not in found:
            return self._say(self._take(len(found))) if final else []
        return self._bracket_step(len(found) - len(found.lstrip(" \t")), final=final)

    def _bracket_step(self, spaces: int, *, final: bool) -> list[str | Marker]:
        rest = self._pending[spaces:]
        link = _LINK.match(rest)
        if link is not None:
            blank = self._take(spaces)
            self._take(link.end())
            return self._say(blank + self._safe_link(link))
        if _OPEN.match(rest) and len(rest) < MAX_HELD_CHARS and not final:
            return []
        citation = _CITATION.match(rest)
        if citation is None:
            return self._say(self._take(spaces + (2 if rest.startswith("!") else 1)))
        blank = self._take(spaces)
        self._take(citation.end())
        numbers = dict.fromkeys(int(number) for number in re.findall(r"\d+", citation.group(1)))
        valid = [n for n in numbers if 1 <= n <= self._passages]
        if not valid:
            return []
        claim = self._claim()
        return [blank + "".join(f"[{n}]" for n in valid), *(Marker(n, claim) for n in valid)]

    def _claim(self) -> str:
        spans = sentences(self._said)
        return self._said[slice(*spans[-1])] if spans else ""

    def _safe_link(self, link: re.Match[str]) -> str:
        image, label, url = link.groups()
        if image or url not in self._allowed_urls:
            return label
        return link.group()


def _joined(parts: list[str | Marker]) -> list[str | Marker]:
    """Neighbouring texts as one, so that a piece makes one event."""
    out: list[str | Marker] = []
    for part in parts:
        if isinstance(part, str) and out and isinstance(out[-1], str):
            out[-1] += part
        else:
            out.append(part)
    return out

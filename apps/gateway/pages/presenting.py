"""Plain values as readers see them: snippets, paragraphs, events in words. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

SNIPPET_CHARS = 420
SNIPPET_LEAD_CHARS = 110
_SPACE = re.compile(r"\s+")
_PARAGRAPH_END = re.compile(r"\n\s*\n")


class Span(Protocol):
    """A stretch of a document's text, in characters."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


class EventLike(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def payload(self) -> Mapping[str, Any]: ...
    @property
    def occurred_at(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a document's text; `start` = where its line begins."""

    level: int
    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a snippet; `marked` = highlighted."""

    text: str
    marked: bool


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph (`level` 0) or heading (2 to 4) of a page; `start` = its offset in the document's text."""

    start: int
    text: str
    level: int


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of the log in words; `times` = how many equal ones in a row it stands for."""

    name: str
    occurred_at: datetime
    text: str
    tone: str
    times: int = 1


def snippet(text: str, offset: int, highlights: Sequence[Span]) -> list[Part]:
    """The part of a passage around its first highlight, with highlights apart; `offset` = where the passage starts."""
    spans = sorted((span.start - offset, span.end - offset) for span in highlights)
    spans = [(max(0, start), min(len(text), end)) for start, end in spans if start < len(text) and end > 0]
    begin = max(0, spans[0][0] - SNIPPET_LEAD_CHARS) if spans else 0
    if begin:
        begin = text.find(" ", begin) + 1 or begin
        begin = min(begin, spans[0][0])
    end = min(len(text), max(begin + SNIPPET_CHARS, spans[0][1] if spans else 0))
    parts = [Part("… ", marked=False)] if begin else []
    at = begin
    for start, stop in spans:
        if start >= end:
            break
        parts.append(Part(_flat(text[at:start]), marked=False))
        parts.append(Part(_flat(text[max(at, start) : min(stop, end)]), marked=True))
        at = max(at, min(stop, end))
    parts.append(Part(_flat(text[at:end]), marked=False))
    if end < len(text):
        parts.append(Part(" …", marked=False))
    return [part for part in parts if part.text]


def _flat(text: str) -> str:
    return _SPACE.sub(" ", text)


def blocks(text: str, headings: Iterable[Heading], *, max_chars: int) -> list[Block]:
    """The first `max_chars` of a text as headings and paragraphs, each with its exact offset."""
    at = 0
    found: list[Block] = []
    limit = min(len(text), max_chars)
    for heading in sorted(headings, key=lambda item: item.start):
        if heading.start < at or heading.start >= limit:
            continue
        line_end = text.find("\n", heading.start)
        stop = limit if line_end == -1 else min(line_end, limit)
        found.extend(_paragraphs(text, at, heading.start))
        found.append(Block(heading.start, text[heading.start : stop], min(4, max(2, heading.level + 1))))
        at = stop
    found.extend(_paragraphs(text, at, limit))
    return found


def _paragraphs(text: str, start: int, end: int) -> list[Block]:
    found: list[Block] = []
    at = start
    while at < end:
        match = _PARAGRAPH_END.search(text, at, end)
        stop = match.start() if match else end
        body = text[at:stop]
        lead = len(body) - len(body.lstrip("\n"))
        body = body.strip("\n")
        if body.strip():
            found.append(Block(at + lead, body, 0))
        at = match.end() if match else end
    return found


def origin_link(uri: str) -> tuple[str, str]:
    """Address and label of the original; empty for what has no web address."""
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return "", ""
    path = parts.path.rstrip("/")
    return uri, parts.netloc + (path if len(path) < 50 else f"/…{path[-44:]}")


def event_tone(name: str) -> str:
    """How much attention an event deserves, as a badge colour."""
    if name.endswith((".failed", "_failed", ".error")):
        return "bad"
    if name in {"source.paused", "episode.created", "rule.matched"}:
        return "warn"
    if name.endswith((".indexed", ".completed", ".resumed", ".resolved", ".reverted")):
        return "good"
    return "info" if name.startswith(("episode.", "policy.", "intervention.")) else ""


def event_text(payload: Mapping[str, Any]) -> str:
    """The payload's telling fields, in reading order."""
    parts = [str(payload[key]) for key in ("title", "summary") if payload.get(key)]
    if payload.get("system"):
        parts.append(f"S{payload['system']} {payload.get('state', '')}")
    if payload.get("rule_name") and "event_count" in payload:
        parts.append(f"{payload['rule_name']}: {payload['event_count']} events in {payload.get('window_s')} s")
    parts.append(" ".join(str(payload[key]) for key in ("outcome", "action") if payload.get(key)))
    parts.extend(str(payload[key]) for key in ("stage", "code", "detail", "reason", "url", "actor") if payload.get(key))
    if "chunk_count" in payload:
        parts.append(f"{payload['chunk_count']} passage{'' if payload['chunk_count'] == 1 else 's'}")
    if "indexed" in payload:
        parts.append(f"{payload['indexed']} indexed, {payload.get('failed', 0)} failed")
    return " · ".join(part for part in parts if part)[:300]


def happenings(events: Iterable[EventLike]) -> list[Happening]:
    """Events in words, in the order given; equal neighbours are one line."""
    found: list[Happening] = []
    for event in events:
        item = Happening(event.name, event.occurred_at, event_text(event.payload), event_tone(event.name))
        last = found[-1] if found else None
        if last and (last.name, last.text) == (item.name, item.text):
            found[-1] = Happening(last.name, last.occurred_at, last.text, last.tone, last.times + 1)
        else:
            found.append(item)
    return found

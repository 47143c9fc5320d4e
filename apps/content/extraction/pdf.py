"""PDF text, by pdfium in a child process that is killed when it takes too long."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from apps.content.extraction.document import Extracted, TextBuilder, collapse, split_plain
from apps.content.extraction.document import clean as clean_text
from apps.content.extraction.errors import (
    DocumentDamaged,
    DocumentEmpty,
    DocumentEncrypted,
    ExtractionTimeout,
    ExtractionTooLarge,
)

TIMEOUT_S = 60
MEMORY_BYTES = 1_500_000_000
MAX_PAGES = 5000
MAX_CHARS = 20_000_000
_CHILD = Path(__file__).with_name("pdf_child.py")
_HYPHEN_BREAK = re.compile(r"[\x02\u00ad\ufffe]\r?\n?")


def extract_pdf(data: bytes, *, timeout_s: float = TIMEOUT_S) -> Extracted:
    """Text with a heading for each outline entry found on its page; `metadata["page_starts"]` maps pages to offsets."""
    answer = _run_child(data, timeout_s)
    match answer.get("error"):
        case "encrypted":
            raise DocumentEncrypted("The PDF asks for a password.")
        case "damaged":
            raise DocumentDamaged("The PDF cannot be opened.")
        case "too_large":
            raise ExtractionTooLarge(f"The PDF has more than {MAX_PAGES} pages or {MAX_CHARS} characters.")
    return _assemble(answer)


def _run_child(data: bytes, timeout_s: float) -> dict[str, Any]:
    command = [sys.executable, "-I", str(_CHILD), str(MEMORY_BYTES), str(int(timeout_s) + 1), str(MAX_PAGES)]
    try:
        done = subprocess.run(
            [*command, str(MAX_CHARS)], input=data, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise ExtractionTimeout(f"Reading the PDF took more than {timeout_s:g} s.") from None
    if done.returncode:
        raise DocumentDamaged("The PDF made its reader stop.")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _assemble(answer: dict[str, Any]) -> Extracted:
    builder = TextBuilder()
    outline: dict[int, list[dict[str, Any]]] = {}
    for entry in answer["outline"]:
        outline.setdefault(entry["page"], []).append(entry)
    page_starts: list[int] = []
    for number, raw in enumerate(answer["pages"]):
        page_starts.append(len(builder) + (2 if len(builder) else 0))
        headings = {collapse(clean_text(e["title"])): int(e["level"]) + 1 for e in outline.get(number, [])}
        for block in split_plain(clean_text(_HYPHEN_BREAK.sub("", raw))):
            _write_block(builder, block, headings)
    if not len(builder):
        raise DocumentEmpty("The PDF contains no text; a scan needs character recognition, which is not done yet.")
    metadata: dict[str, Any] = {"page_starts": page_starts}
    if answer["author"]:
        metadata["author"] = collapse(clean_text(answer["author"]))[:300]
    title = collapse(clean_text(answer["title"]))
    if not title or title.lower().startswith(("untitled", "microsoft word")):
        title = "" if builder.headings else collapse(clean_text(answer["pages"][0]).strip().split("\n")[0])[:120]
    return builder.build(title=title, metadata=metadata)


def _write_block(builder: TextBuilder, block: str, headings: dict[str, int]) -> None:
    """A block of lines; a line that is an outline entry of this page becomes a heading."""
    plain: list[str] = []
    for line in block.split("\n"):
        level = headings.pop(collapse(line), None)
        if level is None:
            plain.append(line)
            continue
        if plain:
            builder.preformatted("\n".join(plain))
            plain = []
        builder.heading(level, line)
    if plain:
        builder.preformatted("\n".join(plain))

"""The readers of the text formats, here or, for large documents, in a child process with limits."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from apps.content.extraction.document import Extracted, Heading
from apps.content.extraction.errors import DocumentDamaged, DocumentEmpty, ExtractionTimeout, ExtractionTooLarge
from apps.content.extraction.html import extract_html
from apps.content.extraction.markdown import extract_markdown
from apps.content.extraction.plain import extract_plain
from apps.content.extraction.sniffing import HTML, MARKDOWN, TEXT, decode

MAX_TEXT_CHARS = 20_000_000
SMALL_BYTES = {HTML: 1_000_000, MARKDOWN: 100_000, TEXT: 4_000_000}
"""Above this a document is read in a child. Hostile Markdown and HTML cost up to the square of their size."""
MAX_OPEN_TAGS = 1_000
TIMEOUT_S = 60
MEMORY_BYTES = 4_000_000_000
_TAG = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_NOT_NESTING = frozenset(
    {
        b"area", b"base", b"br", b"col", b"embed", b"hr", b"img", b"input", b"link", b"meta", b"source", b"track", b"wbr",
        b"p", b"li", b"dt", b"dd", b"td", b"th", b"tr", b"tbody", b"thead", b"tfoot", b"option",
    }
)  # fmt: skip
"""Tags that have no end, or whose end may be left out without nesting anything."""
_ROOT = Path(__file__).resolve().parents[3]
_ERRORS = {error.code: error for error in (DocumentEmpty, DocumentDamaged, ExtractionTooLarge)}


def read_here(data: bytes, kind: str, charset: str | None) -> Extracted:
    """Read a text format in this process."""
    text, used = decode(data, charset=charset, html=kind == HTML)
    if len(text) > MAX_TEXT_CHARS:
        raise ExtractionTooLarge(f"The document has more than {MAX_TEXT_CHARS} characters.")
    reader = {HTML: extract_html, MARKDOWN: extract_markdown}.get(kind, extract_plain)
    extracted = reader(text)
    extracted.metadata["charset"] = used
    return extracted


def read_bounded(data: bytes, kind: str, charset: str | None, *, timeout_s: float = TIMEOUT_S) -> Extracted:
    """The same; what may take long is read in a child process. Raises ExtractionTimeout as well."""
    if len(data) <= SMALL_BYTES[kind] and not (kind == HTML and _nests_deeply(data)):
        return read_here(data, kind, charset)
    command = [sys.executable, "-m", "apps.content.extraction.child", str(MEMORY_BYTES), str(int(timeout_s) + 1)]
    try:
        done = subprocess.run(
            [*command, kind, charset or ""], input=data, capture_output=True, timeout=timeout_s, check=False, cwd=_ROOT
        )
    except subprocess.TimeoutExpired:
        raise ExtractionTimeout(f"Reading the document took more than {timeout_s:g} s.") from None
    if done.returncode:
        raise DocumentDamaged("The document made its reader stop.")
    answer: dict[str, Any] = json.loads(done.stdout)
    if "error" in answer:
        raise _ERRORS[answer["error"]["code"]](answer["error"]["detail"])
    found = answer["extracted"]
    headings = [Heading(**heading) for heading in found.pop("headings")]
    return Extracted(**found, headings=headings)


def _nests_deeply(data: bytes) -> bool:
    """Whether more tags are open at once than on any page: the parser's time grows with the square of that."""
    if data.count(b"<") <= MAX_OPEN_TAGS:
        return False
    depth = 0
    for closing, name in _TAG.findall(data):
        if name.lower() not in _NOT_NESTING:
            depth += -1 if closing else 1
            if depth > MAX_OPEN_TAGS:
                return True
    return False

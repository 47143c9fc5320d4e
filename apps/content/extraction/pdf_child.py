"""Runs alone in a child process: PDF bytes on stdin, one JSON object on stdout. Imports nothing of this project.

A hostile PDF may hang, eat memory or crash the parser; here it takes only this process with it.
"""

import contextlib
import json
import resource
import sys
from typing import Any

import pypdfium2
import pypdfium2.raw

PASSWORD_ERROR = 4  # FPDF_ERR_PASSWORD


def _limit(memory_bytes: int, cpu_s: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # macOS refuses RLIMIT_AS; the time limits still hold
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _outline(document: Any) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for bookmark in document.get_toc(max_depth=6):
        destination = bookmark.get_dest()
        if destination is not None and destination.get_index() is not None:
            entries.append({"level": bookmark.level, "title": bookmark.get_title(), "page": destination.get_index()})
        if len(entries) >= 5000:
            break
    return entries


def _read(data: bytes, max_pages: int, max_chars: int) -> dict[str, Any]:
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        encrypted = getattr(error, "err_code", None) == PASSWORD_ERROR
        return {"error": "encrypted" if encrypted else "damaged"}
    pages: list[str] = []
    total = 0
    for index in range(len(document)):
        if index >= max_pages or total > max_chars:
            return {"error": "too_large", "pages_read": index}
        try:
            page = document[index]
            text = page.get_textpage().get_text_bounded()
        except pypdfium2.PdfiumError:
            text = ""  # one damaged page does not take the others with it
        pages.append(text)
        total += len(text)
    try:
        outline = _outline(document)
    except pypdfium2.PdfiumError:
        outline = []
    metadata = document.get_metadata_dict(skip_empty=True)
    return {
        "pages": pages,
        "outline": outline,
        "title": metadata.get("Title", ""),
        "author": metadata.get("Author", ""),
    }


def main() -> None:
    memory_bytes, cpu_s, max_pages, max_chars = (int(value) for value in sys.argv[1:5])
    _limit(memory_bytes, cpu_s)
    data = sys.stdin.buffer.read()
    try:
        answer = _read(data, max_pages, max_chars)
    except MemoryError:
        answer = {"error": "too_large"}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()

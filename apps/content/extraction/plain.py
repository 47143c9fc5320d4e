"""Plain text: paragraphs kept as they are; underlined lines (reStructuredText, setext) are headings."""

import re

from apps.content.extraction.document import Extracted, TextBuilder, clean, collapse, split_plain

_UNDERLINE = re.compile(r"^([=\-~^\"'#*+])\1{2,}$")


def extract_plain(text: str) -> Extracted:
    builder = TextBuilder()
    levels: dict[str, int] = {}
    first_line = ""
    for block in split_plain(clean(text)):
        lines = block.split("\n")
        if len(lines) > 2 and _UNDERLINE.match(lines[0]) and lines[0].strip() == lines[2].strip():
            lines = lines[1:]  # over- and underlined
        first_line = first_line or collapse(lines[0])
        if len(lines) >= 2 and lines[0].strip() and _is_underline(lines[1], lines[0]):
            builder.heading(levels.setdefault(lines[1][0], len(levels) + 1), lines[0])
            lines = lines[2:]
        builder.preformatted("\n".join(lines))
    title = "" if builder.headings else first_line[:120]
    return builder.build(title=title)


def _is_underline(line: str, above: str) -> bool:
    line = line.rstrip()
    return bool(_UNDERLINE.match(line)) and len(line) >= min(len(above.strip()), 60)

"""HTML to readable text in one pass over the tree: headings, code, lists, tables and definitions keep their shape."""

import re
from collections.abc import Callable

from selectolax.lexbor import LexborHTMLParser, LexborNode

from apps.content.extraction.boilerplate import content_root
from apps.content.extraction.document import Extracted, TextBuilder, clean, collapse

HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
BLOCKS = frozenset(
    {
        "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl",
        "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr", "html", "legend", "li", "main",
        "menu", "ol", "p", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
    }
)  # fmt: skip
LONG_DEFINITION_CHARS = 160
_LANGUAGE = re.compile(r"^([a-zA-Z]{2,3})(?:[-_]|$)")
_ANCHOR_MARKS = " \u00b6\u00a7#\U0001f517"
_ADMONITIONS = frozenset({"note", "tip", "warning", "caution", "important", "attention", "danger", "hint"})
"""Titles of boxes inside a section: text that follows the box does not belong to it."""
_TITLE_SEPARATOR = re.compile(r"\s+[|\u2013\u2014\u00b7\u00bb:-]\s+")


def extract_html(text: str) -> Extracted:
    tree = LexborHTMLParser(text)
    page_title = _page_title(tree)
    language = _language(tree)
    metadata = _metadata(tree)
    walker = _Walker()
    root = content_root(tree)
    if root is not None:
        walker.walk(root)
    elif tree.body is not None:
        walker.builder.preformatted(tree.body.text(deep=True))
    return walker.builder.build(title=_title(page_title, walker.builder), language=language, metadata=metadata)


def _page_title(tree: LexborHTMLParser) -> str:
    node = tree.css_first("head title") or tree.css_first("title")
    return collapse(clean(node.text(deep=True))) if node is not None else ""


def _title(page_title: str, builder: TextBuilder) -> str:
    """The page's own heading when the <title> is that heading with the site's name around it."""
    first = next((heading for heading in builder.headings if heading.level == 1), None)
    if first is not None and (not page_title or first.text in page_title):
        return first.text
    if page_title and builder.headings:
        parts = _TITLE_SEPARATOR.split(page_title)
        if len(parts) > 1 and any(parts[0] == heading.text for heading in builder.headings[:3]):
            return parts[0]
    return page_title


def _language(tree: LexborHTMLParser) -> str:
    node = tree.css_first("html")
    raw = (node.attributes.get("lang") or node.attributes.get("xml:lang") or "") if node is not None else ""
    match = _LANGUAGE.match(raw)
    return match.group(1).lower() if match else ""


def _metadata(tree: LexborHTMLParser) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, selector, attribute in (
        ("description", "meta[name=description i]", "content"),
        ("author", "meta[name=author i]", "content"),
        ("published", "meta[property='article:published_time']", "content"),
        ("canonical", "link[rel=canonical i]", "href"),
    ):
        node = tree.css_first(selector)
        value = collapse(clean(node.attributes.get(attribute) or "")) if node is not None else ""
        if value:
            found[key] = value[:1000]
    return found


class _Walker:
    """Depth-first without recursion: pages may be nested thousands deep."""

    def __init__(self) -> None:
        self.builder = TextBuilder()
        self._buffer: list[str] = []
        self._lists: list[int | None] = []
        self._prefix = ""
        self._tight = False
        self._after_term = False
        self._whole: dict[str, Callable[[LexborNode], bool]] = {
            **dict.fromkeys(HEADINGS, self._heading),
            "pre": self._preformatted,
            "table": self._table,
            "dt": self._term,
        }

    def walk(self, root: LexborNode) -> None:
        node: LexborNode | None = root
        depth = 0
        while node is not None:
            child = node.first_child if self._enter(node) else None
            if child is not None:
                node = child
                depth += 1
                continue
            self._leave(node)
            while depth and node.next is None:
                node = _parent(node)
                depth -= 1
                self._leave(node)
            node = node.next if depth else None
        self._flush()

    def _enter(self, node: LexborNode) -> bool:
        """Write what the node starts; False when its inside is done already."""
        if node.is_text_node:
            self._buffer.append(node.text_content or "")
            return False
        tag = node.tag or ""
        if not node.is_element_node:
            return False
        if tag == "br":
            self._buffer.append("\x0b")
            return False
        if tag in BLOCKS:
            self._flush()
        if tag in {"ul", "ol", "menu"}:
            self._lists.append(_start_of(node) if tag == "ol" else None)
        elif tag == "li":
            self._open_item()
        whole = self._whole.get(tag)
        return whole is None or not whole(node)

    def _leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag in BLOCKS:
            self._flush()
        if tag in {"ul", "ol", "menu"} and self._lists:
            self._lists.pop()
            self._prefix = ""

    def _open_item(self) -> None:
        number = self._lists[-1] if self._lists else None
        indent = "  " * max(len(self._lists) - 1, 0)
        self._prefix = f"{indent}- " if number is None else f"{indent}{number}. "
        if number is not None:
            self._lists[-1] = number + 1

    def _flush(self) -> None:
        if not self._buffer:
            return
        # A line end in the source is a space; line breaks of the page travel as \x0b.
        text = "".join(self._buffer)
        self._buffer.clear()
        if not text.strip(" \t\r\n\x0b"):
            return
        tight = self._after_term or (bool(self._prefix) and self._tight)
        self.builder.paragraph(text, prefix=self._prefix, tight=tight)
        self._tight = bool(self._prefix)
        self._prefix = ""
        self._after_term = False

    def _heading(self, node: LexborNode) -> bool:
        self._flush()
        text = collapse(clean(inline_text(node).replace("\x0b", " "))).rstrip(_ANCHOR_MARKS)
        if text.lower() in _ADMONITIONS:
            self.builder.paragraph(text)
        else:
            self.builder.heading(HEADINGS[node.tag or "h6"], text)
        self._tight = False
        return True

    def _preformatted(self, node: LexborNode) -> bool:
        self._flush()
        for line_break in node.css("br"):
            line_break.replace_with("\n")
        self.builder.preformatted(node.text(deep=True))
        self._tight = False
        self._prefix = ""
        return True

    def _term(self, node: LexborNode) -> bool:
        self._flush()
        definition = node.next
        while definition is not None and definition.tag != "dd":
            definition = definition.next
        long = definition is not None and len(collapse(definition.text(deep=True))) >= LONG_DEFINITION_CHARS
        self.builder.term(inline_text(node), long=long)
        self._tight = False
        self._after_term = not long
        return True

    def _table(self, node: LexborNode) -> bool:
        """A table of data row by row; one used for layout is walked like any block."""
        rows = [row for row in node.css("tr") if row.css_first("td,th") is not None]
        is_layout = (
            node.attributes.get("role") in {"presentation", "none"}
            or len(node.css("table")) > 1
            or node.css_first("h1,h2,h3,h4,h5,h6,pre") is not None
            or len(rows) < 2
        )
        if is_layout:
            return False
        self._flush()
        caption = node.css_first("caption")
        if caption is not None:
            self.builder.paragraph(inline_text(caption))
        for index, row in enumerate(rows):
            cells = row.css("td,th")
            if len(cells) == 1 and cells[0].css_first("p,div,ul,ol") is not None:
                self.builder.paragraph(inline_text(cells[0], block_mark="\x0b"))
            else:
                self.builder.row([inline_text(cell) for cell in cells], first=index == 0)
        self._tight = False
        return True


def _parent(node: LexborNode) -> LexborNode:
    """The parent of a node that was reached from it."""
    parent = node.parent
    if parent is None:
        raise ValueError("the tree changed while it was walked")
    return parent


def _start_of(node: LexborNode) -> int:
    raw = node.attributes.get("start") or ""
    return int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 7 else 1


def inline_text(root: LexborNode, *, block_mark: str = " ") -> str:
    """The text of an element, with `block_mark` wherever a block inside it starts."""
    parts: list[str] = []
    for node in root.traverse(include_text=True):
        if node.is_text_node:
            parts.append(node.text_content or "")
        elif node.tag == "br":
            parts.append("\x0b")
        elif node.tag in BLOCKS:
            parts.append(block_mark)
    return "".join(parts)

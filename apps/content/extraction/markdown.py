"""Markdown (CommonMark with tables) to readable text: headings, code, lists and tables keep their shape."""

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token
from selectolax.lexbor import LexborHTMLParser

from apps.content.extraction.document import Extracted, TextBuilder, clean

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:[ \t]*(.+)$", re.MULTILINE)
_parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def extract_markdown(text: str) -> Extracted:
    text = clean(text)
    title = ""
    front = _FRONT_MATTER.match(text)
    if front:
        found = _FRONT_TITLE.search(front.group(1))
        title = found.group(1).strip().strip("\"'") if found else ""
        text = text[front.end() :]
    walker = _Walker()
    walker.walk(_parser.parse(text))
    return walker.builder.build(title=title)


class _Walker:
    def __init__(self) -> None:
        self.builder = TextBuilder()
        self._lists: list[int | None] = []
        self._item_open = False
        self._tight = False
        self._heading = 0
        self._cells: list[str] | None = None
        self._rows = 0

    def walk(self, tokens: Sequence[Token]) -> None:
        for token in tokens:
            self._structure(token)
            if token.type == "inline":
                self._inline(_inline_text(token))
            elif token.type in {"fence", "code_block"}:
                self.builder.preformatted(token.content)
                self._item_open = False
            elif token.type == "html_block":
                self.builder.paragraph(_tagless(token.content))

    def _structure(self, token: Token) -> None:
        match token.type:
            case "heading_open":
                self._heading = int(token.tag[1])
            case "heading_close":
                self._heading = 0
            case "bullet_list_open":
                self._lists.append(None)
            case "ordered_list_open":
                self._lists.append(int(token.attrGet("start") or 1))
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
            case "list_item_open":
                self._item_open = True
            case "table_open":
                self._rows = 0
            case "tr_open":
                self._cells = []
            case "tr_close":
                self.builder.row(self._cells or [], first=self._rows == 0)
                self._cells = None
                self._rows += 1

    def _inline(self, text: str) -> None:
        if self._cells is not None:
            self._cells.append(text)
        elif self._heading:
            self.builder.heading(self._heading, text.replace("\x0b", " "))
        elif self._lists and self._item_open:
            self._item_open = False
            self.builder.paragraph(text, prefix=self._marker(), tight=self._tight)
            self._tight = True
            return
        else:
            self.builder.paragraph(text)
        self._tight = False

    def _marker(self) -> str:
        number = self._lists[-1]
        indent = "  " * (len(self._lists) - 1)
        if number is None:
            return f"{indent}- "
        self._lists[-1] = number + 1
        return f"{indent}{number}. "


def _inline_text(token: Token) -> str:
    parts: list[str] = []
    for child in token.children or []:
        match child.type:
            case "text" | "code_inline":
                parts.append(child.content)
            case "softbreak":
                parts.append(" ")
            case "hardbreak":
                parts.append("\x0b")
            case "image":
                parts.append(child.content)
            case "html_inline" if child.content.lower().startswith("<br"):
                parts.append("\x0b")
    return "".join(parts)


def _tagless(html: str) -> str:
    tree = LexborHTMLParser(html)
    for node in tree.css("script,style,template,noscript"):
        node.decompose()
    return tree.body.text(separator=" ") if tree.body else ""

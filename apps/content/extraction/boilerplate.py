"""Finding the content of a page: the root worth reading, and the parts around and inside it that are not content."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from selectolax.lexbor import LexborHTMLParser, LexborNode

_DROPPED_TAGS = frozenset(
    {
        "script", "style", "noscript", "template", "iframe", "svg", "canvas", "object", "embed", "audio", "video",
        "map", "button", "input", "select", "textarea", "option", "datalist", "dialog", "head", "nav",
    }
)  # fmt: skip
_DROPPED_ROLES = frozenset(
    {"navigation", "search", "banner", "contentinfo", "complementary", "menu", "menubar", "dialog", "alert"}
)
_NEVER = frozenset({"html", "body", "main", "article", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "code"})
_INVISIBLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_CHROME_NAMES = re.compile(
    r"(?:(?:site|page|main|global|top|bottom|left|right|side|sub|primary|secondary|docs?|book|wiki|rst)?[-_]?"
    r"(?:nav|navbar|navheader|navfooter|navigation|menu|menubar|sidebar|footer|masthead|topbar|toolbar)"
    r"|breadcrumbs?|crumbs?|skip[-_]?(?:link|links|nav|to[-_]content)|share|sharing|share[-_]?(?:bar|buttons|links)"
    r"|social|social[-_]\w+|related|related[-_]\w+|comments?|comment[-_](?:list|form|respond)|respond|advert\w*|ads?"
    r"|ad[-_]\w+|promo|promotion|newsletter|subscribe|signup|cookies?|cookie[-_]\w+|consent|gdpr|banner|popup|modal"
    r"|pagination|pager|page[-_]?numbers|prev[-_]?next|post[-_]?navigation|tag[-_]?cloud|widget|widget[-_]area"
    r"|headerlink|header[-_]?anchor|anchor[-_]?link|toclink|edit[-_]?(?:page|link|this[-_]?page)|mw-editsection"
    r"|mw-jump-link|printfooter|catlinks|sr[-_]only|visually[-_]?hidden|screen[-_]?reader[-_]?text|toc|indexterm"
    r"|sphinxsidebar|wy-nav-side|rst-footer-buttons|author[-_]?(?:box|bio))",
    re.IGNORECASE,
)
_LINK_BLOCKS = frozenset({"ul", "ol", "div", "section", "table", "p"})
_CONTAINERS = frozenset({"body", "div", "section", "form", "center", "article", "table", "tbody", "tr", "td"})
_CONTENT_SELECTORS = ("main", "[role=main]", "article", "#main-content", "#content", "#bodyContent", ".entry-content")


MAX_DEPTH = 512
"""Browsers stop nesting here too; a page nested deeper is read without its structure."""


@dataclass(frozen=True, slots=True)
class _Measure:
    """Characters of text (white space counted once), those inside links, and how many links there are."""

    size: int
    linked: int
    links: int


_NOTHING = _Measure(0, 0, 0)


class _Page:
    """The measures of every element, made in one pass: asking an element again and again would be quadratic."""

    def __init__(self, body: LexborNode) -> None:
        self.body = body
        self._measures: dict[int, _Measure] = {}
        self.depth = 0
        self.measure_again()

    def measure_again(self) -> None:
        """After elements were removed."""
        self._measures.clear()
        stack: list[tuple[LexborNode, list[int], bool]] = [(self.body, [0, 0, 0], False)]
        node = self.body.first_child
        while stack:
            if node is None:
                node = self._close(stack)
            elif node.is_element_node and node.first_child is not None:
                is_link = node.tag == "a" and "href" in node.attributes
                stack.append((node, [0, 0, int(is_link)], is_link or stack[-1][2]))
                self.depth = max(self.depth, len(stack))
                node = node.first_child
            else:
                if node.is_text_node:
                    length = len(" ".join((node.text_content or "").split()))
                    stack[-1][1][0] += length
                    stack[-1][1][1] += length * stack[-1][2]
                node = node.next

    def _close(self, stack: list[tuple[LexborNode, list[int], bool]]) -> LexborNode | None:
        """Record the innermost open element, add it to its parent, and go on behind it."""
        element, sums, _ = stack.pop()
        self._measures[element.mem_id] = _Measure(*sums)
        if not stack:
            return None
        for index, value in enumerate(sums):
            stack[-1][1][index] += value
        return element.next

    def of(self, node: LexborNode) -> _Measure:
        return self._measures.get(node.mem_id, _NOTHING)

    def size(self, node: LexborNode) -> int:
        return self.of(node).size

    def prune(self, unwanted: Callable[[LexborNode], bool]) -> None:
        nodes = self.found(unwanted, inside=None)
        for node in nodes:
            node.decompose()
        if nodes:
            self.measure_again()

    def found(self, wanted: Callable[[LexborNode], bool], *, inside: frozenset[str] | None) -> list[LexborNode]:
        """Outermost wanted elements; only elements of the tags in `inside` are looked into."""
        found: list[LexborNode] = []
        pending = [self.body]
        while pending:
            child = pending.pop().first_child
            while child is not None:
                if child.is_element_node:
                    if wanted(child):
                        found.append(child)
                    elif inside is None or child.tag in inside:
                        pending.append(child)
                child = child.next
        return found


def content_root(tree: LexborHTMLParser) -> LexborNode | None:
    """The element that holds the content, with the furniture inside it removed; the tree is changed.

    None when the page has no body or is nested so deeply that it is no page.
    """
    body = tree.body
    if body is None:
        return None
    page = _Page(body)
    if page.depth > MAX_DEPTH:
        return None
    page.prune(_is_invisible)
    total = page.size(body)
    page.prune(lambda node: _is_chrome(node) and page.size(node) * 2 <= total)
    root = _main_element(page)
    if root is not None:
        return root
    page.prune(_is_page_part)
    _prune_link_blocks(page)
    return body


def _is_invisible(node: LexborNode) -> bool:
    if node.tag in _DROPPED_TAGS:
        return True
    if node.tag in _NEVER:
        return False
    attributes = node.attributes
    return bool(attributes) and (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or attributes.get("role") in _DROPPED_ROLES
        or bool(_INVISIBLE.search(attributes.get("style") or ""))
    )


def _is_chrome(node: LexborNode) -> bool:
    """Whether the class or id is a usual name of page furniture."""
    if node.tag in _NEVER:
        return False
    attributes = node.attributes
    return any(_is_chrome_name(name) for key in ("class", "id") for name in (attributes.get(key) or "").split())


@lru_cache(maxsize=4096)
def _is_chrome_name(name: str) -> bool:
    return _CHROME_NAMES.fullmatch(name) is not None


def _is_page_part(node: LexborNode) -> bool:
    """Page footer, asides, and a page header without the title."""
    return node.tag in {"footer", "aside"} or (node.tag == "header" and node.css_first("h1") is None)


def _main_element(page: _Page) -> LexborNode | None:
    """<main>, or the one <article>, or a usual content id, when it holds a fair part of the text."""
    total = max(page.size(page.body), 1)
    for selector in _CONTENT_SELECTORS:
        found = page.body.css(selector)
        if found:
            best = max(found, key=page.size)
            share = page.size(best) / total
            if share >= 0.5 or (share >= 0.25 and len(found) == 1):
                return best
    return None


def _prune_link_blocks(page: _Page) -> None:
    """Blocks that are nearly all links, unless they make up most of the page (an index, a table of contents)."""

    def is_link_block(node: LexborNode) -> bool:
        measure = page.of(node)
        return node.tag in _LINK_BLOCKS and measure.links >= 3 and measure.linked >= measure.size * 0.8

    blocks = page.found(is_link_block, inside=_CONTAINERS)
    if sum(page.size(node) for node in blocks) * 2 <= page.size(page.body):
        for node in blocks:
            node.decompose()

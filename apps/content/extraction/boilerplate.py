"""Finding the content of a page: the root worth reading, and the parts around and inside it that are not content."""

import re
from collections.abc import Callable
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


def content_root(tree: LexborHTMLParser) -> LexborNode | None:
    """The element that holds the content, with the furniture inside it removed; the tree is changed."""
    body = tree.body
    if body is None:
        return None
    _prune(body, _is_invisible)
    total = _size(body)
    _prune(body, lambda node: _is_chrome(node) and _size(node) * 2 <= total)
    root = _main_element(body)
    if root is not None:
        return root
    _prune(body, _is_page_part)
    _prune_link_blocks(body)
    return body


def _found(
    root: LexborNode, wanted: Callable[[LexborNode], bool], *, inside: frozenset[str] | None
) -> list[LexborNode]:
    """Outermost elements below `root` that are wanted; only elements of the tags in `inside` are looked into."""
    found: list[LexborNode] = []
    pending = [root]
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


def _prune(root: LexborNode, unwanted: Callable[[LexborNode], bool]) -> None:
    for node in _found(root, unwanted, inside=None):
        node.decompose()


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


def _main_element(body: LexborNode) -> LexborNode | None:
    """<main>, or the one <article>, or a usual content id, when it holds a fair part of the text."""
    total = _size(body)
    for selector in _CONTENT_SELECTORS:
        found = body.css(selector)
        if found:
            best = max(found, key=_size)
            share = _size(best) / max(total, 1)
            if share >= 0.5 or (share >= 0.25 and len(found) == 1):
                return best
    return None


def _prune_link_blocks(body: LexborNode) -> None:
    """Blocks that are nearly all links, unless they make up most of the page (an index, a table of contents)."""
    blocks = _found(body, _is_link_block, inside=_CONTAINERS)
    if sum(_size(node) for node in blocks) * 2 <= _size(body):
        for node in blocks:
            node.decompose()


def _is_link_block(node: LexborNode) -> bool:
    if node.tag not in _LINK_BLOCKS:
        return False
    links = node.css("a[href]")
    return len(links) >= 3 and sum(_size(link) for link in links) >= _size(node) * 0.8


def _size(node: LexborNode) -> int:
    """Characters of text, runs of white space counted once."""
    return len(" ".join(node.text(deep=True).split()))

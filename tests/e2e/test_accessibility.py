"""What WCAG 2.2 AA asks of a page and a program can measure, on every page, in both schemes and at both widths."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import MakeContext, watch_console

PAGES = ("/", "/?q=how+are+tenants+isolated", "/chat/", "/ingest/", "/vsm/")

PROBES = (Path(__file__).parent / "probes.js").read_text()


def probe(page: Page, name: str) -> Any:
    """What one function of probes.js finds on the page."""
    return page.evaluate(f"({PROBES}).{name}()")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["wide", "narrow"])
def test_pages_are_named_readable_and_fit(
    make_context: MakeContext, path: str, scheme: str, size: tuple[int, int]
) -> None:
    width, height = size
    page = make_context(color_scheme=scheme, viewport={"width": width, "height": height}).new_page()
    problems = watch_console(page)
    page.goto(path)
    expect(page.locator("#live")).to_have_attribute("data-state", "open")
    shape: dict[str, Any] = probe(page, "shape")
    assert shape["lang"] == "en"
    assert shape["title"].endswith("· Cybernetic")
    assert (shape["headings"], shape["mains"], shape["twice"]) == (1, 1, [])
    assert shape["overflow"] <= 0
    assert probe(page, "unnamed") == []
    assert probe(page, "lowContrast") == []
    assert problems == []


@pytest.mark.parametrize("path", PAGES)
def test_a_link_before_everything_skips_to_the_content(page: Page, path: str) -> None:
    page.goto(path)
    page.locator(".brand").focus()
    page.keyboard.press("Shift+Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_pages_send_a_policy_without_inline_code(page: Page) -> None:
    answer = page.goto("/")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert page.locator("script:not([src]), style, [style], [onclick]").count() == 0
    assert "no-store" in answer.headers["cache-control"]

"""Searching the bundled documentation in a browser."""

import re

from playwright.sync_api import Page, expect

from tests.e2e.conftest import MakeContext

QUESTION = "how are tenants isolated from each other"


def search(page: Page, query: str) -> None:
    page.goto("/")
    page.get_by_role("searchbox").fill(query)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"\?q="))


def test_results_show_the_sentence_and_open_the_document_there(page: Page) -> None:
    search(page, QUESTION)
    first = page.locator(".result").first
    sentence = first.locator("mark").first.inner_text()
    assert sentence.strip()
    first.get_by_role("link").first.click()
    page.wait_for_url(re.compile(r"/documents/[0-9a-f-]{36}/#c\d+-\d+$"))
    target = page.locator("mark.target").first
    expect(target).to_be_in_viewport()
    assert " ".join(target.inner_text().split()).startswith(" ".join(sentence.split())[:40])


def test_the_reason_for_a_result_is_one_click_away(page: Page) -> None:
    search(page, QUESTION)
    first = page.locator(".result").first
    first.get_by_text("Why this result").click()
    expect(first.get_by_text("By meaning")).to_be_visible()
    expect(first.get_by_text(re.compile(r"Rank \d")).first).to_be_visible()


def test_a_filter_swaps_the_results_only_and_can_be_taken_back(page: Page) -> None:
    search(page, QUESTION)
    page.evaluate("window.kept = true")
    before = page.locator(".result").count()
    facet = page.locator(".facets a").first
    facet.click()
    expect(page.locator(".facets a[aria-current]")).to_have_count(1)
    assert "source=" in page.url
    assert page.evaluate("window.kept") is True
    page.get_by_role("link", name="Clear filters").click()
    expect(page.locator(".facets a[aria-current]")).to_have_count(0)
    assert page.locator(".result").count() == before
    page.go_back()
    expect(page.locator(".facets a[aria-current]")).to_have_count(1)


def test_the_keyboard_is_enough(page: Page) -> None:
    search(page, QUESTION)
    page.locator("body").click(position={"x": 5, "y": 500})
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator(".result-link").nth(1)).to_be_focused()
    page.keyboard.press("k")
    expect(page.locator(".result-link").nth(0)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("searchbox")).to_be_focused()
    expect(page.get_by_role("searchbox")).to_have_value("")
    page.keyboard.type("how do I add a job")
    page.keyboard.press("Enter")
    expect(page.locator("#tally")).to_contain_text("how do I add a job")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/documents/"))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()


def test_slash_goes_to_the_search_box(page: Page) -> None:
    page.goto("/?q=tenant")
    expect(page.get_by_role("searchbox")).not_to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    expect(page.get_by_role("searchbox")).to_have_value("tenant")


def test_markup_in_a_query_stays_text(page: Page) -> None:
    hostile = '"><img src=x onerror=alert(1)><script>alert(2)</script>'
    search(page, hostile)
    expect(page.get_by_role("searchbox")).to_have_value(hostile)
    assert page.locator("main img[src=x]").count() == 0
    expect(page.locator("#tally")).to_contain_text("<script>alert(2)</script>")


def test_without_results_the_page_says_what_to_try(page: Page) -> None:
    page.goto("/?q=tenant&content_type=application/x-none")
    expect(page.get_by_role("heading", name="Nothing matches under these filters")).to_be_visible()
    expect(page.get_by_role("link", name="Clear filters").first).to_be_visible()


def test_search_works_without_scripts(make_context: MakeContext) -> None:
    page = make_context(java_script_enabled=False).new_page()
    page.goto("/")
    page.locator("#q").fill(QUESTION)
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".result").first).to_be_visible()
    page.locator(".facets a").first.click()
    expect(page.locator(".facets a[aria-current]")).to_have_count(1)

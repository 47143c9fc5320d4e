"""The viable system, drawn and live; one whole turn of the loop as an operator sees it."""

import re
import secrets

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import MakeContext, Outside, Site

FAILURES = 5


def test_every_figure_is_the_one_of_the_api_and_opens_its_rows(page: Page, api: httpx.Client) -> None:
    page.goto("/vsm/")
    for system in range(1, 6):
        expect(page.locator(f"#sys-{system}" if system > 1 else ".sys.unit").first).to_be_visible()
        expect(page.locator(f"article#s{system} .state")).not_to_have_text("not observed yet")
    ready = page.locator("article#s1 div", has_text="Documents ready").get_by_role("link")
    shown = int(ready.inner_text().replace(",", ""))
    expect(page.locator(f".vsm a[aria-label='Documents ready: {shown:,}']")).to_have_count(1)
    systems = {row["system"]: row for row in api.get("/v1/systems").json()["results"]}
    assert systems[1]["figures"]["documents_ready"] == shown
    ready.click()
    expect(page).to_have_url(re.compile(r"/admin/content/document/\?status__exact=ready"))


def test_what_happens_elsewhere_shows_up_at_once(page: Page, make_context: MakeContext) -> None:
    page.goto("/vsm/")
    expect(page.locator("#live")).to_have_attribute("data-state", "open")
    other = make_context().new_page()
    other.goto("/ingest/")
    word = secrets.token_hex(5)
    other.locator("#files").set_input_files(
        {"name": f"{word}.md", "mimeType": "text/markdown", "buffer": f"# Event {word}\n\nText.".encode()}
    )
    ticker = page.locator("#ticker .tick.new")
    expect(ticker.filter(has_text="ingest.started").first).to_be_visible()
    expect(ticker.filter(has_text="document.indexed").first).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Go on")).to_have_attribute("aria-pressed", "true")


def test_a_failing_source_is_paused_explained_and_resumed(
    page: Page, api: httpx.Client, platform: Site, outside: Outside
) -> None:
    if not platform.may_fetch_loopback:
        pytest.skip("this platform may not fetch from loopback addresses")
    outside.status = 500
    page.goto("/vsm/")
    for n in range(FAILURES + 1):
        assert api.post("/v1/ingest", json={"url": f"{outside.url}/{n}.html"}).status_code == 202
    host = outside.url.removeprefix("http://")
    episode = page.locator(".episode", has_text=host)
    expect(episode.get_by_role("button", name="Resume source")).to_be_visible(timeout=90_000)
    for step in ("rule.matched", "episode.created", "episode.analyzed", "policy.evaluated", "intervention.applied"):
        expect(episode.locator(".timeline")).to_contain_text(step)
    expect(episode).to_contain_text("Statistical analysis")
    expect(page.locator(".vsm .algedonic.firing")).to_have_count(1)

    page.goto("/ingest/")
    paused = page.locator(".side-source", has_text=host)
    expect(paused).to_contain_text("Paused")
    paused.get_by_role("link", name="See the episode").click()
    expect(episode).to_have_attribute("open", "")

    outside.status = 200
    episode.get_by_role("button", name="Resume source").click()
    expect(episode.locator("summary .badge").first).to_have_text("Resolved", timeout=30_000)
    page.goto("/ingest/")
    expect(page.locator(".side-source", has_text=host).locator(".badge")).to_have_text("Active")

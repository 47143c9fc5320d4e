"""Bringing content in by hand, watching it, and taking it out again."""

import re
import secrets

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import MakeContext, Outside, Site, watch_console


def row(page: Page, title: str) -> str:
    return f"tr[data-document]:has-text({title!r})"


def note(word: str) -> bytes:
    return f"# Notes on {word}\n\nThe {word} principle says that variety absorbs variety.\n".encode()


def test_an_upload_is_followed_live_found_by_search_and_gone_when_removed(page: Page) -> None:
    word = f"zyx{secrets.token_hex(4)}"
    page.goto("/ingest/")
    expect(page.locator("#live")).to_have_attribute("data-state", "open")
    page.evaluate("window.kept = true")
    page.locator("#files").set_input_files({"name": f"{word}.md", "mimeType": "text/markdown", "buffer": note(word)})
    document = page.locator(row(page, f"Notes on {word}"))
    expect(document.locator("[data-status]")).to_have_text("Ready")
    run = page.locator(".run", has_text=f"{word}.md")
    expect(run.locator(".badge")).to_have_text("Completed")
    expect(run).to_contain_text("100%")
    assert page.evaluate("window.kept") is True

    page.goto(f"/?q={word}")
    expect(page.locator(".result").first).to_contain_text(f"The {word} principle")

    page.goto("/ingest/")
    page.get_by_role("button", name=f"Remove Notes on {word}").click()
    expect(page.get_by_role("dialog", name="Remove this document?")).to_contain_text(f"Notes on {word}")
    page.get_by_role("button", name="Cancel").click()
    expect(document).to_have_count(1)
    page.get_by_role("button", name=f"Remove Notes on {word}").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(document).to_have_count(0)
    page.goto(f"/?q={word}")
    expect(page.locator("#results")).not_to_contain_text(f"Notes on {word}")


def test_files_can_be_dropped_anywhere(page: Page) -> None:
    word = f"drop{secrets.token_hex(4)}"
    page.goto("/ingest/")
    transfer = page.evaluate_handle(
        """word => { const t = new DataTransfer();
        for (const n of [1, 2]) t.items.add(new File([`# ${word} ${n}\\n\\nDropped text.`], `${word}-${n}.md`, {type: "text/markdown"}));
        return t; }""",
        word,
    )
    page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})
    expect(page.locator("#drop-all")).to_be_visible()
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect(page.locator("#drop-all")).to_be_hidden()
    for n in (1, 2):
        expect(page.locator(row(page, f"{word} {n}")).locator("[data-status]")).to_have_text("Ready")


@pytest.mark.parametrize(
    ("name", "data", "code"), [("empty.md", b"", "document_empty"), ("program.exe", b"MZ\x90\x00" + bytes(60), "")]
)
def test_a_refused_file_says_why(make_context: MakeContext, name: str, data: bytes, code: str) -> None:
    page = make_context().new_page()
    page.goto("/ingest/")
    before = page.locator("tr[data-document]").count()
    page.locator("#files").set_input_files({"name": name, "mimeType": "application/octet-stream", "buffer": data})
    item = page.locator(".upload", has_text=name)
    expect(item.get_by_role("alert")).not_to_be_empty()
    expect(item.get_by_role("button", name="Try again")).to_be_visible()
    page.reload()
    assert page.locator("tr[data-document]").count() == before


def test_a_refused_address_is_explained_beside_the_field(make_context: MakeContext) -> None:
    page = make_context().new_page()
    problems = watch_console(page)
    page.goto("/ingest/")
    page.get_by_label("Web address").fill("https://169.254.169.254/latest/meta-data")
    page.get_by_role("button", name="Fetch").click()
    expect(page.locator("#url-error")).not_to_be_empty()
    expect(page.get_by_label("Web address")).to_have_attribute("aria-invalid", "true")
    assert [
        problem for problem in problems if "422" not in problem and "403" not in problem and "400" not in problem
    ] == []


def test_an_address_is_fetched_and_its_source_listed(page: Page, platform: Site, outside: Outside) -> None:
    if not platform.may_fetch_loopback:
        pytest.skip("this platform may not fetch from loopback addresses")
    page.goto("/ingest/")
    page.get_by_label("Web address").fill(f"{outside.url}/quokka.html")
    page.get_by_role("button", name="Fetch").click()
    host = outside.url.removeprefix("http://")
    expect(page.locator("#sources")).to_contain_text(host)
    expect(page.locator(f'tr[data-document]:has-text("{host}")').first.locator("[data-status]")).to_have_text("Ready")
    page.locator("#sources").get_by_role("link", name=host).click()
    expect(page.locator("tr[data-document]")).to_have_count(1)
    page.get_by_role("link", name=re.compile("^Ready")).click()
    expect(page.locator("tr[data-document]")).to_have_count(1)
    page.get_by_role("link", name=re.compile("^Held")).click()
    expect(page.get_by_role("heading", name="No document here")).to_be_visible()


def test_a_failed_document_shows_its_cause_and_can_be_tried_again(page: Page, platform: Site, outside: Outside) -> None:
    if not platform.may_fetch_loopback:
        pytest.skip("this platform may not fetch from loopback addresses")
    outside.status = 404
    page.goto("/ingest/")
    page.get_by_label("Web address").fill(f"{outside.url}/gone.html")
    page.get_by_role("button", name="Fetch").click()
    document = page.locator(f'tr[data-document]:has-text("{outside.url}/gone.html")')
    expect(document.locator("[data-status]")).to_have_text("Failed", timeout=90_000)
    expect(document.locator(".cause")).to_contain_text("404")
    outside.status = 200
    document.get_by_role("button", name="Retry").click()
    expect(document.locator("[data-status]")).to_have_text("Ready")
    document.get_by_role("link").first.click()
    expect(page.locator("#text")).to_contain_text("quokkas")
    expect(page.get_by_role("link", name="Open the original")).to_have_attribute("href", f"{outside.url}/gone.html")


def test_uploading_and_removing_work_without_scripts(make_context: MakeContext) -> None:
    word = f"plain{secrets.token_hex(4)}"
    page = make_context(java_script_enabled=False).new_page()
    page.goto("/ingest/")
    page.locator("#files").set_input_files({"name": f"{word}.md", "mimeType": "text/markdown", "buffer": note(word)})
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("Accepted. It is being read now.")).to_be_visible()
    document = page.locator("tr[data-document]").first
    document.get_by_role("button", name=re.compile("^Remove")).click()
    page.get_by_role("button", name="Remove").click()
    expect(page.locator(f"tr[data-document]:has-text({word!r})")).to_have_count(0)


def test_progress_goes_on_without_the_stream(make_context: MakeContext) -> None:
    word = f"poll{secrets.token_hex(4)}"
    page = make_context().new_page()
    page.route("**/v1/events*", lambda route: route.abort())
    page.goto("/ingest/")
    page.locator("#files").set_input_files({"name": f"{word}.md", "mimeType": "text/markdown", "buffer": note(word)})
    expect(page.locator(row(page, f"Notes on {word}")).locator("[data-status]")).to_have_text("Ready")
    expect(page.locator("#live")).not_to_have_attribute("data-state", "open")

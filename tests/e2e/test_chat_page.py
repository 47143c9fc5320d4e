"""Cited chat in a browser, without a model: answers are quotations."""

import json
import re

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.conftest import MakeContext, watch_console

QUESTION = "How are tenants isolated from each other?"


def ask(page: Page, question: str) -> None:
    page.get_by_label("Your message").fill(question)
    page.keyboard.press("Enter")


def test_an_answer_is_quoted_and_each_citation_leads_to_its_place(page: Page, api: httpx.Client) -> None:
    page.goto("/chat/")
    ask(page, QUESTION)
    answer = page.locator(".msg.assistant")
    expect(answer.locator(".badge")).to_have_text("Quoted passages")
    expect(answer.locator(".notice")).to_contain_text("LLM_MODEL")
    expect(page.locator(".chat-sources .source").first).to_be_visible()
    answer.locator(".cite").first.click()
    popover = page.locator("#cite")
    expect(popover).to_be_visible()
    quote = popover.locator("blockquote").first.inner_text()
    href = popover.get_by_role("link").first.get_attribute("href") or ""
    found = re.fullmatch(r"/documents/([0-9a-f-]{36})/#c(\d+)-(\d+)", href)
    assert found
    content = api.get(f"/v1/documents/{found[1]}/content").json()
    exact = content["text"][int(found[2]) : int(found[3])]
    assert " ".join(exact.split()) == " ".join(quote.split())
    popover.get_by_role("link").first.click()
    expect(page.locator("mark.target").first).to_be_in_viewport()


def test_conversations_are_kept_shown_again_and_deleted(page: Page) -> None:
    page.goto("/chat/")
    ask(page, "What does the relay do with events?")
    expect(page.locator(".msg.assistant .badge")).to_be_visible()
    page.wait_for_url(re.compile(r"\?c=[0-9a-f-]{36}$"))
    said = page.locator(".msg.assistant .prose").inner_text()
    page.reload()
    expect(page.locator(".msg.user")).to_have_text("What does the relay do with events?")
    assert page.locator(".msg.assistant .prose").inner_text() == said
    entry = page.locator("#history-list li.current")
    expect(entry).to_contain_text("What does the relay do with events?")
    entry.hover()
    entry.get_by_role("button").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#welcome")).to_be_visible()
    expect(page.locator("#history-list")).not_to_contain_text("What does the relay do with events?")


def test_stopping_ends_the_request_and_says_so(page: Page) -> None:
    page.goto("/chat/")
    held: list[Route] = []
    page.route("**/v1/chat", lambda route: held.append(route))  # noqa: PLW0108  # Playwright marks the handler
    ask(page, QUESTION)
    page.get_by_role("button", name="Stop the answer").click()
    expect(page.locator(".msg.assistant .notice")).to_contain_text("Stopped.")
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    assert len(held) == 1
    page.unroute_all(behavior="ignoreErrors")


@pytest.mark.parametrize(
    ("status", "body", "shown"),
    [
        (503, {"title": "Busy", "detail": "Too much at once.", "status": 503, "code": "busy"}, "Too much at once."),
        (401, {"detail": "Sign in again.", "status": 401}, "Sign in again."),
    ],
)
def test_a_refusal_is_shown_with_a_way_on(
    make_context: MakeContext, status: int, body: dict[str, object], shown: str
) -> None:
    page = make_context().new_page()
    problems = watch_console(page)
    page.goto("/chat/")

    def refuse(route: Route) -> None:
        route.fulfill(status=status, body=json.dumps(body), content_type="application/problem+json")

    page.route("**/v1/chat", refuse)
    ask(page, QUESTION)
    expect(page.locator(".msg.assistant .notice.bad")).to_contain_text(shown)
    page.unroute("**/v1/chat")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".msg.assistant .badge")).to_be_visible()
    expect(page.locator(".msg.user")).to_have_count(1)
    assert [problem for problem in problems if str(status) not in problem] == []


HOSTILE = "\n\n".join(
    (
        "<img src=x onerror=alert(1)> and **bold** and `code` [1] [2, 7]",
        "[click](javascript:alert(1)) [fine](https://example.org/a)",
        "- one\n- two\n\n1. first\n2. second",
        "> quoted",
        "```\n<script>alert(2)</script>\n```",
    )
)


def test_markup_in_an_answer_stays_text(page: Page) -> None:
    source = {
        "n": 1,
        "container_id": "0197a3c4-0000-7000-8000-000000000001",
        "document_id": "0197a3c4-0000-7000-8000-000000000002",
        "title": "<b>Title</b>",
        "source_uri": "javascript:alert(3)",
        "score": 1,
        "chunk": {"start": 3, "end": 9, "heading_path": ["<i>Path</i>"]},
    }
    conversation = "0197a3c4-0000-7000-8000-000000000003"
    events: list[tuple[str, dict[str, object]]] = [
        ("sources", {"conversation_id": conversation, "sources": [source]}),
        ("delta", {"text": HOSTILE}),
        ("citation", source | {"start": 3, "end": 9, "text": "<u>quote</u>"}),
        ("done", {"message_id": conversation, "conversation_id": conversation, "mode": "llm"}),
    ]
    stream = "".join(f": comment\r\nevent: {name}\r\ndata: {json.dumps(data)}\r\n\r\n" for name, data in events)
    page.goto("/chat/")
    page.route("**/v1/chat", lambda route: route.fulfill(body=stream, content_type="text/event-stream"))
    ask(page, "x")
    prose = page.locator(".msg.assistant .prose")
    expect(page.locator(".msg.assistant .badge")).to_have_text("Answered by a model")
    assert prose.locator("img, script").count() == 0
    assert prose.locator("a").evaluate_all("links => links.map(link => link.href)") == ["https://example.org/a"]
    assert prose.locator(".cite").all_inner_texts() == ["1"]
    expect(prose).to_contain_text("[2][7]")
    assert prose.locator("ul > li").all_inner_texts() == ["one", "two"]
    assert prose.locator("ol > li").all_inner_texts() == ["first", "second"]
    expect(prose.locator("pre")).to_have_text("<script>alert(2)</script>")
    prose.locator(".cite").click()
    expect(page.locator("#cite blockquote")).to_have_text("<u>quote</u>")
    hrefs = page.locator("#chat a, #cite a").evaluate_all("links => links.map(link => link.protocol)")
    assert "javascript:" not in hrefs

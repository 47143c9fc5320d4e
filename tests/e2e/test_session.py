"""Signing in and out."""

import re

from playwright.sync_api import Browser, expect

from tests.e2e.conftest import MakeContext, Site, sign_in


def test_pages_send_strangers_to_the_sign_in_and_back(browser: Browser, platform: Site) -> None:
    context = browser.new_context(base_url=platform.base_url)
    page = context.new_page()
    page.goto("/?q=tenant")
    assert page.url == f"{platform.base_url}/login/?next=/%3Fq%3Dtenant"
    sign_in(page, platform)
    page.wait_for_url(f"{platform.base_url}/?q=tenant")
    expect(page.get_by_label("Search your content")).to_have_value("tenant")
    context.close()


def test_wrong_password_is_refused_in_words(browser: Browser, platform: Site) -> None:
    context = browser.new_context(base_url=platform.base_url)
    page = context.new_page()
    page.goto("/login/")
    page.get_by_label("Email").fill(platform.email)
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("That email and password do not open this organisation.")
    assert [cookie for cookie in context.cookies() if cookie["name"] == "cybernetic_session"] == []
    context.close()


def test_signing_out_ends_the_session(browser: Browser, platform: Site) -> None:
    context = browser.new_context(base_url=platform.base_url)
    page = context.new_page()
    page.goto("/login/")
    sign_in(page, platform)
    page.wait_for_url(f"{platform.base_url}/")
    page.get_by_label(re.compile("^Account")).click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{platform.base_url}/login/")
    page.goto("/chat/")
    assert page.url == f"{platform.base_url}/login/?next=/chat/"
    context.close()


def test_unknown_address_has_a_page_of_its_own(make_context: MakeContext) -> None:
    page = make_context().new_page()
    answer = page.goto("/no/such/page/")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
    page.get_by_role("button", name="Go to search").click()
    expect(page.get_by_role("searchbox")).to_be_visible()

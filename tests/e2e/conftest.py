"""A real Chromium on the running platform: the one at CYBERNETIC_E2E_URL, or one started here and thrown away."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, StorageState, expect, sync_playwright

from tests.platform import Platform

HERE = Path(__file__).parent
STARTUP_S = 420
expect.set_options(timeout=20_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(STARTUP_S))


@dataclass(frozen=True)
class Site:
    """Where the platform answers and who may sign in. `may_fetch_loopback`: its egress lets it reach this machine."""

    base_url: str
    email: str
    password: str
    may_fetch_loopback: bool


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest) -> Site:
    """The platform, with its demo tenant and the bundled documentation in it."""
    url = os.environ.get("CYBERNETIC_E2E_URL")
    if url:
        return Site(
            url.rstrip("/"),
            os.environ.get("CYBERNETIC_E2E_EMAIL", Platform.email),
            os.environ["CYBERNETIC_E2E_PASSWORD"],
            may_fetch_loopback=os.environ.get("CYBERNETIC_E2E_LOOPBACK") == "1",
        )
    own: Platform = request.getfixturevalue("running_platform")
    return Site(own.base_url, own.email, own.password, may_fetch_loopback=True)


@pytest.fixture(
    scope="package"
)  # Playwright keeps an event loop running, which other packages' async tests cannot share
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("these tests drive Debian's chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


def sign_in(page: Page, platform: Site) -> None:
    """Fill the form on the sign-in page that is open."""
    page.get_by_label("Email").fill(platform.email)
    page.get_by_label("Password").fill(platform.password)
    page.get_by_role("button", name="Sign in").click()


@pytest.fixture(scope="package")
def session(browser: Browser, platform: Site) -> StorageState:
    """The cookies of a signed-in operator."""
    context = browser.new_context(base_url=platform.base_url)
    page = context.new_page()
    page.goto("/login/")
    sign_in(page, platform)
    page.wait_for_url(f"{platform.base_url}/")
    state = context.storage_state()
    context.close()
    return state


MakeContext = Callable[..., BrowserContext]


@pytest.fixture
def make_context(browser: Browser, platform: Site, session: StorageState) -> Iterator[MakeContext]:
    """New signed-in browser contexts; options are Playwright's."""
    made: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        context = browser.new_context(
            **{"base_url": platform.base_url, "storage_state": session, "viewport": {"width": 1280, "height": 800}}
            | options  # type: ignore[arg-type]  # Playwright's own keywords
        )
        context.set_default_timeout(20_000)
        made.append(context)
        return context

    yield make
    for context in made:
        context.close()


@pytest.fixture
def page(make_context: MakeContext) -> Iterator[Page]:
    """A page of the signed-in operator; an error in its console, a CSP violation among them, fails the test."""
    page = make_context().new_page()
    problems = watch_console(page)
    yield page
    assert problems == []


def watch_console(page: Page) -> list[str]:
    """Collects what the browser complains about; answers the test provokes on purpose may be removed from it."""
    problems: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            problems.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: problems.append(str(error)))
    return problems


@pytest.fixture
def api(platform: Site, session: StorageState) -> Iterator[httpx.Client]:
    """The API with the operator's cookies."""
    cookies = {cookie["name"]: cookie["value"] for cookie in session["cookies"]}
    headers = {"X-CSRFToken": cookies.get("cybernetic_csrf", ""), "Origin": platform.base_url}
    with httpx.Client(base_url=platform.base_url, cookies=cookies, headers=headers, timeout=30) as client:
        yield client


@dataclass
class Outside:
    """A web server beyond the platform. `status` is what it answers from now on."""

    url: str
    status: int = 200
    body: bytes = b"<html><title>Outside</title><h1>Outside</h1><p>The outside page speaks of quokkas.</p></html>"


@pytest.fixture
def outside() -> Iterator[Outside]:
    """A web server on this machine for the platform to fetch from."""
    state = Outside("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(state.status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(state.body)))
            self.end_headers()
            self.wfile.write(state.body)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()

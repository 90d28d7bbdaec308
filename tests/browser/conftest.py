"""A real browser, and the demo to look at with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tests.browser.axe import fetch_axe, skip_aloud
from tests.browser.site import Site, open_site
from tests.scratch import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 60_000  # milliseconds: two cores may be busy with the rest of the suite

OpenPage = Callable[..., AbstractContextManager[Page]]


@pytest.fixture(scope="module")
def site(django_db_setup: None) -> Iterator[Site]:
    """The demo, served."""
    with open_site() as opened:
        yield opened


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Chromium, for one test: an open Playwright would be in the way of Django's of the next."""
    chromium = shutil.which("chromium")
    if chromium is None:
        skip_aloud("Chromium is not installed: apt-get install chromium.")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def axe_script() -> Path:
    """Where axe-core is. It is fetched once, into a folder that git ignores."""
    folder = PROJECT / ".pytest_cache" / "axe-core"
    folder.mkdir(parents=True, exist_ok=True)
    return fetch_axe(folder)


@pytest.fixture
def open_page(browser: Browser, site: Site, axe_script: Path) -> OpenPage:
    """Opens a page on which somebody has logged in.

    Whatever the browser complains of fails the test: a script that was refused or has an error, a
    file that is missing, anything that is asked of another host.
    """

    @contextmanager
    def opening(**look: Any) -> Iterator[Page]:
        complaints: list[str] = []

        def hear(message: ConsoleMessage) -> None:
            if message.type == "error":
                complaints.append(f"{message.text} ({message.location.get('url')})")

        def watch(request: Request) -> None:
            if not request.url.startswith((site.address.split("/admin")[0], "data:")):
                complaints.append(f"another host: {request.url}")

        context = browser.new_context(**look)
        context.set_default_timeout(PATIENCE)
        context.add_init_script(path=axe_script)
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", watch)
        page.goto(site.address)
        page.locator("input[name=username]").fill(site.email)
        page.locator("input[name=password]").fill(site.password)
        page.locator("#login-form [type=submit]").click()  # its words are the browser's language
        page.locator("#logout-form").wait_for(state="attached")
        yield page
        context.close()
        assert not complaints

    return opening

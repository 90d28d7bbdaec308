"""What an operator and a product manager do all day, in Chromium, on the demo's data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.axe import find_barriers
from tests.scratch import PROJECT

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.conftest import OpenPage
    from tests.browser.site import Site

SCREENSHOTS = PROJECT / "screenshots"
DESK = {"width": 1400, "height": 900}
PHONE = {"width": 390, "height": 844}
PATIENCE = 60_000  # milliseconds: a job is a process of its own, on a machine that tests as well
expect.set_options(timeout=PATIENCE)
PLANT_DRIFT = """
SET session_replication_role = replica;
UPDATE chat_threads SET thread_messages_count = thread_messages_count + 41
 WHERE id = (SELECT min(id) FROM chat_threads);
"""
# What is looked at: the pages of ours, and one of each kind of the theme's.
MAIN_PAGES = (
    "dashboards/usage/",
    "dashboards/usage/users/{user}/",
    "dashboards/counters/",
    "dashboards/counters/repair/",
)
OTHER_PAGES = (
    "",
    "dashboards/counters/audit/",
    "accounts/user/",
    "usage/planlimit/?plan__name__exact=PRO",
    "usage/limitoverride/add/",
)


def run_job(page: Page, name: str) -> str:
    """Confirm a job, watch it to its end, and return what came of it."""
    page.locator(".dash-lead").get_by_role("link", name=name).click()
    page.locator("#content-main").get_by_role("button", name=name).click()
    expect(page.get_by_role("heading", name="has ended")).to_be_visible()
    return page.get_by_role("status").inner_text()


def test_a_day_of_an_operator(open_page: OpenPage, site: Site) -> None:
    with open_page(viewport=DESK, accept_downloads=True) as page:
        # The month before, and from a figure to its rows.
        page.goto(f"{site.address}dashboards/usage/")
        page.get_by_label("Month", exact=True).select_option(index=1)
        page.get_by_role("button", name="Show").click()
        expect(page).to_have_url(re.compile(r"month=\d{4}-\d\d"))
        chosen = page.get_by_label("Month", exact=True).locator("option:checked").inner_text()
        expect(page.locator(".dash-lead-title")).to_contain_text(chosen)
        page.locator(".dash-figure-label a").first.click()
        expect(page.locator("#result_list tr.data-row").first).to_be_visible()
        page.go_back()

        with page.expect_download() as saving:
            page.get_by_role("link", name="as CSV").first.click()
        header, *lines = Path(saving.value.path()).read_text(encoding="utf-8-sig").splitlines()
        assert "," in header
        assert lines

        # Somebody writes past the triggers: the audit finds it, the repair mends it.
        site.database.run(PLANT_DRIFT)
        page.goto(f"{site.address}dashboards/counters/")
        found = run_job(page, "Audit now")
        assert found == "Not exact: chat_threads.thread_messages_count (1 row in drift)."
        page.get_by_role("link", name="To the counters").click()
        expect(page.locator(".dash-lead-title")).to_contain_text("had rows in drift")
        page.locator(".dash-figure-label a", has_text="Rows in drift").click()
        expect(page.locator("#result_list")).to_contain_text("thread_messages_count")
        page.go_back()
        mended = run_job(page, "Repair")
        assert "1 row repaired" in mended
        page.get_by_role("link", name="To the counters").click()
        expect(page.locator(".dash-lead-title")).to_contain_text("exact")
        expect(page.locator("#repairs tbody tr").first).to_contain_text("complete")

        page.goto(site.address)  # the admin's log tells who it was
        expect(page.locator("body")).to_contain_text("chat_threads.thread_messages_count")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_barrier(open_page: OpenPage, site: Site, scheme: str) -> None:
    """No serious finding of axe-core; and a picture of each, for people to look at."""
    barriers = {}
    with open_page(viewport=DESK, color_scheme=scheme) as page:
        for path in MAIN_PAGES[::2] if scheme == "dark" else MAIN_PAGES + OTHER_PAGES:
            show(page, site, path)
            take_picture(page, f"{scheme}-{path}")
            barriers[path] = find_barriers(page)
    assert not {path: found for path, found in barriers.items() if found}


def test_on_a_phone_no_page_is_wider_than_the_phone(open_page: OpenPage, site: Site) -> None:
    with open_page(viewport=PHONE, is_mobile=True, has_touch=True) as page:
        for path in MAIN_PAGES:
            show(page, site, path)
            take_picture(page, f"phone-{path}")
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path


def test_numbers_are_those_of_the_readers_language(open_page: OpenPage, site: Site) -> None:
    """A German comma in a width or in a point of a chart would be an error of the browser's."""
    with open_page(viewport=DESK, locale="de-DE", timezone_id="Asia/Tokyo") as page:
        for path in MAIN_PAGES[::2]:
            show(page, site, path)
            assert not page.evaluate(
                "[...document.querySelectorAll('svg [width], svg [d], progress')]"
                ".some(part => /\\d,\\d/.test(part.outerHTML))"
            )
        expect(page.locator("body")).to_contain_text("UTC")


def show(page: Page, site: Site, path: str) -> None:
    """Go to a page of the admin; `{user}` is a customer with much to show."""
    if "{user}" in path:
        [(user,)] = site.database.rows(
            "SELECT user_id FROM feature_usage GROUP BY 1 ORDER BY sum(usage_count) DESC LIMIT 1"
        )
        path = path.format(user=user)
    answer = page.goto(f"{site.address}{path}")
    assert answer
    assert answer.ok, f"{path}: {answer.status}"


def take_picture(page: Page, name: str) -> None:
    """Write a picture into the folder that git ignores."""
    SCREENSHOTS.mkdir(exist_ok=True)
    file = re.sub(r"[^a-z]+", "-", name.replace("{user}", "one")).strip("-")
    page.screenshot(path=SCREENSHOTS / f"{file}.png", full_page=True)

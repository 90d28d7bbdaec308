"""The admin as the theme shows it: its navigation, its log-in, its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.staticfiles import finders
from django.test import RequestFactory
from django.urls import reverse
from django.views.defaults import server_error
from unfold.admin import ModelAdmin
from unfold.sites import UnfoldAdminSite

from sentinel.dashboards.models import Dashboards
from sentinel.dashboards.navigation import TOPICS
from sentinel.dashboards.permissions import Permission
from tests.dashboards.browsing import links, log_in

if TYPE_CHECKING:
    from django.test import Client

PAGES = admin.site._registry


def test_every_model_of_the_admin_is_in_the_navigation() -> None:
    listed = [label for _, models in TOPICS for _, _, label in models]
    ours = {model._meta.label_lower for model in PAGES if model._meta.app_label != "library"}
    assert sorted(listed) == sorted(ours)


def test_every_page_is_the_themes() -> None:
    assert isinstance(admin.site, UnfoldAdminSite)
    strange = [
        model._meta.label for model, page in PAGES.items() if not isinstance(page, ModelAdmin)
    ]
    assert not strange, "derive their admin classes from sentinel.themed_admin.ModelAdmin"


def test_every_permission_is_declared() -> None:
    declared = {f"dashboards.{name}" for name, _ in Dashboards._meta.permissions}
    assert {permission.value for permission in Permission} == declared


@pytest.mark.django_db
def test_the_navigation_has_what_somebody_may_see_and_nothing_else(client: Client) -> None:
    shown = log_in(client, "view_usage_dashboard", "view_chatthread").get(reverse("admin:index"))
    page = shown.content.decode()
    assert reverse("dashboards:usage") in page
    assert reverse("admin:threads_chatthread_changelist") in page
    assert reverse("dashboards:health") not in page
    assert reverse("admin:accounts_user_changelist") not in page


@pytest.mark.django_db
def test_the_start_page_leads_to_the_dashboards_that_somebody_may_see(client: Client) -> None:
    page = log_in(client, "view_usage_dashboard").get(reverse("admin:index")).content.decode()
    cards = page.partition('aria-label="Dashboards"')[2].partition("</nav>")[0]
    assert links(cards) == [reverse("dashboards:usage")]
    assert 'aria-label="Dashboards"' not in log_in(client).get("/admin/").content.decode()


@pytest.mark.django_db
def test_what_is_not_there_is_told_in_words(client: Client) -> None:
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert "There is no such page" in answer.content.decode()


def test_the_page_of_an_error_needs_no_database() -> None:
    answer = server_error(RequestFactory().get("/admin/"))
    assert "Something went wrong" in answer.content.decode()


@pytest.mark.django_db
def test_the_log_in_has_the_themes_form(client: Client) -> None:
    page = client.get(reverse("admin:login")).content.decode()
    assert "Sentinel" in page
    assert "unfold/css/styles.css" in page


@pytest.mark.django_db
def test_pages_ask_no_other_host_for_anything(client: Client) -> None:
    page = log_in(client, "view_usage_dashboard").get(reverse("dashboards:usage")).content.decode()
    for attribute in ('src="', 'href="'):
        for piece in page.split(attribute)[1:]:
            address = piece.partition('"')[0]
            assert address.startswith(("/", "#", "?")), address


def test_the_files_of_the_pages_are_found() -> None:
    for name in (
        "dashboards/admin.css",
        "dashboards/dashboards.css",
        "dashboards/error.css",
        "dashboards/favicon.svg",
    ):
        assert finders.find(name), name


def test_the_theme_comes_before_the_admin_that_it_replaces() -> None:
    apps = settings.INSTALLED_APPS
    assert apps.index("unfold") < apps.index("django.contrib.admin")

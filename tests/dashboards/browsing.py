"""Who looks at the pages, and what they read there."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import Permission

from sentinel.accounts.factories import UserFactory

if TYPE_CHECKING:
    from django.test import Client

VIEW, EXPORT, EMAILS = "view_usage_dashboard", "export_usage", "view_emails"


def log_in(client: Client, *permissions: str) -> Client:
    """Let a member of staff with these permissions of the dashboards use this browser."""
    user = UserFactory.create(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def html(response: Any) -> str:
    """The part of the page that is not the theme's."""
    page = response.content.decode()
    found = re.search(r'<main id="content-main".*</main>', page, re.DOTALL)
    assert found, page
    return found[0]


def words(markup: str) -> str:
    """What is read there, on one line."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def section(response: Any, slug: str) -> str:
    """The card of a table or a chart."""
    found = re.search(rf'<section [^>]*id="{slug}".*?</section>', html(response), re.DOTALL)
    assert found, f"no section {slug}"
    return found[0]


def rows(response: Any, slug: str) -> list[list[str]]:
    """The rows of a table as they are read."""
    body = section(response, slug).partition("<tbody>")[2].partition("</tbody>")[0]
    return [
        [words(cell) for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)
    ]


def links(markup: str) -> list[str]:
    """Where it leads."""
    return [unescape(address) for address in re.findall(r'href="([^"]*)"', markup)]

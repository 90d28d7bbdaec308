"""A user's page: what they are allowed, have used and have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from itineraries.factories import TravelItineraryFactory
from sentinel.accounts.models import User
from sentinel.dashboards.formats import NOTHING
from tests.dashboards.browsing import (
    EMAILS,
    EXPORT,
    VIEW,
    html,
    links,
    log_in,
    rows,
    section,
    words,
)
from tests.usage_reports import NOW, refuse, use, user_of
from threads.factories import ChatMessageFactory, ChatThreadFactory
from usage.limit_models import LimitOverride

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def march(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tenth of March, noon."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def viewer(client: Client) -> Client:
    """The browser of somebody who may see usage, and nothing else."""
    return log_in(client, VIEW)


@pytest.fixture
def ada(db: None) -> int:
    return user_of("PRO", name="Ada Lovelace", email="ada@example.org")


def get(client: Client, user: int) -> Any:
    answer = client.get(reverse("dashboards:user", args=[user]))
    assert answer.status_code == 200, answer.status_code
    return answer


def row_of(answer: Any, slug: str, first: str) -> list[str]:
    """The row of a table that begins so."""
    [row] = [row for row in rows(answer, slug) if row[0].startswith(first)]
    return row


def test_each_limit_has_used_remaining_and_when_it_starts_anew(viewer: Client, ada: int) -> None:
    use(ada, 450, feature="chat_messages_monthly", at="2026-03-05")
    answer = get(viewer, ada)
    assert row_of(answer, "limits", "Chat messages") == [
        "Chat messages",
        "500 messages a month",
        "450",
        "50",
        "1 April 2026",
    ]
    assert row_of(answer, "limits", "Messages of a thread")[2:] == [NOTHING] * 3


def test_features_that_are_not_counted_are_there_or_not(viewer: Client, ada: int) -> None:
    answer = get(viewer, ada)
    assert row_of(answer, "features", "Alerts by email")[1] == "in the plan"
    assert row_of(answer, "features", "API access")[1] == "not in the plan"


def test_a_limit_of_their_own_is_named_as_such(viewer: Client, ada: int) -> None:
    LimitOverride.objects.create(
        user_id=ada, feature="pdf_exports_monthly", usage_limit=99, reason="Asked for by <sales>."
    )
    answer = get(viewer, ada)
    assert row_of(answer, "limits", "PDF exports")[:2] == [
        "PDF exports a limit of their own",
        "99 exports a month",
    ]
    assert row_of(answer, "overrides", "PDF exports")[1:] == [
        "99",
        NOTHING,
        "Asked for by <sales>.",
    ]


def test_threads_and_itineraries_have_the_counts_of_their_counters(
    viewer: Client, ada: int
) -> None:
    user = User.objects.get(pk=ada)
    thread = ChatThreadFactory.create(user=user, title="To <b>Rome</b>")
    ChatMessageFactory.create_batch(3, thread=thread)
    TravelItineraryFactory.create(user=user, destinations=4, title="")
    answer = get(viewer, ada)
    assert rows(answer, "threads")[0][:3] == ["To <b>Rome</b>", "3", "active"]
    assert rows(answer, "itineraries")[0][1:3] == ["4", "active"]


def test_history_is_by_month_and_feature(viewer: Client, ada: int) -> None:
    use(ada, 5, at="2026-01-05")
    use(ada, 2, feature="api_access", at="2026-01-05")
    use(ada, 7, at="2026-03-05")
    answer = get(viewer, ada)
    assert "Mar 2026 Jan 2026" in words(section(answer, "history"))
    assert rows(answer, "history") == [
        ["Map export", "7", "5"],
        ["API access", NOTHING, "2"],
    ]
    assert rows(answer, "months")[-1] == ["Mar 2026", "7"]
    assert len(rows(answer, "months")) == 12


def test_the_last_events_and_refusals_are_listed(viewer: Client, ada: int) -> None:
    use(ada, 2, at="2026-03-05")
    refuse(ada, 4, day="2026-03-06")
    answer = get(viewer, ada)
    assert rows(answer, "events")[0][:3] == ["5 Mar 2026, 00:00", "Map export", "+2"]
    assert rows(answer, "refusals")[0][:3] == ["API access", "PRO", "4"]


def test_every_table_leads_to_all_of_its_rows(client: Client, ada: int) -> None:
    use(ada, 2, at="2026-03-05")
    refuse(ada, 4, day="2026-03-06")
    thread = ChatThreadFactory.create(user_id=ada)
    TravelItineraryFactory.create(user_id=ada)
    log_in(client, VIEW)
    answer = get(client, ada)
    User.objects.filter(is_staff=True).update(is_superuser=True)
    for slug in ("threads", "itineraries", "events", "refusals", "history"):
        addresses = [address for address in links(section(answer, slug)) if "?" in address]
        assert addresses, slug
        for address in addresses:
            shown = client.get(address)
            assert shown.status_code == 200
            assert len(shown.context["cl"].result_list) == 1, address
    assert thread.pk


def test_an_account_without_anything_has_a_page(viewer: Client, ada: int) -> None:
    text = words(html(get(viewer, ada)))
    for told in (
        "No thread yet.",
        "No itinerary yet.",
        "No event in the ledger.",
        "Nothing was ever used.",
        "Nothing was used in the last 12 months.",
        "Nothing was refused.",
        "None: the limits of the plan hold.",
    ):
        assert told in text


def test_the_email_is_for_those_who_may_see_it(client: Client, ada: int) -> None:
    assert "ada@example.org" not in html(get(log_in(client, VIEW), ada))
    assert "ada@example.org" in html(get(log_in(client, VIEW, EMAILS), ada))


def test_a_user_who_is_not_there_is_not_found(viewer: Client) -> None:
    assert viewer.get(reverse("dashboards:user", args=[2_000_000_000])).status_code == 404
    assert viewer.get(reverse("dashboards:user", args=[10**30])).status_code == 404


def test_staff_without_the_permission_see_nothing(client: Client, ada: int) -> None:
    answer = log_in(client, EXPORT).get(reverse("dashboards:user", args=[ada]))
    assert answer.status_code == 403
    assert "Ada" not in html(answer)


def test_every_table_can_be_downloaded_and_that_is_logged(client: Client, ada: int) -> None:
    use(ada, 2, at="2026-03-05")
    address = reverse("dashboards:user_download", args=[ada, "events", "csv"])
    assert log_in(client, VIEW).get(address).status_code == 403
    log_in(client, VIEW, EXPORT)
    offered = [link for link in links(html(get(client, ada))) if link.endswith(".csv")]
    assert len(offered) == 8
    for link in offered:
        assert client.get(link).status_code == 200
    text = client.get(address).getvalue().decode()
    assert "2026-03-05 00:00:00,Map export,2," in text
    assert f"user-{ada}-events.csv" in {entry.object_repr for entry in LogEntry.objects.all()}
    missing = reverse("dashboards:user_download", args=[ada, "secrets", "csv"])
    assert client.get(missing).status_code == 404


def test_the_page_takes_as_many_queries_however_much_the_user_has(viewer: Client, ada: int) -> None:
    get(viewer, ada)  # what Django asks once
    taken = []
    for day in (6, 7):
        with CaptureQueriesContext(connection) as queries:
            get(viewer, ada)
        taken.append(len(queries))
        for month in (1, 2, 3):
            use(ada, 2, at=f"2026-0{month}-05")
            use(ada, 2, feature="api_access", at=f"2026-0{month}-05")
            refuse(ada, 4, day=f"2026-0{month}-0{day}")
            ChatThreadFactory.create(user_id=ada)
            TravelItineraryFactory.create(user_id=ada)
        LimitOverride.objects.create(user_id=ada, feature=f"feature_{day}", reason="Asked for.")
    assert taken[0] == taken[1]
    assert taken[0] <= 20

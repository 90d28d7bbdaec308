"""The page of usage: figures with what they are compared to, tables, and the way to the rows."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from sentinel.accounts.factories import UserFactory
from sentinel.dashboards import usage_views
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
from tests.unit.test_reporting_month import archive
from tests.usage_reports import FEBRUARY, NOW, count, refuse, use, user_of

pytestmark = pytest.mark.django_db
USAGE = reverse("dashboards:usage")
TIMES = "\N{MULTIPLICATION SIGN}"


@pytest.fixture(autouse=True)
def march(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tenth of March, noon."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def viewer(client: Client) -> Client:
    """The browser of somebody who may see usage, and nothing else."""
    return log_in(client, VIEW)


@pytest.fixture
def analyst(client: Client) -> Client:
    """The browser of somebody who may see everything about usage."""
    return log_in(client, VIEW, EXPORT, EMAILS)


@pytest.fixture
def ada(db: None) -> int:
    """A user near a limit, who was refused something, with a month before."""
    ada = user_of("PRO", name="Ada Lovelace", email="ada@example.org")
    use(ada, 450, feature="chat_messages_monthly", at="2026-03-05")
    use(ada, 30, at="2026-02-03")
    use(ada, 15, at="2026-02-20")
    refuse(ada, 7, day="2026-03-06", feature="route_analysis")
    count()
    return ada


def get(client: Client, **chosen: str) -> Any:
    answer = client.get(USAGE, chosen)
    assert answer.status_code == 200, answer.status_code
    return answer


def figures(answer: Any) -> list[str]:
    """What the cards say."""
    part = html(answer).partition('<ul class="dash-figures"')[2].partition("</ul>")[0]
    return [words(card) for card in part.split("<li ")[1:]]


# ---------------------------------------------------------------------------------------- figures


def test_each_figure_stands_beside_that_of_the_same_days_of_the_month_before(
    viewer: Client, ada: int
) -> None:
    uses, active, refusals, near, at = figures(get(viewer))
    assert "Uses 450 +420 (+1,400 %) 30 in February up to the 10th" in _plain(uses)
    assert "Active users 1 no change 1 in February" in _plain(active)
    assert "Refusals 7" in refusals
    assert "Users near a limit 1 +1" in near
    assert "Users at a limit 0 no change" in at


def test_a_month_that_was_never_counted_is_not_taken_for_0(viewer: Client) -> None:
    use(user_of(), 3, at="2026-03-05")
    assert "Uses 3 February 2026: not counted" in figures(get(viewer))[0]


def test_a_month_that_is_over_is_compared_as_a_whole(viewer: Client, ada: int) -> None:
    answer = get(viewer, month="2026-02")
    assert "The whole month in UTC, compared to January 2026." in words(html(answer))
    assert "Uses 45" in figures(answer)[0]


def test_every_figure_leads_to_the_rows_behind_it(viewer: Client, ada: int) -> None:
    answer = get(viewer)
    cards = html(answer).partition('<ul class="dash-figures"')[2].partition("</ul>")[0]
    for address in links(cards):
        if address.startswith("#"):
            assert rows(answer, address[1:]), f"{address} is empty"
        else:
            assert _rows_of_the_admin(address), f"{address} has no rows"


@pytest.mark.parametrize("slug", ["features", "users", "refusals", "limits"])
def test_every_row_leads_to_what_it_was_made_of(viewer: Client, ada: int, slug: str) -> None:
    table = section(get(viewer), slug)
    body = table.partition("<tbody>")[2].partition("</tbody>")[0]
    assert links(body)
    for address in links(body):
        if address == reverse("dashboards:user", args=[ada]):
            assert viewer.get(address).status_code == 200
        else:
            assert _rows_of_the_admin(address)


def _rows_of_the_admin(address: str) -> int:
    """How many rows a list of the admin has, for a superuser."""
    browser = Client()
    browser.force_login(UserFactory.create(is_staff=True, is_superuser=True))
    answer = browser.get(address)
    assert answer.status_code == 200, address
    return len(answer.context["cl"].result_list)


def _plain(text: str) -> str:
    return text.replace("\N{NARROW NO-BREAK SPACE}", " ")


# ----------------------------------------------------------------------------------------- tables


def test_features_have_their_share_and_change(viewer: Client, ada: int) -> None:
    use(ada, 50, at="2026-03-02")
    table = [list(map(_plain, row)) for row in rows(get(viewer), "features")]
    assert table == [
        ["Chat messages", "450", "90 %", NOTHING, "0", "1"],
        ["Map export", "50", "10 %", "+67 %", "30", "1"],
    ]


def test_who_is_near_a_limit_is_shown_with_their_pace(viewer: Client, ada: int) -> None:
    [row] = rows(get(viewer), "limits")
    assert list(map(_plain, row))[1:] == [
        "PRO",
        "Chat messages",
        "450",
        "500",
        "90 %",
        f"2.9{TIMES}",
    ]


def test_refusals_are_shown_by_feature_and_plan(viewer: Client, ada: int) -> None:
    [row] = rows(get(viewer), "refusals")
    assert row[:4] == ["Route analysis", "PRO", "7", "1"]


def test_a_plan_narrows_everything_down(viewer: Client, ada: int) -> None:
    grace = user_of("BUSINESS", name="Grace")
    use(grace, 9, at="2026-03-02")
    answer = get(viewer, plan="BUSINESS")
    assert "Uses 9" in figures(answer)[0]
    assert [row[0].split()[0] for row in rows(answer, "users")] == ["Grace"]
    assert not rows(answer, "refusals")
    assert not rows(answer, "limits")


def test_longer_tables_are_a_click_away(viewer: Client) -> None:
    for _ in range(11):
        use(user_of(), 1, at="2026-03-02")
    answer = get(viewer)
    assert len(rows(answer, "users")) == 10
    assert "10 of 11 lines. Show 11" in words(section(answer, "users"))
    [longer] = [address for address in links(section(answer, "users")) if "listed" in address]
    assert len(rows(viewer.get(USAGE + longer), "users")) == 11


def test_an_archived_month_is_shown_like_any_other_and_leads_to_the_archive(
    viewer: Client, ada: int
) -> None:
    archive(FEBRUARY)
    answer = get(viewer, month="2026-02")
    assert "Uses 45" in figures(answer)[0]
    assert "This month is in the archive, or a part of it is." in words(html(answer))
    assert "featureusagearchive" in links(html(answer).partition("dash-figures")[2])[0]


# ------------------------------------------------------------------------------------------ chart


def test_the_line_by_day_has_words_and_a_table(viewer: Client, ada: int) -> None:
    part = section(get(viewer), "days")
    assert 'role="img"' in part
    assert "45 a day on average, and the most on the 5th: 450." in words(part)
    table = rows(get(viewer), "days")
    assert table[4] == ["5", "450", "0"]
    assert table[10] == ["11", NOTHING, "0"], "days to come are not 0"


def test_numbers_of_svg_are_not_those_of_the_readers_language(viewer: Client, ada: int) -> None:
    answer = viewer.get(USAGE, headers={"accept-language": "de"})
    part = html(answer)
    assert "+1.400" in words(part), "numbers are German"
    for name in ("d", "x", "width", "height", "viewBox"):
        for value in _attributes(part, name):
            assert "," not in value, f"{name}={value}"


def _attributes(markup: str, name: str) -> list[str]:
    return [piece.partition('"')[0] for piece in markup.split(f' {name}="')[1:]]


# ------------------------------------------------------------------------- who may see and do what


def test_staff_without_the_permission_see_no_figures(client: Client, ada: int) -> None:
    answer = log_in(client).get(USAGE)
    assert answer.status_code == 403
    assert "450" not in html(answer)
    assert USAGE not in answer.content.decode(), "nor the way there"


def test_customers_are_sent_to_the_log_in(client: Client) -> None:
    assert client.get(USAGE).status_code == 302


def test_email_addresses_are_for_those_who_may_see_them(client: Client, ada: int) -> None:
    user_of("PRO", name=None)
    assert "ada@example.org" not in html(get(log_in(client, VIEW)))
    assert "ada@example.org" in html(get(log_in(client, VIEW, EMAILS)))


def test_who_has_no_name_is_a_number_to_those_who_may_not_see_emails(viewer: Client) -> None:
    nameless = user_of(name="")
    use(nameless, 1, at="2026-03-02")
    assert [row[0] for row in rows(get(viewer), "users")] == [f"user {nameless}"]


def test_downloads_are_offered_to_those_who_may_download(client: Client, ada: int) -> None:
    assert "CSV" not in html(get(log_in(client, VIEW)))
    assert "CSV" in html(get(log_in(client, VIEW, EXPORT)))


# ---------------------------------------------------------------------------------------- downloads


def test_every_table_is_downloaded_as_it_is_narrowed_down(analyst: Client, ada: int) -> None:
    answer = get(analyst, plan="PRO")
    addresses = [address for address in links(html(answer)) if ".csv" in address]
    assert len(addresses) == 5
    for address in addresses:
        assert "month=2026-03" in address
        assert "plan=PRO" in address
        got = analyst.get(address)
        assert got.status_code == 200
        assert got.getvalue().count(b"\n") >= 2, f"{address} is empty"


def test_a_download_has_numbers_and_not_words(analyst: Client, ada: int) -> None:
    address = reverse("dashboards:usage_download", args=["limits", "csv"])
    text = analyst.get(address).getvalue().decode()
    heading, line = text.removeprefix("\ufeff").splitlines()
    assert heading == "User,Name,Email,Plan,Feature,Used,Limit,Of the limit,Pace"
    assert line.startswith(f"{ada},Ada Lovelace,ada@example.org,PRO,Chat messages,450,500,0.9,")


def test_a_download_has_no_emails_for_those_who_may_not_see_them(client: Client, ada: int) -> None:
    address = reverse("dashboards:usage_download", args=["users", "csv"])
    answer = log_in(client, VIEW, EXPORT).get(address)
    assert b"example.org" not in answer.getvalue()


def test_a_download_takes_both_permissions_and_stands_in_the_log(client: Client, ada: int) -> None:
    address = reverse("dashboards:usage_download", args=["users", "xlsx"])
    for permissions in ((VIEW,), (EXPORT,)):
        assert log_in(client, *permissions).get(address).status_code == 403
    assert not LogEntry.objects.exists()
    answer = log_in(client, VIEW, EXPORT).get(address)
    assert answer.getvalue().startswith(b"PK")
    assert [entry.object_repr for entry in LogEntry.objects.all()] == ["usage-2026-03-users.xlsx"]


def test_a_table_that_is_not_there_is_not_found(analyst: Client) -> None:
    for slug, file_format in (("passwords", "csv"), ("users", "exe")):
        address = reverse("dashboards:usage_download", args=[slug, file_format])
        assert analyst.get(address).status_code == 404


# ------------------------------------------------------------------------ nothing, and what is odd


def test_an_empty_system_has_a_page(viewer: Client) -> None:
    answer = get(viewer)
    text = words(html(answer))
    assert "Nothing was used in March 2026." in text
    assert "Nobody has used 80 % of a limit." in text
    assert "Nobody was refused anything." in text
    assert "Uses 0" in figures(answer)[0]


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"month": "2026-13"}, "“2026-13” is no month"),
        ({"month": "2027-01"}, "January 2027 is yet to come."),
        ({"plan": "<script>"}, "There is no plan “<script>”."),
    ],
)
def test_what_is_not_there_is_told_and_the_default_is_shown(
    viewer: Client, chosen: dict[str, str], told: str
) -> None:
    answer = get(viewer, **chosen)
    assert told in words(html(answer))
    assert "March 2026" in words(html(answer))
    assert "<script>" not in html(answer)


def test_a_name_is_text_whatever_it_says(viewer: Client) -> None:
    for name in ("<script>alert(1)</script>", "א" * 300, "=HYPERLINK(1)"):
        use(user_of("PRO", name=name), 1, at="2026-03-02")
    part = html(get(viewer))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in part
    assert "<script" not in part
    assert f"<bdi>{'א' * 300}</bdi>" in part, "and does not turn its neighbours round"


def test_a_busy_database_is_told_in_words(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def take_too_long(**_: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '10ms'")
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(usage_views, "report_month", take_too_long)
    answer = viewer.get(USAGE)
    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert "The database did not answer in time." in words(html(answer))


def test_the_page_takes_as_many_queries_however_much_there_is(viewer: Client, ada: int) -> None:
    get(viewer)  # what Django asks once
    taken = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            get(viewer)
        taken.append(len(queries))
        for _ in range(15):
            newcomer = user_of()
            use(newcomer, 499, feature="chat_messages_monthly", at="2026-03-07")
            refuse(newcomer, day="2026-03-07")
        count()
    assert taken[0] == taken[1]
    assert taken[0] <= 20


def test_an_error_that_is_not_the_databases_time_is_not_hidden(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(usage_views, "report_month", fail)
    with pytest.raises(ZeroDivisionError):
        viewer.get(USAGE)

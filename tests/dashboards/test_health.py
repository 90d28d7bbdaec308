"""The page of the counters' health: what it shows, to whom, and what it lets them start."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from sentinel.accounts.factories import UserFactory
from sentinel.counters import declared_counters
from sentinel.counters.models import CounterRepairRun
from sentinel.dashboards import job_views
from sentinel.dashboards.health_reading import HISTORY_DAYS, read_history
from sentinel.dashboards.job_models import CounterJob, JobState
from tests.dashboards.jobs import THREADS, add_audit
from tests.rows import execute

if TYPE_CHECKING:
    from django.test import Client

    from sentinel.accounts.models import User

pytestmark = pytest.mark.django_db

NAMES = [counter.name for counter in declared_counters()]
HEALTH = reverse("dashboards:health")
START = {"audit": reverse("dashboards:start-audit"), "repair": reverse("dashboards:start-repair")}


def staff(*permissions: str) -> User:
    """Somebody who may log in to the admin, with some permissions of the dashboards."""
    user: User = UserFactory.create(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


@pytest.fixture
def operator(client: Client) -> Client:
    """The browser of somebody with every permission."""
    client.force_login(UserFactory.create(is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[CounterJob]:
    """The jobs for which a process was to be started; none is."""
    jobs: list[CounterJob] = []
    monkeypatch.setattr(job_views, "start_job", jobs.append)
    return jobs


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def audit_all(*, rows_in_drift: int = 0, ago: timedelta = timedelta(hours=3)) -> None:
    """Record an audit of every counter; that of the threads found so many rows in drift."""
    for name in NAMES:
        found = rows_in_drift if name == THREADS else 0
        add_audit(at=timezone.now() - ago, counter=name, rows_in_drift=found)


# --------------------------------------------------------------------------------------- showing


def test_before_the_first_audit_the_page_says_so(operator: Client) -> None:
    page = text(operator.get(HEALTH))
    assert "were not audited in time" in page
    assert "No audit yet" in page
    assert "Nothing was ever repaired." in page


def test_exact_counters_are_called_exact(operator: Client) -> None:
    audit_all()
    page = text(operator.get(HEALTH))
    assert f"All {len(NAMES)} counters" in page
    assert "3 h ago" in page


def test_a_drift_leads_to_the_audit_that_found_it(operator: Client) -> None:
    audit_all(rows_in_drift=17)
    response = operator.get(HEALTH)
    assert f"1 of {len(NAMES)} counters had rows in drift" in text(response)
    [drift, *_] = response.context["figures"]
    assert drift.value == "17"
    listed = operator.get(drift.href).context["cl"].result_list
    assert [audit.counter for audit in listed] == [THREADS]


def test_a_trigger_that_is_switched_off_is_told_with_its_cure(operator: Client) -> None:
    audit_all()
    execute("ALTER TABLE chat_messages DISABLE TRIGGER USER")
    page = text(operator.get(HEALTH))
    assert "may drift" in page
    assert "ENABLE TRIGGER" in page


def test_the_page_asks_as_often_however_much_was_recorded(operator: Client) -> None:
    taken = []
    for _ in range(2):
        for days in range(20):
            audit_all(ago=timedelta(days=days))
        with CaptureQueriesContext(connection) as queries:
            assert operator.get(HEALTH).status_code == 200
        taken.append(len(queries))
    assert taken[0] == taken[1] <= 100


def test_every_figure_of_the_chart_stands_in_its_table(operator: Client) -> None:
    audit_all(rows_in_drift=17)
    chart = operator.get(HEALTH).context["history"]
    [row] = [row for row in chart.table.rows if row[1].value]
    assert row[1].value == 17
    assert "17" in chart.description


def test_a_day_adds_up_the_counters_and_takes_the_worst_audit_of_each() -> None:
    now = timezone.now()
    other = next(name for name in NAMES if name != THREADS)
    add_audit(at=now, rows_in_drift=5)
    add_audit(at=now, rows_in_drift=3)
    add_audit(at=now, counter=other, rows_in_drift=2)
    add_audit(at=now - timedelta(days=HISTORY_DAYS), rows_in_drift=1_000)  # too long ago
    days = read_history(now=now)
    assert len(days) == HISTORY_DAYS
    assert (days[-1].audits, days[-1].inexact, days[-1].rows_in_drift) == (3, 3, 7)
    assert sum(day.audits for day in days) == 3


def test_what_was_repaired_stands_on_the_day_that_the_run_began() -> None:
    now = timezone.now()
    for rows in (4, 6):
        CounterRepairRun.objects.create(
            outcome="complete",
            started_at=now - timedelta(days=2),
            counters=[THREADS],
            database_user="ada",
            host="here",
            process=1,
            backend=2,
            rows_repaired=rows,
        )
    assert read_history(now=now)[-3].rows_repaired == 10


# ----------------------------------------------------------------------------------- permissions


@pytest.mark.parametrize("address", [HEALTH, reverse("dashboards:job", args=[1])])
def test_staff_without_the_permission_see_nothing(client: Client, address: str) -> None:
    client.force_login(staff())
    response = client.get(address)
    assert response.status_code == 403
    assert "thread_messages_count" not in text(response)


def test_who_may_only_look_finds_no_buttons(client: Client) -> None:
    client.force_login(staff("view_health_dashboard"))
    page = text(client.get(HEALTH))
    assert "thread_messages_count" in page
    assert reverse("dashboards:confirm-audit") not in page
    assert reverse("dashboards:confirm-repair") not in page


@pytest.mark.parametrize("kind", ["audit", "repair"])
def test_who_may_not_start_it_cannot(client: Client, started: list[CounterJob], kind: str) -> None:
    other = {"audit": "repair_counters", "repair": "run_audit"}[kind]
    client.force_login(staff("view_health_dashboard", other))
    assert client.get(reverse(f"dashboards:confirm-{kind}")).status_code == 403
    assert client.post(START[kind]).status_code == 403
    assert not started
    assert not CounterJob.objects.exists()


def test_a_visitor_is_sent_to_the_log_in(client: Client) -> None:
    response = client.get(HEALTH)
    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")


# ---------------------------------------------------------------------------------------- buttons


@pytest.mark.parametrize("kind", ["audit", "repair"])
def test_nothing_is_started_by_a_link(
    operator: Client, started: list[CounterJob], kind: str
) -> None:
    assert operator.get(START[kind]).status_code == 405
    assert operator.get(reverse(f"dashboards:confirm-{kind}")).status_code == 200
    assert not started


@pytest.mark.parametrize("kind", ["audit", "repair"])
def test_a_form_of_another_site_starts_nothing(
    operator: Client, started: list[CounterJob], kind: str
) -> None:
    operator.handler.enforce_csrf_checks = True
    assert operator.post(START[kind]).status_code == 403
    assert not started


@pytest.mark.parametrize("kind", ["audit", "repair"])
def test_a_button_starts_a_job_and_is_logged(
    operator: Client, started: list[CounterJob], kind: str
) -> None:
    response = operator.post(START[kind], {"counter": THREADS})
    [job] = CounterJob.objects.all()
    assert started == [job]
    assert response["Location"] == reverse("dashboards:job", args=[job.pk])
    assert (job.kind, job.counters, job.requested_by) == (kind, [THREADS], user_of(operator))
    entry = LogEntry.objects.get()
    assert entry.user_id == user_of(operator)
    assert f"{kind} {job.pk}" in entry.change_message


def user_of(client: Client) -> int:
    return int(client.session["_auth_user_id"])


def test_without_a_name_all_counters_are_meant(operator: Client, started: list[CounterJob]) -> None:
    operator.post(START["audit"])
    assert started[0].counters == NAMES


def test_a_second_click_leads_to_the_job_that_the_first_has_started(
    operator: Client, started: list[CounterJob]
) -> None:
    first = operator.post(START["audit"])["Location"]
    assert operator.post(START["audit"])["Location"] == first
    assert len(started) == 1
    assert LogEntry.objects.count() == 1


def test_a_counter_that_does_not_exist_is_not_found(
    operator: Client, started: list[CounterJob]
) -> None:
    assert operator.post(START["audit"], {"counter": "<script>"}).status_code == 404
    assert not started


def test_the_confirmation_of_a_repair_says_what_would_be_refused(operator: Client) -> None:
    execute("ALTER TABLE chat_messages DISABLE TRIGGER USER")
    page = text(operator.get(reverse("dashboards:confirm-repair"), {"counter": THREADS}))
    assert "will not be repaired" in page


# --------------------------------------------------------------------------------------- watching


def a_job(**values: Any) -> CounterJob:
    given = {"kind": "audit", "counters": [THREADS], "requested_by": 7} | values
    return CounterJob.objects.create(**given)


def test_a_job_is_watched_until_it_ends(operator: Client) -> None:
    job = a_job(total=4, done=1)
    state = reverse("dashboards:job-state", args=[job.pk])
    told = operator.get(state).json()
    assert (told["ended"], told["said"]) == (False, "1 of 4 counters audited")
    CounterJob.objects.filter(pk=job.pk).update(
        state=JobState.COMPLETE, ended_at=timezone.now(), summary="All fine.", exact=True
    )
    told = operator.get(state).json()
    assert (told["ended"], told["said"]) == (True, "All fine.")


def test_the_page_of_a_job_shows_text_as_text(operator: Client) -> None:
    job = a_job(summary="<script>alert(1)</script>", ended_at=timezone.now(), state="failed")
    page = operator.get(reverse("dashboards:job", args=[job.pk])).content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_job_whose_process_is_gone_is_shown_as_lost_and_nothing_is_written(
    operator: Client,
) -> None:
    job = a_job(state=JobState.RUNNING)
    page = text(operator.get(reverse("dashboards:job", args=[job.pk])))
    assert "Its process was ended." in page
    job.refresh_from_db()
    assert job.state == JobState.RUNNING


def test_a_job_that_does_not_exist_is_not_found(operator: Client) -> None:
    assert operator.get(reverse("dashboards:job", args=[4711])).status_code == 404

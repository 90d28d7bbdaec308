"""The lists of the admin: as many queries for fifty rows as for one, and no count of all."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection, models
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from itineraries.factories import TravelItineraryFactory
from itineraries.models import TravelItinerary
from sentinel import long_lists
from sentinel.accounts.factories import UserFactory, UserUsageFactory
from sentinel.accounts.models import Plan, User, UserUsage
from sentinel.counters.models import CounterAudit, CounterRepair, CounterRepairRun
from sentinel.dashboards.job_models import CounterJob
from sentinel.long_lists import BoundedPaginator
from tests.dashboards.jobs import add_audit
from threads.models import ChatMessage, ChatThread
from usage import record
from usage.archiving.models import ArchiveRun, FeatureUsageArchive, FeatureUsageEventArchive
from usage.factories import LimitOverrideFactory
from usage.gating.models import FeatureRefusal
from usage.limit_models import LimitOverride, PlanLimit, PlanTrial
from usage.models import FeatureUsage, FeatureUsageEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

NOW = datetime(2026, 11, 2, 6, 0, tzinfo=UTC)
MANY = 50


def add_thread(number: int) -> None:
    ChatThread.objects.create(user=UserFactory.create(), title=f"Oslo {number}")


def add_message(number: int) -> None:
    thread = ChatThread.objects.create(user=UserFactory.create(), title=f"Oslo {number}")
    ChatMessage.objects.create(thread=thread, role="user", content="?")


def add_use(_: int) -> None:
    record(user_id=UserFactory.create().pk, feature="api_access")


def add_repair_run(_: int) -> CounterRepairRun:
    return CounterRepairRun.objects.create(
        outcome="complete",
        started_at=NOW,
        counters=[],
        database_user="ada",
        host="here",
        process=1,
        backend=2,
    )


def add_repair(number: int) -> None:
    CounterRepair.objects.create(
        run=add_repair_run(number), counter="a.b", key=number, before={}, after={}, repaired_at=NOW
    )


def add_archive_run(_: int) -> ArchiveRun:
    return ArchiveRun.objects.create(before=date(2026, 6, 1), months=[], database_user="ada")


def add_archived_month(number: int) -> None:
    FeatureUsageArchive.objects.create(
        id=number + 1,
        user_id=number,
        feature="api_access",
        period_start=date(2025, 1, 1),
        period_end=date(2025, 1, 31),
        archived_at=NOW,
        run=add_archive_run(number),
    )


def add_archived_event(number: int) -> None:
    FeatureUsageEventArchive.objects.create(
        id=number + 1,
        user_id=number,
        feature="api_access",
        quantity=1,
        occurred_at=NOW,
        recorded_at=NOW,
        source="app",
        adopted=False,
        period_start=date(2025, 1, 1),
        archived_at=NOW,
        run=add_archive_run(number),
    )


def add_plan(number: int) -> None:
    Plan.objects.create(name=f"PLAN {number}", price_cents=number, chat_messages_per_month=1)


def add_trial(number: int) -> None:
    add_plan(number)
    PlanTrial.objects.create(plan_id=f"PLAN {number}", days=7)


def add_limit(number: int) -> None:
    add_plan(number)
    PlanLimit.objects.create(feature="api_access", plan_id=f"PLAN {number}", usage_limit=1)


def add_refusal(number: int) -> None:
    FeatureRefusal.objects.create(
        day=date(2026, 11, 2),
        user_id=number,
        feature="api_access",
        plan="FREE",
        refusals=1,
        last_at=NOW,
    )


def add_job(_: int) -> None:
    CounterJob.objects.create(kind="audit", counters=[], requested_by=1, ended_at=NOW)


# How a row of each model comes to be; the number makes it another than the rows before.
ROWS: dict[type[models.Model], Callable[[int], object]] = {
    Group: lambda number: Group.objects.create(name=f"Group {number}"),
    User: lambda _: UserFactory.create(),
    UserUsage: lambda _: UserUsageFactory.create(),
    Plan: add_plan,
    PlanTrial: add_trial,
    PlanLimit: add_limit,
    LimitOverride: lambda _: LimitOverrideFactory.create(user=UserFactory.create()),
    FeatureUsage: add_use,
    FeatureUsageEvent: add_use,
    FeatureRefusal: add_refusal,
    FeatureUsageArchive: add_archived_month,
    FeatureUsageEventArchive: add_archived_event,
    ArchiveRun: add_archive_run,
    ChatThread: add_thread,
    ChatMessage: add_message,
    TravelItinerary: lambda _: TravelItineraryFactory.create(user=UserFactory.create()),
    CounterAudit: lambda _: add_audit(at=timezone.now()),
    CounterRepairRun: add_repair_run,
    CounterRepair: add_repair,
    CounterJob: add_job,
}
LISTED = sorted(admin.site._registry, key=lambda model: model._meta.label)


@pytest.fixture
def staff(db: None, client: Client) -> Client:
    client.force_login(UserFactory.create(is_staff=True, is_superuser=True))
    return client


def list_of(model: type[models.Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def queries_of(staff: Client, address: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        assert staff.get(address).status_code == 200
    return [query["sql"] for query in queries]


@pytest.mark.parametrize("model", LISTED, ids=lambda model: model._meta.label)
def test_a_list_takes_as_many_queries_for_fifty_rows_as_for_one(
    staff: Client, model: type[models.Model]
) -> None:
    if model not in ROWS:
        pytest.fail(f"{model._meta.label} is in the admin: say in ROWS how a row of it is made")
    ROWS[model](0)
    staff.get(list_of(model))  # what is read once for all lists is read now
    for_one = queries_of(staff, list_of(model))
    for number in range(1, MANY):
        ROWS[model](number)
    assert len(queries_of(staff, list_of(model))) == len(for_one) <= 20


@pytest.mark.parametrize("model", LISTED, ids=lambda model: model._meta.label)
def test_no_list_counts_all_of_its_rows(staff: Client, model: type[models.Model]) -> None:
    table = model._meta.db_table
    counts = [
        query
        for query in queries_of(staff, list_of(model))
        if "COUNT(" in query and f'FROM "{table}"' in query
    ]
    assert counts
    for query in counts:
        assert re.search(r"LIMIT \d+\)", query), query


# ------------------------------------------------------------------------------------ long lists


@pytest.fixture
def few_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if four rows were more than are counted."""
    monkeypatch.setattr(long_lists, "MOST_COUNTED", 3)


def audits(number: int) -> Any:
    for _ in range(number):
        add_audit(at=NOW)
    return CounterAudit.objects.all()


@pytest.mark.django_db
@pytest.mark.parametrize("number", [0, 1, 3])
@pytest.mark.usefixtures("few_counted")
def test_a_number_of_rows_that_were_counted_is_exact(number: int) -> None:
    paginator = BoundedPaginator(audits(number), 2)
    assert (paginator.count, paginator.is_exact) == (number, True)


@pytest.mark.django_db
@pytest.mark.usefixtures("few_counted")
def test_what_is_more_than_is_counted_is_estimated_and_leafed_through_in_part() -> None:
    paginator = BoundedPaginator(audits(5), 2)
    assert (paginator.count, paginator.is_exact, paginator.num_pages) == (3, False, 2)
    assert paginator.estimate >= 4


@pytest.mark.usefixtures("few_counted")
def test_an_estimate_is_marked_as_one(staff: Client) -> None:
    audits(5)
    page = " ".join(staff.get(list_of(CounterAudit)).content.decode().split())
    assert re.search(r"about [\d,]+ audits", page)


def test_a_number_that_is_exact_is_not(staff: Client) -> None:
    audits(5)
    page = " ".join(staff.get(list_of(CounterAudit)).content.decode().split())
    assert "5 audits" in page
    assert "about" not in page.lower()


def test_a_list_that_is_not_narrowed_offers_no_way_back_to_all(staff: Client) -> None:
    audits(5)
    assert "Show all" not in staff.get(list_of(CounterAudit)).content.decode()
    narrowed = staff.get(list_of(CounterAudit) + "?exact__exact=1").content.decode()
    assert "5 results" in narrowed
    assert "Show all" in narrowed

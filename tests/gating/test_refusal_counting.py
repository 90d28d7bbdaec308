"""Refusals are counted in memory and written later, whatever refuses and whoever writes."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.ledger import sql
from tests.usage_reports import nothing_counted, user_of
from usage import FeatureDeniedError, feature_required
from usage.gating import counting, require_use
from usage.gating.counting import RefusalCounter

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

__all__ = ["nothing_counted"]
pytestmark = pytest.mark.usefixtures("nothing_counted")

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def refusals() -> list[tuple[Any, ...]]:
    return sql(
        "SELECT day::text, user_id, feature, plan, refusals, last_at FROM feature_usage_refusals"
        " ORDER BY user_id, day, feature, plan"
    )


def add(counter: RefusalCounter, user: int = 1, *, at: datetime = NOON, **given: str) -> None:
    counter.count(**({"feature": "api_access", "plan": "PRO"} | given), user_id=user, now=at)


@pytest.fixture
def counter() -> RefusalCounter:
    """One that writes when it is told to."""
    return RefusalCounter(pause=None)


@pytest.fixture
def counted(counter: RefusalCounter, settings: Settings, monkeypatch: Any) -> RefusalCounter:
    """That of the process."""
    settings.SENTINEL_COUNT_REFUSALS = True
    monkeypatch.setattr(counting, "_counter", counter)
    return counter


@feature_required("api_access")
def ask(*, user_id: int) -> None:
    """What only ENTERPRISE has."""


# ----------------------------------------------------------------------------------- what counts


def test_a_gate_and_a_service_count_what_they_refuse(counted: RefusalCounter) -> None:
    ada, bob = user_of("PRO"), user_of("BUSINESS")
    for _ in range(2):
        with pytest.raises(FeatureDeniedError):
            ask(user_id=ada)
    with pytest.raises(FeatureDeniedError):
        require_use(user_id=bob, feature="custom_reports", now=NOON)
    assert counted.write() == 3
    assert [row[1:5] for row in refusals()] == [
        (ada, "api_access", "PRO", 2),
        (bob, "custom_reports", "BUSINESS", 1),
    ]
    assert refusals()[1][0] == "2026-03-10"


def test_what_is_admitted_counts_for_nothing(counted: RefusalCounter) -> None:
    ask(user_id=user_of("ENTERPRISE"))
    assert counted.write() == 0


def test_who_would_be_refused_in_shadow_mode_was_not(
    counted: RefusalCounter, settings: Settings
) -> None:
    settings.SENTINEL_GATES_SHADOW = True
    ask(user_id=user_of("PRO"))
    assert counted.write() == 0


def test_a_refusal_writes_nothing_by_itself(
    counted: RefusalCounter, django_assert_num_queries: Any
) -> None:
    ada = user_of("PRO")
    with django_assert_num_queries(1), pytest.raises(FeatureDeniedError):
        ask(user_id=ada)


def test_nothing_is_counted_where_the_setting_says_so(
    counted: RefusalCounter, settings: Settings
) -> None:
    settings.SENTINEL_COUNT_REFUSALS = False
    with pytest.raises(FeatureDeniedError):
        ask(user_id=user_of("PRO"))
    assert counted.write() == 0


# -------------------------------------------------------------------------------------- counting


def test_refusals_add_up_by_day_in_utc_feature_and_plan(counter: RefusalCounter) -> None:
    late = datetime(2026, 3, 10, 23, 59, tzinfo=UTC)
    for at in (NOON, late, late + timedelta(minutes=1)):
        add(counter, at=at)
    add(counter, feature="custom_reports")
    add(counter, plan="FREE")
    assert counter.write() == 5
    assert refusals() == [
        ("2026-03-10", 1, "api_access", "FREE", 1, NOON),
        ("2026-03-10", 1, "api_access", "PRO", 2, late),
        ("2026-03-10", 1, "custom_reports", "PRO", 1, NOON),
        ("2026-03-11", 1, "api_access", "PRO", 1, late + timedelta(minutes=1)),
    ]


def test_a_later_write_adds_to_what_is_there_and_keeps_the_last_moment(
    counter: RefusalCounter,
) -> None:
    add(counter)
    counter.write()
    add(counter, at=NOON - timedelta(hours=1))
    counter.write()
    assert refusals() == [("2026-03-10", 1, "api_access", "PRO", 2, NOON)]
    assert counter.write() == 0


def test_threads_that_count_at_once_lose_nothing(counter: RefusalCounter) -> None:
    def refuse() -> None:
        for number in range(200):
            add(counter, user=number % 7)

    threads = [threading.Thread(target=refuse) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.write() == 1_600
    assert sum(row[4] for row in refusals()) == 1_600


def test_memory_is_bounded_and_what_is_beyond_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counter = RefusalCounter(pause=None, most_keys=3)
    for user in (1, 2, 3, 4, 4, 1):
        add(counter, user=user)
    with caplog.at_level(logging.WARNING, logger="usage.gating.counting"):
        assert counter.write() == 4
    assert [record.refusals for record in caplog.records] == [2]  # type: ignore[attr-defined]  # extra


def test_a_forked_process_begins_with_nothing(counter: RefusalCounter) -> None:
    add(counter)
    counter.forget()
    assert counter.write() == 0


# --------------------------------------------------------------------------------------- failing


def test_what_cannot_be_written_waits_for_the_next_time(
    counter: RefusalCounter, caplog: pytest.LogCaptureFixture
) -> None:
    sql("ALTER TABLE feature_usage_refusals RENAME TO away")
    add(counter)
    with caplog.at_level(logging.WARNING, logger="usage.gating.counting"):
        assert counter.write() == 0
    assert [record.message for record in caplog.records] == ["Failed to write refusals"]
    sql("ALTER TABLE away RENAME TO feature_usage_refusals")
    add(counter)
    assert counter.write() == 2
    assert refusals() == [("2026-03-10", 1, "api_access", "PRO", 2, NOON)]


def test_a_thread_that_cannot_be_had_fails_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Timer, "start", fail)
    counter = RefusalCounter(pause=60)
    add(counter)
    assert counter.write() == 1

"""The first day after a deployment: a line each time, and a summary at the end."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command

from sentinel.deployment.management.commands import verify_deployment
from sentinel.deployment.monitoring import (
    Reading,
    summarise_readings,
    watch_deployment,
)
from tests.deployments import thread
from tests.rows import execute

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Clock:
    """Stands still but while somebody sleeps, or works."""

    def __init__(self, *, work: timedelta = timedelta(0)) -> None:
        self.now = START
        self.work = work
        self.slept: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)
        self.meanwhile()


def watch(clock: Clock, *, minutes: int) -> list[Reading]:
    readings = []
    for reading in watch_deployment(
        every=MINUTE, duration=minutes * MINUTE, clock=clock, sleep=clock.sleep
    ):
        readings.append(reading)
        clock.now += clock.work
    return readings


@pytest.mark.django_db
def test_a_reading_is_taken_at_once_and_at_each_interval() -> None:
    readings = watch(Clock(), minutes=3)
    assert [reading.at - START for reading in readings] == [n * MINUTE for n in range(4)]
    assert all(reading.exact for reading in readings)


@pytest.mark.django_db
def test_an_audit_that_takes_its_time_does_not_shift_the_next_one() -> None:
    readings = watch(Clock(work=timedelta(seconds=20)), minutes=3)
    assert [reading.at - START for reading in readings] == [n * MINUTE for n in range(4)]


@pytest.mark.django_db
def test_an_audit_that_takes_longer_than_the_interval_is_followed_by_the_next_at_once() -> None:
    clock = Clock(work=timedelta(seconds=90))
    readings = watch(clock, minutes=3)
    assert [reading.at - START for reading in readings] == [n * 1.5 * MINUTE for n in range(3)]
    assert set(clock.slept) == {0.0}


@pytest.mark.django_db
def test_drift_that_appears_is_seen_and_summed_up() -> None:
    thread(2)
    clock = Clock()

    def spoil() -> None:
        execute("SET LOCAL session_replication_role = replica")
        execute("DELETE FROM chat_messages")
        execute("SET LOCAL session_replication_role = origin")

    clock.meanwhile = spoil
    first, *others = watch(clock, minutes=2)
    assert first.exact
    assert [other.drift["chat_threads.thread_messages_count"] for other in others] == [1, 1]
    summary = summarise_readings([first, *others])
    assert (summary.readings, summary.in_drift, summary.worst) == (3, 2, 1)
    assert not summary.ok


@pytest.mark.django_db
def test_a_trigger_that_is_switched_off_meanwhile_is_seen() -> None:
    clock = Clock()
    clock.meanwhile = lambda: execute("ALTER TABLE chat_messages DISABLE TRIGGER USER")
    first, second = watch(clock, minutes=1)
    assert first.exact
    assert set(second.problems) == {"counters.trigger_disabled"}


@pytest.mark.django_db
def test_usage_that_grows_is_seen() -> None:
    [(user,)] = execute(
        "INSERT INTO users (email, password_hash) VALUES ('ada@example.org', '') RETURNING id"
    )
    clock = Clock()
    clock.meanwhile = lambda: execute(f"SELECT increment_feature_usage_safe({user}, 'map', 5)")
    readings = watch(clock, minutes=2)
    assert [reading.uses for reading in readings] == [0, 5, 10]
    assert summarise_readings(readings).uses_added == 10


def reading(**values: Any) -> Reading:
    return Reading(**{"at": START, **values})


def test_a_reading_that_could_not_be_taken_is_no_exact_one() -> None:
    summary = summarise_readings([reading(uses=3), reading(error="gone"), reading(uses=4)])
    assert (summary.readings, summary.errors, summary.in_drift, summary.uses_added) == (3, 1, 0, 1)
    assert not summary.ok


def test_of_no_reading_at_all_there_is_a_summary_too() -> None:
    assert summarise_readings([]).readings == 0


@pytest.mark.django_db
def test_a_reading_that_cannot_be_taken_says_why_and_the_next_one_is_tried() -> None:
    clock = Clock()
    renames = iter(("chat_threads RENAME TO elsewhere", "elsewhere RENAME TO chat_threads"))
    clock.meanwhile = lambda: execute(f"ALTER TABLE {next(renames)}")
    first, second, third = watch(clock, minutes=2)
    assert first.exact
    assert second.error == 'relation "public.chat_threads" does not exist'
    assert not second.exact
    assert third.exact


@pytest.mark.django_db
@pytest.mark.parametrize("form", ["table", "json"])
def test_ctrl_c_ends_it_with_a_summary(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(verify_deployment, "sleep", interrupt)
    out, errors = StringIO(), StringIO()
    call_command("verify_deployment", "--watch=60", f"--format={form}", stdout=out, stderr=errors)
    first, *_, last = out.getvalue().strip().splitlines()
    if form == "json":
        assert json.loads(first)["drift"]["chat_threads.thread_messages_count"] == 0
        assert json.loads(last)["summary"]["readings"] == 1
    else:
        assert "UTC  0 rows: exact; usage this month" in first
        assert last.startswith("1 readings in 0:00:00")
    assert errors.getvalue() == "interrupted.\n"

"""Refusals are written beside others who write, by a thread of their own, and before the end."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from tests.concurrency.writers import connect
from tests.rows import execute
from tests.scratch import PROJECT, SERVER, ScratchDatabase
from usage.gating.counting import RefusalCounter

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
COUNTED = "SELECT coalesce(sum(refusals), 0)::integer FROM feature_usage_refusals"
IN_A_PROCESS = """
import django; django.setup()
from datetime import UTC, datetime
from usage.gating.counting import count_refusal
count_refusal(user_id=1, feature="api_access", plan="PRO", now=datetime.now(UTC))
"""


@pytest.fixture(autouse=True)
def refusals(committed: None) -> Iterator[None]:
    execute("TRUNCATE feature_usage_refusals")
    yield
    execute("TRUNCATE feature_usage_refusals")


def add(counter: RefusalCounter, user: int) -> None:
    counter.count(user_id=user, feature="api_access", plan="PRO", now=NOON)


def test_two_who_write_the_same_users_at_once_lose_nothing() -> None:
    counters = [RefusalCounter(pause=None) for _ in range(4)]
    for number, counter in enumerate(counters):
        for user in range(200) if number % 2 else range(199, -1, -1):
            add(counter, user)

    def write(counter: RefusalCounter) -> None:
        assert counter.write() == 200
        connection.close()

    threads = [threading.Thread(target=write, args=(counter,)) for counter in counters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert execute(COUNTED) == [(800,)]


def writing_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "refusals"]


def test_a_flood_of_refusals_is_one_thread_and_one_write() -> None:
    counter = RefusalCounter(pause=600)
    for _ in range(10_000):
        add(counter, 1)
    [thread] = writing_threads()
    assert counter.write() == 10_000
    assert execute("SELECT count(*), sum(refusals) FROM feature_usage_refusals") == [(1, 10_000)]
    thread.join(timeout=30)
    assert not thread.is_alive(), "what is written already needs no thread"


def test_a_refusal_is_written_by_itself_and_so_is_the_next() -> None:
    counter = RefusalCounter(pause=0.01)
    for number in (1, 2):
        add(counter, 1)
        for thread in writing_threads():
            thread.join(timeout=30)
        assert execute(COUNTED) == [(number,)]
    assert writing_threads() == []


def test_a_write_waits_for_nobody_s_row_for_long_and_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("usage.gating.counting.PATIENCE", "20ms")
    counter = RefusalCounter(pause=None)
    add(counter, 1)
    assert counter.write() == 1
    add(counter, 1)
    with connect() as other, other.transaction():
        other.execute("SELECT FROM feature_usage_refusals FOR UPDATE")
        assert counter.write() == 0
    assert counter.write() == 1
    assert execute(COUNTED) == [(2,)]


def test_a_process_that_ends_writes_what_it_has_refused() -> None:
    parameters = connection.get_connection_params()
    database = ScratchDatabase(
        name=parameters["dbname"],
        server={key: parameters[key] for key in SERVER if parameters.get(key)},
    )
    done = subprocess.run(  # noqa: S603 (our own code)
        [sys.executable, "-c", IN_A_PROCESS],
        cwd=PROJECT,
        env=database.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert execute(COUNTED) == [(1,)]

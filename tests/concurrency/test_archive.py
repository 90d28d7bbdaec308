"""Old months leave the ledger while others write, are killed, and come late: nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentinel.progress import Progress
from tests.archiving import (
    BEFORE,
    TABLES,
    TOTALS,
    archive,
    assert_exact,
    live_months,
    run_archive,
    use,
    use_for_a_year,
)
from tests.concurrency.test_repair import wait_for_waiting
from tests.concurrency.test_repair_killed import wait_until_nobody_repairs
from tests.concurrency.writers import connect
from tests.rows import execute, new_user
from tests.scratch import PROJECT, SERVER, ScratchDatabase
from usage.archiving.archive import preview_archive
from usage.archiving.run import ArchiveError, ArchiveRunningError, lock_archive

__all__ = ["archive"]
pytestmark = pytest.mark.usefixtures("archive")

STATES = "SELECT state, rows_moved, events_moved FROM feature_usage_archive_runs ORDER BY id"
STAYING = ["2020-03", "2020-04", "2020-05", "2020-06", "2020-07", "2020-08", "2020-09"]


class Stopping(Progress):
    """Ends the run after so many batches, as Ctrl-C does."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self._left = batches

    def advance(self, number: int, *, position: float | None = None) -> None:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt


def test_old_months_move_and_the_others_stay() -> None:
    use_for_a_year()
    before = execute(TOTALS)
    assert [(month.rows, month.uses) for month in preview_archive(before=BEFORE)] == [(6, 12)] * 5
    report = run_archive(batch_size=4)
    assert (report.rows, report.events, report.batches) == (30, 60, 10)
    assert [month.rows for month in report.months] == [6] * 5
    assert live_months() == STAYING
    assert execute(TOTALS) == before
    assert execute(STATES) == [("complete", 30, 60)]
    assert_exact()


def test_a_second_run_finds_nothing_and_is_kept_as_well() -> None:
    use_for_a_year()
    run_archive()
    report = run_archive()
    assert (report.rows, report.months) == (0, ())
    assert execute(STATES) == [("complete", 30, 60), ("complete", 0, 0)]


def test_a_run_that_is_interrupted_leaves_whole_batches_and_the_next_does_the_rest() -> None:
    use_for_a_year()
    before = execute(TOTALS)
    with pytest.raises(KeyboardInterrupt):
        run_archive(batch_size=4, progress=Stopping(3))
    assert execute(STATES) == [("failed", 12, 24)]
    assert execute(TOTALS) == before
    assert_exact()
    assert run_archive().rows == 18
    assert execute(TOTALS) == before


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    uses=st.lists(
        st.tuples(
            st.integers(0, 2),  # user
            st.sampled_from(["2019-12-31", "2020-01-01", "2020-02-29", "2020-03-01", "2020-09-15"]),
            st.sampled_from(["map_export", "api_access"]),
            st.sampled_from([1, 1, 7, 2_000_000]),
        ),
        max_size=25,
    ),
    late=st.integers(0, 25),
    batch_size=st.integers(1, 5),
    stop_after=st.integers(0, 6),
)
def test_what_is_live_and_archived_sums_up_to_what_was_there_whenever_a_run_is_stopped(
    uses: list[tuple[int, str, str, int]], late: int, batch_size: int, stop_after: int
) -> None:
    execute(f"TRUNCATE {TABLES}")
    users = [new_user() for _ in range(3)]

    def do(chosen: list[tuple[int, str, str, int]]) -> None:
        for user, day, feature, quantity in chosen:
            use(users[user], day, feature=feature, quantity=quantity)

    do(uses[late:])
    before = execute(TOTALS)
    with suppress(KeyboardInterrupt):
        run_archive(batch_size=batch_size, progress=Stopping(stop_after))
    assert execute(TOTALS) == before
    do(uses[:late])
    before = execute(TOTALS)
    run_archive(batch_size=batch_size)
    assert execute(TOTALS) == before
    assert set(live_months()) <= {"2020-03", "2020-09"}
    assert_exact()


def test_a_late_event_is_taken_and_joins_the_archive_with_the_next_run() -> None:
    user = new_user()
    use(user, "2020-01-15", quantity=3)
    run_archive()
    use(user, "2020-01-20", quantity=2)
    assert live_months() == ["2020-01"]
    assert_exact()
    assert run_archive().rows == 1
    assert execute("SELECT usage_count FROM feature_usage_archive") == [(5,)]
    assert execute("SELECT count(*) FROM feature_usage_events_archive") == [(2,)]


def waiting_archive(pool: ThreadPoolExecutor, other: psycopg.Connection[Any]) -> Any:
    """A run in another thread, which waits for what this connection holds."""

    def work() -> Any:
        try:
            return run_archive()
        finally:
            connection.close()

    running = pool.submit(work)
    wait_for_waiting(other)
    return running


def test_an_event_that_is_appended_while_a_run_waits_for_its_month_is_archived_too() -> None:
    user = new_user()
    use(user, "2020-01-15")
    with connect() as other, ThreadPoolExecutor(1) as pool:
        with other.transaction():
            other.execute(
                "INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
                " VALUES (%s, 'map_export', '2020-01-16')",
                [user],
            )
            running = waiting_archive(pool, other)
        assert running.result().events == 2
    assert execute("SELECT usage_count FROM feature_usage_archive") == [(2,)]
    assert_exact()


def test_an_event_that_waits_for_a_batch_makes_its_month_anew() -> None:
    user = new_user()
    use(user, "2020-01-15")
    before = execute("SELECT begin_usage_archive('2020-03-01', NULL, NULL)")
    with connect() as other, ThreadPoolExecutor(1) as pool:

        def append() -> None:
            try:
                use(user, "2020-01-16")
            finally:
                connection.close()

        with other.transaction():
            other.execute(
                "SELECT archive_usage_batch(%s, '2020-03-01', array_agg(id)) FROM feature_usage",
                [before[0][0]],
            )
            appending = pool.submit(append)
            wait_for_waiting(other)
        appending.result()
    assert execute("SELECT usage_count FROM feature_usage") == [(1,)]
    assert execute("SELECT usage_count FROM feature_usage_archive") == [(1,)]
    assert_exact()


def test_who_writes_to_live_months_is_neither_stopped_nor_miscounted() -> None:
    users = use_for_a_year()
    before = execute("SELECT sum(quantity) FROM feature_usage_events")[0][0]

    def write(user: int) -> None:
        try:
            for _ in range(30):
                use(user, "2020-09-15")
                use(user, "2020-02-15")  # late
        finally:
            connection.close()

    with ThreadPoolExecutor(len(users)) as pool:
        writing = [pool.submit(write, user) for user in users]
        while not all(one.done() for one in writing):
            run_archive(batch_size=2)
        for one in writing:
            one.result()
    run_archive()
    assert live_months() == STAYING
    assert sum(row[4] for row in execute(TOTALS)) == before + len(users) * 60
    assert_exact()


def test_a_row_that_stays_locked_fails_the_run_and_is_archived_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("usage.archiving.archive.BATCH_FIRST_PAUSE", 0)
    monkeypatch.setattr("usage.archiving.archive.LOCK_TIMEOUT", "20ms")
    use(new_user(), "2020-01-15")
    with connect() as other, other.transaction():
        other.execute("SELECT FROM feature_usage FOR UPDATE")
        with pytest.raises(ArchiveError, match="2020-01 stayed locked by others"):
            run_archive()
    assert execute("SELECT state, error FROM feature_usage_archive_runs")[0][0] == "failed"
    assert run_archive().rows == 1


def test_a_second_run_at_once_says_so() -> None:
    with lock_archive(), pytest.raises(ArchiveRunningError, match="by somebody else"):
        run_archive()
    with (
        connect() as other,
        lock_archive(),
        pytest.raises(psycopg.errors.ObjectInUse, match="another run of the archive is at work"),
    ):
        other.execute("SELECT archive_old_feature_usage()")


@pytest.mark.parametrize(
    "stop", ["INSERT ON feature_usage_events_archive", "DELETE ON feature_usage"]
)
def test_a_run_that_is_killed_within_a_batch_leaves_whole_batches(stop: str) -> None:
    use_for_a_year(users=1)
    before = execute(TOTALS)
    execute(
        "CREATE FUNCTION wait_for_the_test() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN coalesce(NEW, OLD); END'"
    )
    row = "OLD" if stop.startswith("DELETE") else "NEW"
    execute(
        f"CREATE TRIGGER waiting BEFORE {stop} FOR EACH ROW"
        f" WHEN ({row}.period_start = '2019-12-01') EXECUTE FUNCTION wait_for_the_test()"
    )
    try:
        with connect() as other, other.transaction():
            other.execute("SELECT pg_advisory_xact_lock(4711)")
            with started_command() as process:
                wait_for_waiting(other)
                process.kill()
                process.wait()
    finally:
        execute("DROP FUNCTION wait_for_the_test CASCADE")
    wait_until_nobody_repairs()
    assert execute(STATES) == [("running", 4, 8)]
    assert execute(TOTALS) == before
    assert run_archive().rows == 6
    assert execute(STATES) == [("killed", 4, 8), ("complete", 6, 12)]
    assert execute(TOTALS) == before
    assert_exact()


def started_command() -> subprocess.Popen[bytes]:
    parameters = connection.get_connection_params()
    database = ScratchDatabase(
        name=parameters["dbname"],
        server={key: parameters[key] for key in SERVER if parameters.get(key)},
    )
    command = [sys.executable, "manage.py", "archive_feature_usage", "--before", str(BEFORE)]
    return subprocess.Popen(  # noqa: S603 (our own command)
        [*command, "--batch-size", "2"],
        cwd=PROJECT,
        env=database.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_a_deleted_account_leaves_its_archived_figures() -> None:
    user = new_user()
    use(user, "2020-01-15", quantity=3)
    use(user, "2020-09-15")
    run_archive()
    execute(f"DELETE FROM users WHERE id = {user}")
    assert live_months() == []
    assert execute("SELECT user_id, usage_count FROM feature_usage_archive") == [(user, 3)]

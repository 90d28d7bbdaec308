"""What is kept of audits and repairs, how long, and who sees it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from psycopg.sql import Identifier, Literal

from sentinel.accounts.models import User
from sentinel.configuration import ConfigurationError, read_configuration
from sentinel.counters import (
    RecordingError,
    Selection,
    SelectionError,
    audit_counters,
    declared_counters,
    find_counters,
    record_audits,
    recording,
    repair_counters,
)
from tests.rows import execute, insert, new_user

if TYPE_CHECKING:
    from django.test import Client

THREADS = "chat_threads.thread_messages_count"
NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.get_default_timezone())

pytestmark = pytest.mark.django_db


def audit(*arguments: str) -> tuple[int, str]:
    """Run the command, and return its exit code and what went to stderr."""
    errors = StringIO()
    try:
        call_command("audit_counters", *arguments, stdout=StringIO(), stderr=errors)
    except SystemExit as end:
        return int(end.code or 0), errors.getvalue()
    return 0, errors.getvalue()


def audited() -> list[Any]:
    return [counter for (counter,) in execute("SELECT counter FROM counter_audits ORDER BY id")]


# ------------------------------------------------------------------------------------------ audits


def test_an_audit_is_kept_one_row_a_counter() -> None:
    assert audit() == (0, "")
    assert audited() == [counter.name for counter in declared_counters()]


def test_an_audit_is_kept_with_what_it_found() -> None:
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    [(name,)] = execute("SELECT tgname FROM pg_trigger WHERE tgname LIKE '%messages_count_on_del%'")
    execute("ALTER TABLE chat_messages DISABLE TRIGGER {name}", name=Identifier(name))
    record_audits(list(audit_counters(find_counters([THREADS]))), now=NOW)
    [(at, exact, problems, *figures)] = execute(
        "SELECT audited_at, exact, problems, rows_checked, rows_in_drift, largest_drift,"
        " summed_drift, seconds > 0 FROM counter_audits"
    )
    assert (at, exact, figures) == (NOW, False, [0, 0, 0, 0, True])
    assert "counters.trigger_disabled" in {problem["id"] for problem in json.loads(problems)}


def test_an_audit_that_is_not_to_be_kept_leaves_nothing() -> None:
    assert audit("--no-record") == (0, "")
    assert audited() == []


@pytest.mark.parametrize(
    ("obstacle", "reason"),
    [
        ("DROP TABLE counter_audits", "does not exist"),
        (
            "CREATE ROLE sentinel_reader; GRANT SELECT ON ALL TABLES IN SCHEMA public TO"
            " sentinel_reader; SET LOCAL ROLE sentinel_reader",
            "permission denied for table counter_audits",
        ),
        ("SET LOCAL transaction_read_only = on", "read-only transaction"),
    ],
)
def test_an_audit_that_cannot_be_kept_warns_in_one_line_and_holds_all_the_same(
    obstacle: str, reason: str
) -> None:
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute(obstacle)
    code, errors = audit()
    assert code == 0
    assert errors.startswith("warning: the audit was not recorded: ")
    assert reason in errors
    assert "--no-record" in errors
    assert errors.count("\n") == 1


def test_a_table_that_somebody_alters_is_not_waited_for_for_long() -> None:
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE counter_audits")
        with pytest.raises(RecordingError, match="lock timeout"):
            record_audits([], now=NOW)
    finally:
        other.close()


# --------------------------------------------------------------------------------------- retention


def add_audits(number: int, *, at: datetime) -> None:
    execute(
        "INSERT INTO counter_audits (counter, audited_at, exact, rows_checked, rows_in_drift,"
        " largest_drift, summed_drift, problems, seconds)"
        " SELECT {name}, {at}, true, 0, 0, 0, 0, '[]', 0 FROM generate_series(1, {number})",
        name=Literal("old"),
        at=Literal(at),
        number=Literal(number),
    )


def add_run(*, at: datetime, repairs: int = 0, ended: bool = True) -> int:
    [(run,)] = execute(
        "INSERT INTO counter_repair_runs (outcome, started_at, ended_at, counters, database_user,"
        " host, process, backend, batches, rows_repaired, rows_skipped, rows_left)"
        " VALUES ({outcome}, {at}, {ended_at}, '[]', '', 'db-7', 4711, 8123, 0, 0, 0, 0)"
        " RETURNING id",
        outcome=Literal("complete" if ended else "running"),
        at=Literal(at),
        ended_at=Literal(at if ended else None),
    )
    execute(
        "INSERT INTO counter_repairs (run_id, counter, key, before, after, repaired_at)"
        " SELECT {run}, 'a.b', to_jsonb(n), '{{}}', '{{}}', {at} FROM generate_series(1, {n}) AS n",
        run=Literal(run),
        at=Literal(at),
        n=Literal(repairs),
    )
    return int(run)


def forget(days: int | None = None) -> None:
    with connection.cursor() as cursor:
        recording.forget_old_records(cursor, now=NOW, days=days)


def counts() -> list[tuple[int, ...]]:
    return execute(
        "SELECT (SELECT count(*) FROM counter_audits), (SELECT count(*) FROM counter_repairs),"
        " (SELECT count(*) FROM counter_repair_runs)"
    )


@pytest.mark.parametrize(("days", "left"), [(30, (1, 2, 1)), (10, (0, 0, 0)), (0, (3, 5, 2))])
def test_records_that_are_older_than_the_retention_are_forgotten(
    days: int, left: tuple[int, int, int]
) -> None:
    add_audits(2, at=NOW - timedelta(days=31))
    add_audits(1, at=NOW - timedelta(days=29))
    add_run(at=NOW - timedelta(days=31), repairs=3)
    add_run(at=NOW - timedelta(days=29), repairs=2)
    forget(days)
    assert counts() == [left]


def test_the_setting_says_how_long_they_are_kept(settings: Any) -> None:
    add_audits(1, at=NOW - timedelta(days=3))
    settings.SENTINEL_RECORD_RETENTION_DAYS = 4
    forget()
    assert counts() == [(1, 0, 0)]
    settings.SENTINEL_RECORD_RETENTION_DAYS = 2
    forget()
    assert counts() == [(0, 0, 0)]


@pytest.mark.parametrize("days", ["-1", "many", "1000000000"])
def test_a_retention_that_is_no_number_of_days_is_refused(
    monkeypatch: pytest.MonkeyPatch, days: str
) -> None:
    monkeypatch.setenv("SENTINEL_RECORD_RETENTION_DAYS", days)
    with pytest.raises(ConfigurationError, match="SENTINEL_RECORD_RETENTION_DAYS"):
        read_configuration()


def test_an_audit_and_a_repair_forget_what_is_old() -> None:
    for leave in (lambda: record_audits([], now=NOW), lambda: repair_counters([], now=NOW)):
        add_audits(1, at=NOW - timedelta(days=1000))
        leave()
        assert audited() == []


def test_a_bounded_number_is_forgotten_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "FORGOTTEN_AT_ONCE", 2)
    add_audits(3, at=NOW - timedelta(days=1000))
    forget()
    assert counts() == [(1, 0, 0)]


# -------------------------------------------------------------------------------------------- runs


def test_a_run_that_was_killed_is_found_by_the_next() -> None:
    killed = add_run(at=timezone.now() - timedelta(hours=1), ended=False)
    report = repair_counters([], now=timezone.now())
    assert execute(
        "SELECT id, outcome, ended_at IS NOT NULL FROM counter_repair_runs ORDER BY id"
    ) == [(killed, "broken", True), (report.run, "complete", True)]


def test_a_run_that_fails_is_kept_as_broken() -> None:
    insert("chat_threads", {"user_id": new_user(), "title": "Lisbon in May"}, returning="id")
    selections = [Selection(counter=counter, keys=("x",)) for counter in find_counters([THREADS])]
    with pytest.raises(SelectionError, match="invalid input syntax"):
        repair_counters(selections, now=timezone.now())
    assert execute("SELECT outcome FROM counter_repair_runs") == [("broken",)]


# ------------------------------------------------------------------------------------------- admin


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada@example.org", "secret"))
    return client


@pytest.mark.parametrize("page", ["counteraudit", "counterrepair", "counterrepairrun"])
def test_the_admin_lists_records_in_as_many_queries_however_many_there_are(
    admin: Client, page: str
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin.get(f"/admin/counters/{page}/").status_code == 200
        return len(captured)

    queries()  # what is cached afterwards
    add_audits(1, at=NOW)
    add_run(at=NOW, repairs=1)
    one = queries()
    for _ in range(5):
        add_audits(1, at=NOW)
        add_run(at=NOW, repairs=3)
    assert queries() == one


@pytest.mark.parametrize("page", ["counteraudit", "counterrepair"])
def test_the_admin_filters_by_counter(admin: Client, page: str) -> None:
    add_audits(1, at=NOW)
    add_run(at=NOW, repairs=1)
    answer = admin.get(f"/admin/counters/{page}/", {"counter": THREADS})
    assert answer.context["cl"].result_count == 0


@pytest.mark.parametrize("page", ["counteraudit", "counterrepair", "counterrepairrun"])
def test_nobody_adds_changes_or_deletes_a_record_in_the_admin(admin: Client, page: str) -> None:
    add_audits(1, at=NOW)
    add_run(at=NOW, repairs=1)
    table = {"counteraudit": "counter_audits", "counterrepair": "counter_repairs"}
    [(key,)] = execute(f'SELECT id FROM "{table.get(page, "counter_repair_runs")}"')
    base = f"/admin/counters/{page}/"
    assert admin.get(f"{base}{key}/change/").status_code == 200
    assert b'name="_save"' not in admin.get(f"{base}{key}/change/").content
    assert admin.post(f"{base}{key}/change/", {}).status_code == 403
    assert admin.post(f"{base}{key}/delete/", {"post": "yes"}).status_code == 403
    assert admin.get(f"{base}add/").status_code == 403
    assert counts() == [(1, 1, 1)]

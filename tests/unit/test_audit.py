"""The audit finds what is wrong, says how much and where, and changes nothing."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from psycopg.sql import Identifier

from sentinel.counters import Drift, audit_counter, audit_counters, declared_counters
from tests.rows import Rows, execute, insert, new_user
from tests.unit.test_guard import drift

THREADS = "chat_threads.thread_messages_count"


def run(*arguments: str) -> tuple[int, str]:
    """Run the command, and return its exit code and what it printed."""
    out = StringIO()
    try:
        call_command("audit_counters", *arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_exact_counters_are_reported_as_exact(rows: Rows) -> None:
    rows.children(rows.parent(), 3)
    report = audit_counter(rows.counter)
    assert report.exact
    assert (report.rows_checked, report.rows_in_drift, report.sample) == (1, 0, ())
    assert report.seconds > 0


@pytest.mark.parametrize(("wrong", "size"), [(5, 2), (1, 2), (-1, 4)])
def test_a_wrong_counter_is_reported_with_key_stored_and_actual(
    rows: Rows, wrong: int, size: int
) -> None:
    parent, right = rows.parent(), rows.parent()
    rows.children(parent, 3)
    rows.children(right, 2)
    drift(rows, parent, counter=wrong, mirrors=3)
    report = audit_counter(rows.counter)
    assert report.sample == (
        Drift(
            counter=rows.counter.name,
            key=parent,
            stored=wrong,
            actual=3,
            mirrors=dict.fromkeys(rows.counter.mirrors, 3),
        ),
    )
    assert (report.rows_checked, report.rows_in_drift) == (2, 1)
    assert (report.largest_drift, report.summed_drift) == (size, size)
    assert not report.exact


@pytest.mark.parametrize(("wrong", "size"), [(4, 1), (None, 3)])
def test_a_mirror_that_differs_is_drift_too(
    mirrored_rows: Rows, wrong: int | None, size: int
) -> None:
    rows = mirrored_rows
    parent = rows.parent()
    rows.children(parent, 3)
    drift(rows, parent, counter=3, mirrors=wrong)
    report = audit_counter(rows.counter)
    assert (report.rows_in_drift, report.largest_drift) == (1, size)
    assert report.sample[0].mirrors == dict.fromkeys(rows.counter.mirrors, wrong)


@pytest.mark.django_db
def test_a_derived_counter_that_is_wrong_is_reported() -> None:
    key = insert(
        "travel_itineraries",
        {"user_id": new_user(), "data": {"waypoints": [1, 2]}},
        returning="id",
    )
    execute("SET LOCAL session_replication_role = replica")
    execute("UPDATE travel_itineraries SET destinations_count = 9")
    execute("SET LOCAL session_replication_role = origin")
    [counter] = [c for c in declared_counters() if c.column == "destinations_count"]
    report = audit_counter(counter)
    assert report.sample == (Drift(counter=counter.name, key=key, stored=9, actual=2),)


def test_the_sample_holds_the_largest_drifts_first_and_no_more_than_asked(rows: Rows) -> None:
    parents = [rows.parent() for _ in range(4)]
    for number, parent in enumerate(parents):
        drift(rows, parent, counter=number, mirrors=number)
    report = audit_counter(rows.counter, sample=2)
    assert [found.stored for found in report.sample] == [3, 2]
    assert (report.rows_in_drift, report.summed_drift) == (3, 6)
    assert audit_counter(rows.counter, sample=0).rows_in_drift == 3


@pytest.mark.django_db
def test_the_audit_cannot_write() -> None:
    with connection.cursor() as cursor:
        seen = []

        def watch(execute, sql, params, many, context):
            seen.append(sql)
            return execute(sql, params, many, context)

        with connection.execute_wrapper(watch):
            list(audit_counters(declared_counters()))
        assert "SET TRANSACTION READ ONLY" in seen
        cursor.execute("SHOW transaction_read_only")
        assert cursor.fetchone() == ("off",), "the caller's transaction was made read-only"


def test_a_role_that_may_only_read_can_audit(rows: Rows) -> None:
    rows.child(rows.parent())
    rows.sql("SET CONSTRAINTS ALL IMMEDIATE")
    rows.sql("CREATE ROLE sentinel_reporter")
    rows.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO sentinel_reporter")
    rows.sql("SET LOCAL ROLE sentinel_reporter")
    assert audit_counter(rows.counter).exact


def test_children_without_a_parent_are_not_missed_by_anyone(rows: Rows) -> None:
    """A foreign key that may be NULL: such a child belongs to no count."""
    field = next(
        f for f in rows.counter.child._meta.concrete_fields if f.column == rows.counter.foreign_key
    )
    parent = rows.parent()
    child = rows.child(parent)
    if field.null:
        rows.sql("UPDATE {child} SET {foreign_key} = NULL WHERE {id} = {it}", it=child)
        rows.child(None)
        rows.assert_counts({parent: 0})
        rows.sql("UPDATE {child} SET {foreign_key} = {it}", it=parent)
        rows.assert_counts({parent: 2})
    else:
        with pytest.raises(DatabaseError):
            rows.child(None)


# ---------------------------------------------------------------------------------- the command


@pytest.mark.django_db
def test_the_command_prints_a_line_for_each_counter_and_exits_0() -> None:
    code, printed = run()
    assert code == 0
    for counter in declared_counters():
        [line] = [line for line in printed.splitlines() if line.strip().startswith(counter.name)]
        assert line.split()[-1] == "exact"


@pytest.mark.django_db
def test_the_command_exits_1_and_names_the_row() -> None:
    values = {"id": 7_654_321, "user_id": new_user(), "title": "Bern"}
    thread = insert("chat_threads", values, returning="id")
    execute("SET LOCAL session_replication_role = replica")
    execute("UPDATE chat_threads SET thread_messages_count = 12345, message_count = NULL")
    execute("SET LOCAL session_replication_role = origin")
    code, printed = run()
    assert code == 1
    [line] = [line for line in printed.splitlines() if "12,345" in line and "NULL" in line]
    assert line.split() == [THREADS, str(thread), "12,345", "0", "message_count=NULL"]


@pytest.mark.django_db
def test_the_command_prints_json() -> None:
    code, printed = run("--format", "json", "--counter", THREADS)
    document = json.loads(printed)
    assert code == 0
    assert document["exact"] is True
    [counter] = document["counters"]
    assert counter["counter"] == THREADS
    assert counter.keys() >= {
        "rows_checked",
        "rows_in_drift",
        "largest_drift",
        "summed_drift",
        "seconds",
        "sample",
        "problems",
    }


def test_an_unknown_counter_is_one_line_with_the_names_there_are() -> None:
    with pytest.raises(CommandError) as error:
        run("--counter", "chat_threads.thread_message_count")
    assert error.value.returncode == 2
    message = str(error.value)
    assert "\n" not in message
    assert f"Did you mean {THREADS}?" in message
    assert all(counter.name in message for counter in declared_counters())


@pytest.mark.parametrize("sample", ["-1", "many", "1.5"])
def test_a_sample_that_is_no_number_is_refused(sample: str) -> None:
    with pytest.raises(CommandError, match="is not a whole number"):
        run("--sample", sample)


@pytest.mark.django_db
def test_a_counter_that_cannot_be_read_is_exit_code_2() -> None:
    execute("ALTER TABLE chat_threads RENAME COLUMN thread_messages_count TO hidden")
    with pytest.raises(CommandError) as error:
        run()
    assert error.value.returncode == 2
    assert "thread_messages_count" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.django_db
def test_a_trigger_problem_alone_is_exit_code_1() -> None:
    [(name,)] = execute(
        "SELECT tgname FROM pg_trigger WHERE tgname LIKE '%messages_count_on_delete%'"
    )
    execute("ALTER TABLE chat_messages DISABLE TRIGGER {name}", name=Identifier(name))
    code, printed = run()
    assert code == 1
    assert "counters.trigger_disabled" in printed
    assert name in printed

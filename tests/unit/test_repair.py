"""A repair makes right what is wrong, touches nothing else, and keeps what it did."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone
from psycopg.sql import SQL, Identifier

from sentinel.counters import (
    BoundCounter,
    ChildCount,
    RepairRunReport,
    RowValue,
    Selection,
    audit_counter,
    declared_counters,
    find_counters,
    find_problems,
    preview_repair,
    repair_batch,
    repair_counters,
)
from sentinel.retries import ATTEMPTS
from tests.examples import CHILD_EXAMPLES, ROW_EXAMPLES
from tests.rows import Rows, execute, insert, literal
from tests.unit.test_guard import drift

WRITERS = "The Writers' guild.Number of works"
ODD_KEYS = ["it's", '"quoted"', "%s {braces} %", r"back\slash", "[1]", " ", "тбилиси", "two\nlines"]


def repair(counter: BoundCounter, *, keys: Any = None, **options: Any) -> RepairRunReport:
    selection = Selection(counter=counter, keys=keys)
    return repair_counters([selection], now=timezone.now(), **options)


def records() -> list[tuple[Any, ...]]:
    rows = execute("SELECT counter, key, before, after FROM counter_repairs ORDER BY id")
    return [(counter, *map(json.loads, documents)) for counter, *documents in rows]


def drifting(rows: Rows, number: int) -> list[Any]:
    """Parents with one child each whose counters say 9."""
    parents = [rows.parent() for _ in range(number)]
    for parent in parents:
        rows.child(parent)
        drift(rows, parent, counter=9, mirrors=9)
    return parents


@pytest.mark.parametrize(("wrong", "mirrors"), [(9, 3), (-2, 3), (9, None), (0, 0)])
def test_a_wrong_counter_becomes_true(rows: Rows, wrong: int, mirrors: int | None) -> None:
    parent, right = rows.parent(), rows.parent()
    rows.children(parent, 3)
    rows.children(right, 2)
    drift(rows, parent, counter=wrong, mirrors=mirrors)
    report = repair(rows.counter)
    assert report.complete
    [repaired] = report.counters
    assert (repaired.rows_found, repaired.rows_repaired, repaired.rows_skipped) == (1, 1, 0)
    rows.assert_counts({parent: 3, right: 2})


@pytest.mark.parametrize("wrong", [7, None])
def test_a_mirror_that_alone_is_wrong_becomes_true(mirrored_rows: Rows, wrong: int | None) -> None:
    rows = mirrored_rows
    parent = rows.parent()
    rows.children(parent, 3)
    drift(rows, parent, counter=3, mirrors=wrong)
    assert repair(rows.counter).rows_repaired == 1
    rows.assert_counts({parent: 3})


def test_a_derived_value_becomes_true_and_nothing_else_changes(derived: RowValue) -> None:
    example = ROW_EXAMPLES[derived.name]
    document, value = example.values[0]
    table = derived.parent._meta.db_table
    key = insert(table, {**example.row, example.document: document}, returning=derived.key)
    whole = SQL("SELECT to_jsonb(t) FROM {} AS t").format(Identifier(table))
    before = execute(whole)
    execute("SET LOCAL session_replication_role = replica")
    execute("UPDATE {t} SET {c} = 99", t=Identifier(table), c=Identifier(derived.column))
    execute("SET LOCAL session_replication_role = origin")
    assert repair(derived).complete
    assert execute(whole) == before
    assert records() == [(derived.name, key, {derived.column: 99}, {derived.column: value})]


def test_what_a_row_was_and_what_it_is_now_are_kept(rows: Rows) -> None:
    parent = rows.parent()
    rows.children(parent, 3)
    drift(rows, parent, counter=9, mirrors=None)
    report = repair(rows.counter)
    before = {rows.counter.column: 9, **dict.fromkeys(rows.counter.mirrors)}
    after = dict.fromkeys(rows.counter.stored_columns, 3)
    assert records() == [(rows.counter.name, parent, before, after)]
    assert execute("SELECT DISTINCT run_id FROM counter_repairs") == [(report.run,)]


def test_a_row_that_is_right_is_not_written(rows: Rows) -> None:
    parents = drifting(rows, 3)
    right = rows.parent()
    place = "SELECT ctid::text FROM {parent} WHERE {key} = {it}"
    before = rows.sql(place, it=right)
    assert repair(rows.counter).rows_repaired == 3
    assert rows.sql(place, it=right) == before
    rows.assert_counts({**dict.fromkeys(parents, 1), right: 0})


def test_rows_are_repaired_in_batches_and_counted_with_the_run(rows: Rows) -> None:
    drifting(rows, 5)
    report = repair(rows.counter, batch_size=2)
    assert (report.batches, report.rows_repaired, report.complete) == (3, 5, True)
    assert execute(
        "SELECT outcome, batches, rows_repaired, ended_at IS NOT NULL FROM counter_repair_runs"
    ) == [("complete", 3, 5, True)]


def test_a_run_that_ends_early_leaves_whole_batches_and_the_next_does_the_rest(rows: Rows) -> None:
    parents = drifting(rows, 5)
    report = repair(rows.counter, batch_size=2, max_batches=1)
    assert (report.rows_repaired, report.counters[0].rows_left, report.complete) == (2, 3, False)
    assert audit_counter(rows.counter).rows_in_drift == 3
    assert repair(rows.counter, batch_size=2).rows_repaired == 3
    rows.assert_counts(dict.fromkeys(parents, 1))


def test_keys_choose_the_rows(rows: Rows) -> None:
    first, second, third = drifting(rows, 3)
    report = repair(rows.counter, keys=(first, third))
    assert report.complete
    assert audit_counter(rows.counter).sample[0].key == second
    assert report.rows_repaired == 2


def test_a_row_that_is_gone_since_the_audit_is_nothing_wrong(rows: Rows) -> None:
    [parent] = drifting(rows, 1)
    rows.sql("DELETE FROM {child}")
    rows.sql("DELETE FROM {parent}")
    report = repair(rows.counter, keys=(parent,))
    assert (report.complete, report.counters[0].rows_found) == (True, 0)


@pytest.mark.django_db
@pytest.mark.parametrize("keys", [None, tuple(ODD_KEYS)])
def test_keys_of_any_text_are_repaired(keys: tuple[str, ...] | None) -> None:
    [counter] = find_counters([WRITERS])
    assert isinstance(counter, ChildCount)
    rows = Rows(counter, CHILD_EXAMPLES[WRITERS])
    for key in ODD_KEYS:
        rows.sql("INSERT INTO {parent} ({key}) VALUES ({it})", it=key)
        rows.child(key)
        drift(rows, key, counter=9, mirrors=9)
    report = repair(counter, keys=keys)
    assert report.rows_repaired == len(ODD_KEYS)
    rows.assert_counts(dict.fromkeys(ODD_KEYS, 1))
    assert {key for _, key, *_ in records()} == set(ODD_KEYS)


@pytest.mark.django_db
def test_a_long_key_is_not_cut_to_that_of_another_row() -> None:
    [counter] = find_counters([WRITERS])
    rows = Rows(counter, CHILD_EXAMPLES[WRITERS])  # type: ignore[arg-type]
    rows.sql("INSERT INTO {parent} ({key}) VALUES ({it})", it="x" * 50)
    drift(rows, "x" * 50, counter=9, mirrors=9)
    assert repair(counter, keys=("x" * 60,)).rows_repaired == 0


# ------------------------------------------------------------------ what a repair cannot make right


def test_a_counter_whose_triggers_would_not_keep_it_is_refused(rows: Rows) -> None:
    [parent] = drifting(rows, 1)
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute(
        "ALTER TABLE {table} DISABLE TRIGGER USER",
        table=Identifier(rows.counter.child._meta.db_table),
    )
    report = repair(rows.counter)
    assert report.refused
    assert report.counters[0].problems == tuple(find_problems(rows.counter))
    assert rows.stored(parent).counter == 9
    assert records() == []


def add_foreign_trigger(rows: Rows, parent: Any, body: str) -> None:
    """A trigger of somebody else, which does something to one row."""
    condition = SQL("NEW.{} = {}").format(Identifier(rows.counter.key), literal(parent))
    rows.sql("SET CONSTRAINTS ALL IMMEDIATE")
    rows.sql(
        "CREATE FUNCTION foreign_body() RETURNS trigger LANGUAGE plpgsql AS {body}",
        body=f"BEGIN IF {condition.as_string(None)} THEN {body} END IF; RETURN NEW; END",
    )
    rows.sql(
        "CREATE TRIGGER foreign_trigger BEFORE UPDATE ON {parent}"
        " FOR EACH ROW EXECUTE FUNCTION foreign_body()"
    )


def test_a_row_that_a_trigger_of_others_keeps_wrong_is_skipped(rows: Rows) -> None:
    first, second, third = drifting(rows, 3)
    add_foreign_trigger(rows, second, "RETURN NULL;")
    report = repair(rows.counter)
    assert not report.complete
    [skipped] = report.counters[0].skipped
    assert (skipped.keys, skipped.reason) == ((second,), repair_batch.STILL_WRONG)
    assert [key for _, key, *_ in records()] == [first, third]


def test_a_batch_that_a_trigger_of_others_refuses_is_skipped_and_the_next_goes_on(
    rows: Rows,
) -> None:
    first, second, third = drifting(rows, 3)
    add_foreign_trigger(rows, second, "RAISE EXCEPTION 'not this one';")
    report = repair(rows.counter, batch_size=1)
    [skipped] = report.counters[0].skipped
    assert (skipped.keys, skipped.reason) == ((second,), "not this one")
    assert report.rows_repaired == 2
    assert {rows.stored(parent).counter for parent in (first, third)} == {1}


@pytest.mark.parametrize(
    "error",
    [
        "USING ERRCODE = '55P03'",
        "USING ERRCODE = '40P01'",
        "USING ERRCODE = '57014'",
        "USING ERRCODE = '40001'",
        "USING ERRCODE = 'XX000', MESSAGE = 'new multixact has more than one updating member'",
    ],
)
@pytest.mark.parametrize(("failures", "repaired"), [(2, 1), (99, 0)])
def test_what_passes_is_tried_again_and_then_skipped(
    touching_rows: Rows, monkeypatch: pytest.MonkeyPatch, error: str, failures: int, repaired: int
) -> None:
    monkeypatch.setattr(repair_batch, "BATCH_FIRST_PAUSE", 0)
    rows = touching_rows
    [parent] = drifting(rows, 1)
    execute("CREATE SEQUENCE attempts")  # a sequence is not rolled back
    add_foreign_trigger(
        rows, parent, f"IF nextval('attempts') <= {failures} THEN RAISE {error}; END IF;"
    )
    report = repair(rows.counter)
    assert report.rows_repaired == repaired
    assert report.complete is bool(repaired)
    attempts = min(failures + 1, ATTEMPTS)
    assert execute("SELECT last_value FROM attempts") == [(attempts,)]


def test_a_preview_says_what_is_wrong_and_writes_nothing(rows: Rows) -> None:
    parents = drifting(rows, 2)
    [report] = preview_repair([Selection(counter=rows.counter, keys=(parents[0],))])
    assert (report.rows_checked, report.rows_in_drift) == (1, 1)
    assert [found.key for found in report.sample] == [parents[0]]
    assert rows.stored(parents[0]).counter == 9
    assert execute("SELECT FROM counter_repair_runs") == []


@pytest.mark.django_db
def test_several_counters_are_repaired_in_one_run() -> None:
    report = repair_counters(
        [Selection(counter=counter) for counter in declared_counters()], now=timezone.now()
    )
    assert report.complete
    assert [repaired.counter for repaired in report.counters] == [
        counter.name for counter in declared_counters()
    ]
    assert execute("SELECT count(*) FROM counter_repair_runs") == [(1,)]

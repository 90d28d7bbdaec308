"""Columns of counters that are missing, or may be NULL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from psycopg.sql import Identifier

from sentinel.counters import (
    BoundCounter,
    audit_counter,
    declared_counters,
    find_problems,
    inspect_health,
)
from tests.cures import follow
from tests.rows import Rows, execute

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

COUNTERS = {counter.name: counter for counter in declared_counters()}
STORED = [(name, column) for name, counter in COUNTERS.items() for column in counter.stored_columns]


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "column"), STORED)
def test_a_missing_column_is_found_and_cured(name: str, column: str) -> None:
    counter = COUNTERS[name]
    before = inspect_health()
    execute(
        "ALTER TABLE {table} DROP COLUMN {column} CASCADE",
        table=Identifier(counter.parent._meta.db_table),
        column=Identifier(column),
    )
    problem, *others = find_problems(counter)
    assert problem.id == "counters.column_missing"
    assert problem.subject == f"{counter.parent._meta.db_table}.{column}"
    assert {other.id for other in others} <= {"counters.trigger_missing"}
    follow(problem.cure)
    for other in find_problems():  # the triggers that went with the column
        follow(other.cure)
    assert inspect_health() == before
    assert audit_counter(counter).exact


@pytest.mark.django_db
@pytest.mark.parametrize(
    "counter",
    [c for c in COUNTERS.values() if not c.parent._meta.get_field(c.field).null],
    ids=lambda counter: counter.name,
)
def test_a_counter_that_may_be_null_is_found_and_cured(counter: BoundCounter) -> None:
    execute(
        "ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL",
        table=Identifier(counter.parent._meta.db_table),
        column=Identifier(counter.column),
    )
    [problem] = find_problems(counter)
    assert (problem.id, problem.subject) == ("counters.column_nullable", counter.name)
    follow(problem.cure)
    assert find_problems(counter) == []


def test_the_cure_of_a_counter_that_may_be_null_counts_what_was_null(rows: Rows) -> None:
    parent = rows.parent()
    rows.children(parent, 2)
    rows.sql("ALTER TABLE {parent} ALTER COLUMN {column} DROP NOT NULL")
    execute("SET LOCAL session_replication_role = replica")
    rows.sql("UPDATE {parent} SET {column} = NULL WHERE {key} = {it}", it=parent)
    execute("SET LOCAL session_replication_role = origin")
    [problem] = find_problems(rows.counter)
    follow(problem.cure)
    rows.assert_counts({parent: 2})


@pytest.mark.django_db
def test_a_missing_table_is_one_problem_and_not_one_for_each_trigger() -> None:
    execute("DROP TABLE chat_messages")
    problems = [p for p in find_problems() if "chat_messages" in p.subject + p.message]
    assert [problem.id for problem in problems] == ["counters.table_missing"]


def test_the_cure_of_missing_tables_makes_them(scratch_database: ScratchDatabase) -> None:
    before = scratch_database.manage("counter_status", "--format", "json")
    assert before.returncode == 1, before.stderr
    document = json.loads(before.stdout)
    problems = [problem for line in document["counters"] for problem in line["problems"]]
    assert {problem["id"] for problem in problems} == {"counters.table_missing"}
    assert {problem["cure"] for problem in problems} == {"Run `manage.py migrate`."}
    scratch_database.migrate()
    after = scratch_database.manage("counter_status", "--format", "json")
    assert not [
        line["problems"] for line in json.loads(after.stdout)["counters"] if line["problems"]
    ]

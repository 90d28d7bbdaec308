"""Triggers and functions that nobody declares, and triggers of others that count as well."""

from __future__ import annotations

import re

import pytest
from psycopg.sql import SQL, Identifier

from sentinel.counters import (
    BoundCounter,
    Severity,
    declared_counters,
    find_problems,
    inspect_health,
)
from sentinel.counters.registry import counter_triggers
from tests.cures import follow
from tests.rows import execute

COUNTERS = declared_counters()
[THREADS] = [c for c in COUNTERS if c.name == "chat_threads.thread_messages_count"]


def install_copy(counter: BoundCounter) -> str:
    """Install a counter's first trigger by another name, as a renamed counter leaves it."""
    model, trigger = counter_triggers(counter)[0]
    name = trigger.get_pgid(model)
    left = f"{name[:50]}_was_left"
    statements = str(trigger.compile(model).sql).replace(name, left)
    execute(SQL(statements))
    return left


@pytest.mark.django_db
@pytest.mark.parametrize("counter", COUNTERS, ids=lambda counter: counter.name)
def test_a_trigger_left_behind_is_found_and_cured(counter: BoundCounter) -> None:
    before = inspect_health()
    left = install_copy(counter)
    assert [(problem.id, problem.subject) for problem in find_problems(counter)] == [
        ("counters.trigger_left_behind", left)
    ]
    [problem] = find_problems()
    follow(problem.cure)
    assert inspect_health() == before


@pytest.mark.django_db
@pytest.mark.parametrize("counter", COUNTERS, ids=lambda counter: counter.name)
def test_a_function_left_behind_is_found_and_cured(counter: BoundCounter) -> None:
    before = inspect_health()
    left = install_copy(counter)
    execute(
        "DROP TRIGGER {left} ON {table}",
        left=Identifier(left),
        table=Identifier(counter_triggers(counter)[0][0]._meta.db_table),
    )
    assert find_problems() == []
    [warning] = [finding for finding in inspect_health() if finding not in before]
    assert (warning.id, warning.subject) == ("counters.function_left_behind", left)
    assert warning.severity is Severity.WARNING
    follow(warning.cure)
    assert inspect_health() == before


@pytest.mark.django_db
def test_two_triggers_left_behind_with_one_function_are_cured_one_after_the_other() -> None:
    before = inspect_health()
    left = install_copy(COUNTERS[0])
    [(definition,)] = execute(
        f"SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = '{left}'"
    )
    execute(SQL(re.sub(r"TRIGGER \S+", "TRIGGER zzz_another_one", definition, count=1)))
    for problem in find_problems():
        follow(problem.cure)
    assert find_problems() == []
    for finding in inspect_health():
        if finding.id == "counters.function_left_behind":
            follow(finding.cure)
    assert inspect_health() == before


@pytest.mark.django_db
def test_the_legacy_trigger_that_still_counts_is_found_and_cured() -> None:
    execute(
        "CREATE TRIGGER thread_message_added AFTER INSERT ON chat_messages"
        " FOR EACH ROW EXECUTE FUNCTION update_thread_stats()"
    )
    [warning] = inspect_health(THREADS)
    assert (warning.id, warning.subject) == ("counters.foreign_writer", "thread_message_added")
    assert "message_count" in warning.message
    assert find_problems() == []
    follow(warning.cure)
    assert inspect_health(THREADS) == []


@pytest.mark.django_db
def test_the_legacy_trigger_is_left_alone_where_nobody_else_counts() -> None:
    """Before a takeover, switching it off would be the end of all counting."""
    execute(
        "CREATE TRIGGER thread_message_added AFTER INSERT ON chat_messages"
        " FOR EACH ROW EXECUTE FUNCTION update_thread_stats()"
    )
    model, trigger = counter_triggers(THREADS)[0]
    execute(
        "DROP TRIGGER {name} ON {table}",
        name=Identifier(trigger.get_pgid(model)),
        table=Identifier(model._meta.db_table),
    )
    assert {finding.id for finding in inspect_health(THREADS)} == {"counters.trigger_missing"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("statement", "seen"),
    [
        ("NEW.{column} := 7;", True),
        ("NEW.{column} = 7;", True),
        ('UPDATE {table} SET {column} = 7, "x" = 1;', True),
        ("-- {column} = 7\n", False),
        ("/* {column} = 7 */", False),
        ("IF NEW.{column} >= 7 THEN RAISE 'full'; END IF;", False),
        ("NEW.un{bare} = 7;", False),
    ],
)
@pytest.mark.parametrize("counter", COUNTERS, ids=lambda counter: counter.name)
def test_a_trigger_of_somebody_else_that_writes_a_counter_is_found(
    counter: BoundCounter, statement: str, *, seen: bool
) -> None:
    before = inspect_health(counter)
    body = statement.format(
        table=Identifier(counter.parent._meta.db_table).as_string(None),
        column=Identifier(counter.column).as_string(None),
        bare=counter.column.replace(" ", "_"),
    )
    execute(
        "CREATE FUNCTION of_somebody_else() RETURNS trigger LANGUAGE plpgsql AS {body}",
        body=SQL(f"$body$ BEGIN {body} RETURN NEW; END $body$"),
    )
    execute(
        'CREATE TRIGGER "Of somebody else" BEFORE UPDATE ON {table}'
        " FOR EACH ROW EXECUTE FUNCTION of_somebody_else()",
        table=Identifier(counter.parent._meta.db_table),
    )
    found = [finding for finding in inspect_health(counter) if finding not in before]
    assert [finding.id for finding in found] == ["counters.foreign_writer"] * seen
    for finding in found:
        follow(finding.cure)
    assert inspect_health(counter) == before

"""Every way in which a trigger can be wrong is found, named, and cured by what the message says."""

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
from sentinel.counters.trigger_health import spelling
from tests.cures import follow
from tests.rows import execute

TRIGGERS = [
    (model._meta.db_table, trigger.get_pgid(model)) for model, trigger in counter_triggers()
]


def definition(name: str) -> str:
    [(text,)] = execute(
        "SELECT pg_get_functiondef(tgfoid) FROM pg_trigger WHERE tgname = '" + name + "'"
    )
    return str(text)


@pytest.mark.django_db
def test_a_migrated_database_has_no_problems() -> None:
    assert find_problems() == [], (
        "PostgreSQL spells a trigger otherwise than expected, or a migration is missing: "
        "run `manage.py makemigrations`; if there are none, look at _spelling() in health.py"
    )


@pytest.mark.django_db
def test_of_a_migrated_database_there_is_nothing_to_say() -> None:
    for counter in declared_counters():
        if counter.parent._meta.app_label != "library":  # whose foreign keys are as Django has them
            assert inspect_health(counter) == [], counter.name


@pytest.mark.django_db
@pytest.mark.parametrize(("table", "name"), TRIGGERS)
def test_a_missing_trigger_is_found_and_cured(table: str, name: str) -> None:
    execute("DROP TRIGGER {name} ON {table}", name=Identifier(name), table=Identifier(table))
    [problem] = find_problems()
    assert problem.id == "counters.trigger_missing"
    assert name in problem.message
    follow(problem.cure)
    assert find_problems() == []


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["DISABLE", "ENABLE REPLICA"])
@pytest.mark.parametrize(("table", "name"), TRIGGERS)
def test_a_trigger_that_does_not_fire_is_found_and_cured(table: str, name: str, state: str) -> None:
    words = {"name": Identifier(name), "table": Identifier(table)}
    execute("ALTER TABLE {table} " + state + " TRIGGER {name}", **words)
    [problem] = find_problems()
    assert (problem.id, problem.subject) == ("counters.trigger_disabled", name)
    assert ("replica sessions only" in problem.message) is ("REPLICA" in state)
    follow(problem.cure)
    assert find_problems() == []


@pytest.mark.django_db
@pytest.mark.parametrize(("table", "name"), TRIGGERS)
def test_a_trigger_that_always_fires_is_fine_and_said_so(table: str, name: str) -> None:
    words = {"name": Identifier(name), "table": Identifier(table)}
    before = inspect_health()
    execute("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}", **words)
    assert find_problems() == []
    [note] = [finding for finding in inspect_health() if finding not in before]
    assert (note.id, note.subject) == ("counters.trigger_always", name)
    assert note.severity is Severity.NOTE
    follow(note.cure)
    assert inspect_health() == before


@pytest.mark.django_db
@pytest.mark.parametrize(("_table", "name"), TRIGGERS)
def test_a_function_that_was_replaced_by_hand_is_found_and_cured(_table: str, name: str) -> None:
    before = definition(name)
    altered = before.replace("BEGIN", "BEGIN RETURN NULL;", 1)
    assert altered != before
    execute(SQL(altered))
    [problem] = find_problems()
    assert problem.id == "counters.function_altered"
    follow(problem.cure)
    assert find_problems() == []
    assert definition(name) == before


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change", ["SECURITY INVOKER", "RESET search_path", "SET search_path = public"]
)
def test_a_function_without_its_protection_is_found_and_cured(change: str) -> None:
    name = TRIGGERS[0][1]
    execute("ALTER FUNCTION {name}() " + change, name=Identifier(name))
    [problem] = find_problems()
    assert problem.id == "counters.function_unprotected"
    follow(problem.cure)
    assert find_problems() == []


@pytest.mark.django_db
def test_a_function_of_another_owner_is_found_and_cured() -> None:
    name = TRIGGERS[0][1]
    execute("CREATE ROLE sentinel_visitor")
    execute("GRANT CREATE ON SCHEMA public TO sentinel_visitor")
    execute("ALTER FUNCTION {name}() OWNER TO sentinel_visitor", name=Identifier(name))
    [problem] = find_problems()
    assert problem.id == "counters.function_owner"
    follow(problem.cure)
    assert find_problems() == []


ALTERED = {
    "another event": ("guard_insert", "BEFORE INSERT", "BEFORE INSERT OR UPDATE"),
    "another level": ("destinations_count_derive", "FOR EACH ROW", "FOR EACH STATEMENT"),
    "another function": ("on_truncate", r"EXECUTE FUNCTION .*", "EXECUTE FUNCTION do_nothing()"),
    "another condition": ("guard_update", r"WHEN \(", "WHEN (false AND "),
    "fewer columns": ("guard_update", r"UPDATE OF (\w+), (\w+)", r"UPDATE OF \1"),
    "another transition table": ("count_on_insert", "new_values", "others"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("how", ALTERED)
def test_a_trigger_that_was_defined_anew_by_hand_is_found_and_cured(how: str) -> None:
    execute(
        "CREATE FUNCTION do_nothing() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN NEW; END $$"
    )
    which, pattern, replacement = ALTERED[how]
    [name] = [
        name
        for table, name in TRIGGERS
        if which in name and table in {"chat_threads", "chat_messages", "travel_itineraries"}
    ]
    [(before,)] = execute(f"SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = '{name}'")
    after = re.sub(pattern, replacement, before)
    assert after != before
    execute(SQL(after.replace("CREATE TRIGGER", "CREATE OR REPLACE TRIGGER")))
    problem, *_ = find_problems()
    assert (problem.id, problem.subject) == ("counters.trigger_altered", name)
    follow(problem.cure)
    assert find_problems() == []


def test_a_conditions_words_that_are_held_together_otherwise_are_another_condition() -> None:
    written = "CREATE TRIGGER one BEFORE UPDATE ON t FOR EACH ROW WHEN (%s) EXECUTE FUNCTION f()"
    alike = {
        spelling(written % words) for words in ("((a = 1) OR b) AND c", "(a = 1 OR (b)) AND c")
    }
    assert len(alike) == 1
    assert spelling(written % "a = 1 OR (b AND c)") not in alike


@pytest.mark.django_db
@pytest.mark.parametrize("counter", declared_counters(), ids=lambda counter: counter.name)
def test_a_counter_is_charged_with_its_own_triggers_only(counter: BoundCounter) -> None:
    own = {
        name
        for _, name in (
            (model._meta.db_table, trigger.get_pgid(model))
            for model, trigger in counter_triggers(counter)
        )
    }
    assert own
    for table, name in TRIGGERS:
        execute("DROP TRIGGER {name} ON {table}", name=Identifier(name), table=Identifier(table))
    assert {problem.subject for problem in find_problems(counter)} == own


@pytest.mark.django_db
def test_nobody_may_call_the_functions_from_a_trigger_of_his_own() -> None:
    """They run with the owner's rights: on a stranger's table they would write our counters."""
    execute("CREATE ROLE sentinel_visitor")
    for _, name in TRIGGERS:
        [(allowed,)] = execute(
            "SELECT has_function_privilege('sentinel_visitor', format('%I()', '" + name + "'),"
            " 'EXECUTE')"
        )
        assert not allowed, name

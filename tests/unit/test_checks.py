"""`manage.py check`: the health of the counters by Django's own command, and never in its way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from django.core import checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import models
from psycopg.sql import Identifier

from sentinel.counters import LedgerTotal, declared_counters
from sentinel.counters.checks import check_databases, check_declarations
from sentinel.counters.registry import counter_triggers
from tests.legacy.conftest import legacy_database
from tests.rows import execute

if TYPE_CHECKING:
    from sentinel.counters import BoundCounter
    from tests.scratch import ScratchDatabase

__all__ = ["legacy_database"]
COUNTERS = declared_counters()


def switch_off(counter: BoundCounter) -> str:
    model, trigger = counter_triggers(counter)[0]
    name = trigger.get_pgid(model)
    execute(
        "ALTER TABLE {table} DISABLE TRIGGER {name}",
        table=Identifier(model._meta.db_table),
        name=Identifier(name),
    )
    return name


def test_without_a_database_nothing_is_connected_to() -> None:
    """pytest-django refuses a connection here."""
    assert check_databases() == []
    assert check_declarations() == []


@pytest.mark.django_db
@pytest.mark.parametrize("counter", COUNTERS, ids=lambda counter: counter.name)
def test_what_is_wrong_is_reported_with_the_cure_as_a_hint(counter: BoundCounter) -> None:
    name = switch_off(counter)
    [warning] = [m for m in check_databases(databases=["default"]) if m.obj == name]
    assert warning.id == "counters.trigger_disabled"
    assert warning.level == checks.WARNING
    written = name if name.islower() else f'"{name}"'
    assert f"ENABLE TRIGGER {written}" in str(warning.hint)


@pytest.mark.django_db
def test_a_deployment_can_stop_at_it() -> None:
    switch_off(COUNTERS[0])
    call_command("check", databases=["default"])
    with pytest.raises(SystemCheckError, match=r"counters\.trigger_disabled"):
        call_command("check", databases=["default"], fail_level="WARNING")


@pytest.mark.django_db
def test_a_note_is_no_warning() -> None:
    model, trigger = counter_triggers(COUNTERS[0])[0]
    execute(
        "ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}",
        table=Identifier(model._meta.db_table),
        name=Identifier(trigger.get_pgid(model)),
    )
    [note] = [m for m in check_databases(databases=["default"]) if "always" in str(m.id)]
    assert note.level == checks.INFO


def test_an_empty_database_migrates_without_a_word_of_warning(
    scratch_database: ScratchDatabase,
) -> None:
    done = scratch_database.manage("migrate", "--no-input")
    assert (done.returncode, done.stderr) == (0, "")
    checked = scratch_database.manage("check", "--database", "default", "--fail-level", "WARNING")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_legacy_database_migrates_without_a_word_of_warning(
    legacy_database: ScratchDatabase,
) -> None:
    done = legacy_database.manage("migrate", "--no-input")
    assert (done.returncode, done.stderr) == (0, "")
    checked = legacy_database.manage("check", "--database", "default", "--fail-level", "WARNING")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_half_migrated_database_goes_on_and_back(legacy_database: ScratchDatabase) -> None:
    """A counter's table, column or triggers are not there yet: `migrate` is what brings them."""
    legacy_database.migrate("threads", "0001")
    for step in ("itineraries", "threads"):
        done = legacy_database.manage("migrate", "--no-input", step)
        assert (done.returncode, done.stderr) == (0, "")
    done = legacy_database.manage("migrate", "--no-input", "threads", "0001")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_database_with_problems_can_still_be_migrated(scratch_database: ScratchDatabase) -> None:
    scratch_database.migrate()
    scratch_database.run("ALTER TABLE chat_messages DISABLE TRIGGER USER")
    back = scratch_database.manage("migrate", "--no-input", "threads", "0001")
    assert back.returncode == 0, back.stderr
    assert "counters.trigger_disabled" in back.stderr


def test_a_database_that_cannot_be_reached_is_a_warning_and_no_traceback(
    scratch_database: ScratchDatabase,
) -> None:
    nowhere = replace(scratch_database, server={"host": "/nowhere"})
    done = nowhere.manage("check", "--database", "default")
    assert done.returncode == 0
    assert "counters.not_checked" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("attribute", "value", "id_"),
    [
        ("null", True, "counters.column_nullable"),
        ("db_default", models.NOT_PROVIDED, "counters.column_without_default"),
    ],
)
@pytest.mark.parametrize(
    "counter",
    [counter for counter in COUNTERS if not isinstance(counter, LedgerTotal)],
    ids=lambda counter: counter.name,
)
def test_a_field_that_does_not_fit_is_an_error(
    counter: BoundCounter,
    attribute: str,
    value: object,
    id_: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    field = counter.parent._meta.get_field(counter.field)
    monkeypatch.setattr(field, attribute, value)
    [error] = check_declarations()
    assert (error.id, error.level) == (id_, checks.ERROR)


def test_a_counter_that_is_no_integer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = COUNTERS[0]
    field = counter.parent._meta.get_field(counter.field)
    monkeypatch.setattr(field, "__class__", models.TextField)
    [error] = check_declarations()
    assert error.id == "counters.column_no_integer"

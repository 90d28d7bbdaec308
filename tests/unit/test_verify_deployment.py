"""What holds for every check of a deployment: nothing is changed, and every error has an answer."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from sentinel.deployment.checklists import AFTER, BEFORE, run_checklist
from tests.deployments import deployment
from tests.legacy.conftest import legacy_database
from tests.rows import execute, new_user

if TYPE_CHECKING:
    from sentinel.deployment.findings import Check
    from tests.scratch import ScratchDatabase

__all__ = ["legacy_database"]
TABLES = (
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
)
TRIGGERS = "SELECT tgname, tgenabled::text, pg_get_triggerdef(oid) FROM pg_trigger ORDER BY oid"


def everything(database: ScratchDatabase) -> dict[str, list[tuple[object, ...]]]:
    """Every row with the transaction that wrote it, and every trigger."""
    rows = {
        table: database.rows(f'SELECT t.xmin::text, t.ctid::text, t::text FROM "{table}" AS t')
        for (table,) in database.rows(TABLES)
    }
    return rows | {"triggers": database.rows(TRIGGERS)}


def test_no_row_is_changed(legacy_database: ScratchDatabase) -> None:
    legacy_database.migrate()
    found = everything(legacy_database)
    assert found["chat_messages"]
    for arguments in (["--before"], ["--after"], ["--watch", "0.1", "--for", "0.1"]):
        done = legacy_database.manage("verify_deployment", *arguments)
        assert done.returncode in {0, 1}, done.stderr
        assert everything(legacy_database) == found


@pytest.mark.django_db
@pytest.mark.parametrize("check", [*BEFORE, *AFTER], ids=lambda check: check.id)
def test_a_check_that_fails_in_the_database_says_so_and_the_next_goes_on(check: Check) -> None:
    execute("ALTER TABLE users RENAME TO people")
    execute("DROP SCHEMA public CASCADE")
    findings = list(run_checklist([check, check], deployment()))
    assert len(findings) == 2
    assert findings[0].message
    assert execute("SELECT 1") == [(1,)]


@pytest.mark.django_db
def test_a_check_leaves_the_callers_transaction_as_it_was() -> None:
    new_user()
    list(run_checklist(AFTER, deployment()))
    assert execute("SHOW transaction_read_only") == [("off",)]
    assert execute("SELECT count(*) FROM users") == [(1,)]
    assert not connection.needs_rollback


def test_a_database_that_cannot_be_reached_is_exit_code_2(
    scratch_database: ScratchDatabase,
) -> None:
    nowhere = replace(scratch_database, server={"host": "/nowhere"})
    done = nowhere.manage("verify_deployment")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--before", "--after"], "not allowed with argument"),
        (["--for", "24h"], "--for needs --watch"),
        (["--watch", "often"], "'often' is no time above 0"),
        (["--watch", "0"], "'0' is no time above 0"),
        (["--watch", "60", "--for", "1w"], "'1w' is no time above 0"),
        (["--backup-acknowledged"], "--backup-acknowledged needs --before"),
    ],
)
def test_wrong_options_are_told(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("verify_deployment", *arguments, stdout=StringIO())

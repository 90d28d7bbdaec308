"""Before the deployment: whatever speaks against it is found and named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone
from psycopg.sql import Identifier

from sentinel.counters.statements import named_queries
from sentinel.deployment import before
from sentinel.deployment.checklists import BEFORE
from sentinel.deployment.findings import SQL_FOLDER, Deployment, State
from tests.cures import follow
from tests.deployments import deployment, verify
from tests.legacy.conftest import legacy_database
from tests.rows import execute

if TYPE_CHECKING:
    from sentinel.deployment.findings import Answer
    from tests.scratch import ScratchDatabase

__all__ = ["legacy_database"]
OK, WARNING, FAILED = State.OK, State.WARNING, State.FAILED
DRIFT = """
    UPDATE chat_threads SET message_count = message_count + 3 WHERE id = 1;
    UPDATE chat_threads SET message_count = NULL WHERE id = 2;
    INSERT INTO travel_itineraries (user_id, data)
    SELECT min(id), document::jsonb FROM users,
           (VALUES ('[]'), ('null'), ('{}'), ('{"waypoints": "Rome"}')) AS given (document)
     GROUP BY document;
"""


def test_the_deployed_system_is_described_before_anything_is_done(
    legacy_database: ScratchDatabase,
) -> None:
    legacy_database.run(DRIFT)
    code, found = verify(legacy_database, "--before", "--backup-acknowledged")
    assert code == 0
    drift = found["before.thread_drift"]
    assert drift["state"] == WARNING
    assert drift["figures"] == {"threads": 2, "in_drift": 2, "null": 1, "largest": 3}
    waypoints = found["before.waypoints"]
    assert waypoints["state"] == WARNING
    assert waypoints["figures"]["malformed"] == 3
    assert set(waypoints["figures"]["itineraries"].values()) == {
        "data is array",
        "data is null",
        "waypoints is string",
    }
    assert found["before.disk"]["figures"]["database_bytes"] > 1_000_000
    assert found["before.privileges"]["figures"]["tables"] == 7


def test_a_new_installation_has_nothing_to_compare(scratch_database: ScratchDatabase) -> None:
    _, found = verify(scratch_database, "--before", "--backup-acknowledged")
    states = {name: finding["state"] for name, finding in found.items()}
    assert states == dict.fromkeys((check.id for check in BEFORE), OK) | {"before.disk": WARNING}


def test_without_a_backup_nothing_begins(scratch_database: ScratchDatabase) -> None:
    code, found = verify(scratch_database, "--before")
    assert (code, found["before.backup"]["state"]) == (1, FAILED)
    assert "--backup-acknowledged" in found["before.backup"]["cure"]


@pytest.mark.parametrize(
    ("version", "state"),
    [("14.9", FAILED), ("15.0", OK), ("18.4", OK), ("19beta1", WARNING)],
)
def test_a_server_that_was_never_tried_is_told(version: str, state: State) -> None:
    @dataclass(frozen=True, kw_only=True)
    class OfVersion(Deployment):
        def rows(self, file: str, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
            return [(version, int(version[:2]), False, 0)]

    assert before.check_server_version(OfVersion(now=timezone.now())).state is state


def test_a_standby_is_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Standby(Deployment):
        def rows(self, file: str, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
            return [("18.4", 18, True, 0)]

    assert before.check_primary(Standby(now=timezone.now())).state is FAILED


@pytest.mark.django_db
def test_a_role_that_owns_nothing_is_refused_with_the_owners_name() -> None:
    [(owner,)] = execute("SELECT current_user")
    execute("CREATE ROLE sentinel_visitor")
    execute("SET LOCAL ROLE sentinel_visitor")
    answer = before.check_privileges(deployment())
    assert answer.state is FAILED
    assert f'belong to "{owner}"' in answer.message
    execute("RESET ROLE")
    follow(answer.cure)
    execute("SET LOCAL ROLE sentinel_visitor")
    assert "own" not in before.check_privileges(deployment()).message


@pytest.mark.django_db
def test_an_owner_that_may_not_store_the_engines_setting_is_refused() -> None:
    """PostgreSQL lets nobody else make a function that carries it: the migrations would fail."""
    [(owner,)] = execute("SELECT current_user")
    execute("CREATE ROLE sentinel_visitor")
    execute("GRANT {owner} TO sentinel_visitor", owner=Identifier(owner))
    execute("SET LOCAL ROLE sentinel_visitor")
    answer = before.check_privileges(deployment())
    assert answer.state is FAILED
    assert answer.figures["wanting"] == ["SET on parameter sentinel.engine"]
    assert "print_grants --before" in answer.cure


@pytest.mark.django_db
def test_a_role_that_may_not_create_is_refused() -> None:
    execute("CREATE ROLE sentinel_visitor")
    for table in before.LEGACY_TABLES:
        execute("ALTER TABLE {table} OWNER TO sentinel_visitor", table=Identifier(table))
    execute("SET LOCAL ROLE sentinel_visitor")
    answer = before.check_privileges(deployment())
    assert answer.state is FAILED
    assert "CREATE on schema public" in answer.message


def test_a_long_transaction_is_named(
    scratch_database: ScratchDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, found = verify(scratch_database, "--before")
    assert found["before.long_transactions"]["state"] == OK
    with scratch_database.connect() as session, session.transaction():
        [pid] = session.execute("SELECT pg_backend_pid()").fetchone() or (0,)
        monkeypatch.setattr(before, "LONG", 0)
        answer = ask_on(scratch_database, before.check_long_transactions)
    assert answer.state is WARNING
    assert [row["pid"] for row in answer.figures["transactions"]] == [str(pid)]
    assert f"pg_terminate_backend({pid})" in answer.cure


def test_sessions_that_cannot_be_looked_into_are_told(scratch_database: ScratchDatabase) -> None:
    with scratch_database.connect() as session, session.transaction():
        session.execute("SELECT 1")
        answer = ask_on(scratch_database, before.check_long_transactions, role="pg_read_all_data")
    assert answer.state is WARNING
    assert "sessions of other roles show nothing" in answer.message
    assert "pg_monitor" in answer.cure


def ask_on(database: ScratchDatabase, ask: Any, *, role: str | None = None) -> Answer:
    """Ask on another database, in the place of Django's own."""

    @dataclass(frozen=True, kw_only=True)
    class Elsewhere(Deployment):
        def rows(self, file: str, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
            with database.connect() as session:
                if role:
                    session.execute(f"SET ROLE {role}".encode())
                text = named_queries(file, SQL_FOLDER)[query].encode()
                return session.execute(text, parameters).fetchall()

    answer: Answer = ask(Elsewhere(now=timezone.now()))
    return answer

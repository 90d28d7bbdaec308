"""What each of the four roles may do, and what it may not, on real connections of theirs."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from django.core.management import call_command
from psycopg.errors import InsufficientPrivilege, RaiseException
from psycopg.sql import SQL, Identifier, Literal

from sentinel.deployment.roles import Roles, RolesError, grants_sql, preparation_sql
from tests.faults.databases import made_database, suite_server
from tests.scratch import PROJECT, ScratchDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator

# A quote, a blank, a brace and a comment: names are quoted wherever they stand.
NAMES = {
    "owner": 'own"er {suffix}',
    "application": "appli'cation; -- {suffix}",
    "existing": "existing {{x}} $check$ {suffix}",
    "reporter": "Reporter\\{suffix}",
}
WRITERS = ("application", "existing")
LEGACY = ("users", "chat_threads", "chat_messages", "travel_itineraries", "feature_usage")


@dataclass(frozen=True, kw_only=True)
class Granted:
    """A migrated database, and its roles."""

    roles: Roles
    password: str
    superuser: ScratchDatabase
    grants: str

    def database(self, role: str) -> ScratchDatabase:
        """The database as a role sees it."""
        login = {"user": getattr(self.roles, role), "password": self.password}
        return ScratchDatabase(name=self.superuser.name, server=self.superuser.server | login)

    def run(self, role: str, statement: str) -> list[tuple[Any, ...]]:
        """Run statements on a new connection of a role's own; return what the last one finds."""
        with self.database(role).connect() as session:
            cursor = session.execute(statement.encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []


@contextmanager
def alone_with_parameters() -> Iterator[None]:
    """The rights to a parameter are one row of the server's: two who write it at once fail."""
    with psycopg.connect(dbname="postgres", **suite_server()) as session:  # type: ignore[arg-type]  # libpq's own words
        session.execute("SELECT pg_advisory_xact_lock(4712)")
        yield


@contextmanager
def made_roles() -> Iterator[tuple[Roles, str]]:
    """Four roles of nobody else's, which can do nothing but log in."""
    suffix = uuid4().hex[:12]
    roles = Roles(**{role: name.format(suffix=suffix) for role, name in NAMES.items()})
    password = uuid4().hex
    with psycopg.connect(dbname="postgres", autocommit=True, **suite_server()) as maintenance:  # type: ignore[arg-type]  # libpq's own words
        try:
            for name in vars(roles).values():
                maintenance.execute(
                    SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                        Identifier(name), Literal(password)
                    )
                )
            yield roles, password
        finally:
            with alone_with_parameters():
                for name in map(Identifier, vars(roles).values()):
                    maintenance.execute(SQL("DROP OWNED BY {}").format(name))
                    maintenance.execute(SQL("DROP ROLE {}").format(name))


def printed(database: ScratchDatabase, roles: Roles, *options: str) -> str:
    """What the command prints in production, where the tests' own counters are not declared."""
    named = [word for role, name in vars(roles).items() for word in (f"--{role}", name)]
    done = database.manage("print_grants", *named, *options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def granted(django_db_setup: None, django_db_blocker) -> Iterator[Granted]:
    """A database that its owner has migrated, who is no superuser, with the grants run twice."""
    with django_db_blocker.unblock():
        server = suite_server()
        with (
            made_roles() as (roles, password),
            made_database(server, owner=roles.owner) as name,
        ):
            superuser = ScratchDatabase(name=name, server=server)
            granted = Granted(
                roles=roles,
                password=password,
                superuser=superuser,
                grants=printed(superuser, roles),
            )
            before = printed(superuser, roles, "--before")
            with alone_with_parameters():
                superuser.run(before)
            granted.database("owner").migrate()
            superuser.run(granted.grants)
            superuser.run(granted.grants)
            granted.run(
                "owner",
                """
                INSERT INTO users (id, email, password_hash) VALUES (-1, 'a@example.org', '');
                INSERT INTO chat_threads (id, user_id, title) VALUES (-1, -1, 'Oslo');
                INSERT INTO chat_messages (thread_id, role, content) VALUES (-1, 'user', '?');
                INSERT INTO feature_usage_events (user_id, feature) VALUES (-1, 'chat_messages')
                """,
            )
            yield granted


# --------------------------------------------------------------------------------------- may write


@pytest.mark.parametrize("role", WRITERS)
def test_an_application_writes_rows_and_they_are_counted(granted: Granted, role: str) -> None:
    [(user,)] = granted.run(
        role,
        f"INSERT INTO users (email, password_hash) VALUES ('{role}@example.org', '') RETURNING id",
    )
    [(thread,)] = granted.run(
        role,
        f"INSERT INTO chat_threads (user_id, title) VALUES ({user}, 'Oslo') RETURNING id",
    )
    granted.run(
        role,
        f"""
        INSERT INTO chat_messages (thread_id, role, content)
             SELECT {thread}, 'user', '?' FROM generate_series(1, 3);
        DELETE FROM chat_messages WHERE id = (SELECT max(id) FROM chat_messages);
        INSERT INTO travel_itineraries (user_id, title, data)
             VALUES ({user}, 'Caucasus', '{{"waypoints": [1, 2]}}');
        INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)
             VALUES ({user}, 'map', 2, date '2026-11-01', date '2026-11-30');
        """,
    )
    found = granted.run(
        role,
        f"""
        SELECT (SELECT thread_messages_count FROM chat_threads WHERE id = {thread}),
               (SELECT destinations_count FROM travel_itineraries WHERE user_id = {user}),
               (SELECT usage_count FROM feature_usage WHERE user_id = {user})
        """,
    )
    assert found == [(2, 2, 2)]
    assert granted.run(
        "owner", f"SELECT sum(quantity) FROM feature_usage_events WHERE user_id = {user}"
    ) == [(2,)]


@pytest.mark.parametrize("role", WRITERS)
def test_an_application_counts_uses_by_the_functions(granted: Granted, role: str) -> None:
    feature = f"used by {role}"
    assert granted.run(role, f"SELECT increment_feature_usage_safe(-1, '{feature}', 2)") == [(2,)]
    [(event,)] = granted.run(
        role, f"SELECT event_id FROM admit_feature_usage(-1, '{feature}', 3, 5)"
    )
    assert granted.run(role, f"SELECT refund_feature_usage({event}, 'a mistake')") == [(True,)]
    assert granted.run(role, f"SELECT get_feature_usage(-1, '{feature}')") == [(2,)]


def test_the_application_appends_to_the_ledger_and_edits_limits(granted: Granted) -> None:
    granted.run(
        "application",
        """
        INSERT INTO feature_usage_events (user_id, feature, quantity, reason)
             VALUES (-1, 'chat_messages', 3, NULL), (-1, 'chat_messages', -1, 'a correction');
        UPDATE feature_plan_limits SET usage_limit = usage_limit WHERE plan = 'FREE';
        """,
    )


def test_the_application_counts_what_it_has_refused_and_reads_the_days(granted: Granted) -> None:
    add = """
        INSERT INTO feature_usage_refusals AS known (day, user_id, feature, plan, refusals, last_at)
             VALUES ('2026-03-01', -1, 'map', 'FREE', 1, now())
        ON CONFLICT (user_id, day, feature, plan)
          DO UPDATE SET refusals = known.refusals + excluded.refusals
    """
    granted.run("application", add)
    granted.run("application", add)
    refusals = "SELECT refusals FROM feature_usage_refusals WHERE user_id = -1"
    assert granted.run("application", refusals) == [(2,)]
    assert granted.run("application", "SELECT count(*) FROM feature_usage_days") == [(0,)]


# ----------------------------------------------------------------------------------- may not write

BYPASSES = {
    "disable a trigger": "ALTER TABLE {table} DISABLE TRIGGER ALL",
    "drop a trigger": "DROP TRIGGER {trigger} ON {table}",
    "replace a trigger": "CREATE OR REPLACE TRIGGER {trigger} AFTER INSERT ON {table}"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "add a trigger": "CREATE TRIGGER theirs BEFORE UPDATE ON {table}"
    " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "replace a function": "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger"
    " LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "drop a function": "DROP FUNCTION {function} CASCADE",
    "add a rule": "CREATE RULE theirs AS ON INSERT TO {table} DO INSTEAD NOTHING",
    "truncate": "TRUNCATE {table} CASCADE",
    "drop the table": "DROP TABLE {table} CASCADE",
    "make a table in the schema": "CREATE TABLE public.theirs (id integer)",
    "become the owner": "SET ROLE {owner}",
    "use a trigger's function": "CREATE TEMPORARY TABLE theirs (id integer);"
    " CREATE TRIGGER theirs AFTER INSERT ON theirs"
    " FOR EACH ROW EXECUTE FUNCTION {function}()",
}
SETTING = "session_replication_role"


def one_trigger(granted: Granted, table: str) -> tuple[str, str]:
    [(trigger, function), *_] = granted.run(
        "owner",
        f"SELECT quote_ident(tgname), tgfoid::regproc::text FROM pg_trigger"
        f" WHERE tgrelid = '{table}'::regclass AND NOT tgisinternal ORDER BY tgname",
    )
    return trigger, function


@pytest.mark.parametrize("bypass", BYPASSES)
@pytest.mark.parametrize("role", [*WRITERS, "reporter"])
def test_nobody_but_the_owner_gets_around_a_trigger(
    granted: Granted, role: str, bypass: str
) -> None:
    for table in ("chat_messages", "chat_threads", "feature_usage", "feature_usage_events"):
        trigger, function = one_trigger(granted, table)
        owner = Identifier(granted.roles.owner).as_string(None)
        statement = BYPASSES[bypass].format(
            table=table, trigger=trigger, function=function, owner=owner
        )
        with pytest.raises(InsufficientPrivilege):
            granted.run(role, statement)


@pytest.mark.parametrize("role", [*WRITERS, "reporter", "owner"])
def test_nobody_but_a_superuser_writes_as_a_replica(granted: Granted, role: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        granted.run(role, f"SET {SETTING} = replica")


OURS = {
    "INSERT INTO counter_audits DEFAULT VALUES": [*WRITERS, "reporter"],
    "DELETE FROM counter_repairs": [*WRITERS, "reporter"],
    "UPDATE counter_repair_runs SET outcome = ''": [*WRITERS, "reporter"],
    "DELETE FROM django_migrations": [*WRITERS, "reporter"],
    "SELECT FROM counter_jobs": ["existing", "reporter"],
    "SELECT FROM axes_accessattempt": ["existing", "reporter"],
    "UPDATE feature_usage_events SET quantity = 9": [*WRITERS, "reporter"],
    "DELETE FROM feature_usage_events": [*WRITERS, "reporter"],
    "INSERT INTO feature_usage_events (user_id, feature) VALUES (-1, 'map')": [
        "existing",
        "reporter",
    ],
    "SELECT FROM feature_usage_events": ["existing"],
    "SELECT count_feature_usage_days('2026-03-01')": [*WRITERS, "reporter"],
    "DELETE FROM feature_usage_days": [*WRITERS, "reporter"],
    "DELETE FROM feature_usage_refusals": [*WRITERS, "reporter"],
    "UPDATE feature_usage_refusals SET refusals = 9": ["existing", "reporter"],
    "UPDATE feature_plan_limits SET usage_limit = 9": ["existing", "reporter"],
    "INSERT INTO feature_limit_overrides DEFAULT VALUES": ["existing", "reporter"],
    "SELECT password_hash FROM users": ["reporter"],
    "UPDATE chat_threads SET title = ''": ["reporter"],
    "SELECT increment_feature_usage_safe(-1, 'map')": ["reporter"],
    "SELECT admit_usage(-1, 'map', 1, 1, NULL, '', now(), false)": [*WRITERS, "reporter"],
}


@pytest.mark.parametrize(
    ("role", "statement"), [(role, statement) for statement in OURS for role in OURS[statement]]
)
def test_what_is_ours_is_written_by_nobody_else(
    granted: Granted, role: str, statement: str
) -> None:
    with pytest.raises(InsufficientPrivilege):
        granted.run(role, statement)


@pytest.mark.parametrize("role", WRITERS)
def test_an_application_cannot_store_a_count_of_its_own(granted: Granted, role: str) -> None:
    """It may write the column, and the guard puts the truth there."""
    granted.run(role, "UPDATE chat_threads SET thread_messages_count = 99 WHERE id = -1")
    assert granted.run(role, "SELECT thread_messages_count FROM chat_threads WHERE id = -1") == [
        (1,)
    ]


# --------------------------------------------------------------------------------------- may audit


def test_the_reporter_audits_and_records_nothing(granted: Granted) -> None:
    done = granted.database("reporter").manage("audit_counters", "--no-record", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["exact"]


def test_the_reporter_sees_the_status(granted: Granted) -> None:
    audited = granted.database("owner").manage("audit_counters")
    assert audited.returncode == 0, audited.stderr
    done = granted.database("reporter").manage("counter_status", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_owner_repairs(granted: Granted) -> None:
    done = granted.database("owner").manage("repair_counters")
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------------------- the command


def test_the_command_prints_the_grants_and_needs_no_database(capsys) -> None:
    roles = Roles(owner="owning", application="ours", existing="theirs", reporter="reading")
    call_command("print_grants", **vars(roles))
    assert capsys.readouterr().out == grants_sql(roles)
    call_command("print_grants", before=True, **vars(roles))
    assert capsys.readouterr().out == preparation_sql(roles)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"reporter": "owning"}, "four different names"),
        ({"reporter": ""}, "no role can be called ''"),
        ({"reporter": "PUBLIC"}, "no role can be called 'PUBLIC'"),
        ({"reporter": "pg_monitor"}, "no role can be called 'pg_monitor'"),
        ({"reporter": "é" * 32}, "63 bytes"),
    ],
)
def test_names_that_cannot_be_four_roles_are_refused(names: dict[str, str], message: str) -> None:
    given = {"owner": "owning", "application": "ours", "existing": "theirs", "reporter": "reading"}
    with pytest.raises(RolesError, match=message):
        Roles(**given | names)


def test_a_wrong_name_ends_the_command_with_one_line() -> None:
    names = ("--owner", "a", "--application", "a", "--existing", "b", "--reporter", "c")
    done = subprocess.run(  # noqa: S603 (our own command)
        [sys.executable, "manage.py", "print_grants", *names],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip().splitlines() == [
        "CommandError: a, a, b, c: give four different names."
    ]


UNFIT = {
    "ALTER ROLE {application} SUPERUSER": "is a superuser or may create roles",
    "ALTER ROLE {existing} CREATEROLE": "is a superuser or may create roles",
    "GRANT {owner} TO {existing}": "is a member of",
    "GRANT SET ON PARAMETER session_replication_role TO {reporter}": "without triggers",
    "ALTER TABLE public.chat_threads OWNER TO {existing}": "does not belong to",
    "ALTER ROLE {reporter} RENAME TO somebody_else": "there is no role",
}


@pytest.mark.parametrize("change", UNFIT)
def test_the_grants_refuse_a_role_that_no_revoke_can_narrow(granted: Granted, change: str) -> None:
    """In one transaction that is rolled back, the role's change with it."""
    names = {field: Identifier(name) for field, name in vars(granted.roles).items()}
    grants = granted.grants.replace("BEGIN;\n", "").replace("COMMIT;\n", "")
    with (  # noqa: PT012 (the whole transaction)
        granted.superuser.connect() as session,
        pytest.raises(RaiseException, match=UNFIT[change]),
        session.transaction(),
    ):
        session.execute(SQL(change).format(**names))
        session.execute(grants.encode())


def test_a_role_of_the_grants_that_was_given_more_before_loses_it(granted: Granted) -> None:
    existing = Identifier(granted.roles.existing).as_string(None)
    granted.superuser.run(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {existing}")
    granted.superuser.run(granted.grants)
    for statement in ("TRUNCATE chat_messages", "DELETE FROM feature_usage_events"):
        with pytest.raises(InsufficientPrivilege):
            granted.run("existing", statement)

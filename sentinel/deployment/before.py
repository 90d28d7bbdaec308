"""Before the deployment: whether it can begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sentinel.counters.statements import quoted
from sentinel.deployment.findings import failed, ok, warning

if TYPE_CHECKING:
    from sentinel.deployment.findings import Answer, Deployment

OLDEST, NEWEST = 15, 18  # of PostgreSQL: those that the test suite has been run on
LONG = 60  # seconds; requests and jobs of the application are over sooner
SHOWN = 20  # rows in a list: enough to see a pattern
LEGACY_TABLES = [
    "users",
    "plans",
    "user_usage",
    "chat_threads",
    "chat_messages",
    "travel_itineraries",
    "feature_usage",
]
GROWING = ("chat_threads", "travel_itineraries", "feature_usage")  # they get a column and an index


def check_backup(deployment: Deployment) -> Answer:
    """Ask the operator, who alone can know."""
    if deployment.backup_acknowledged:
        return ok("The operator says that there is a backup.")
    return failed(
        "Nobody has said that there is a backup of the database.",
        cure="Make one, such as `pg_dump --format=custom`, try to restore it, and run this again "
        "with --backup-acknowledged.",
    )


def check_server_version(deployment: Deployment) -> Answer:
    """Look for a PostgreSQL that is too old, or newer than any that was tried."""
    [(version, major, _, _)] = deployment.rows("before", "server")
    if major < OLDEST:
        return failed(
            f"PostgreSQL {version} is too old.",
            cure=f"Upgrade to PostgreSQL {OLDEST} or later first.",
            version=version,
        )
    if major > NEWEST:
        return warning(
            f"PostgreSQL {version} is newer than any that this was tried on.",
            cure="Run the test suite on that version first: DATABASE_URL=… make test.",
            version=version,
        )
    return ok(f"PostgreSQL {version}.", version=version)


def check_primary(deployment: Deployment) -> Answer:
    """Look for a standby, which takes no migration."""
    [(_, _, standby, _)] = deployment.rows("before", "server")
    if standby:
        return failed("This server is a standby.", cure="Point DATABASE_URL at the primary.")
    return ok("This server takes writes.")


def check_privileges(deployment: Deployment) -> Answer:
    """Look for tables of which we may not change columns and triggers."""
    [(role, may_create, may_use_temporary, may_set)] = deployment.rows("before", "rights")
    tables = deployment.rows("before", "legacy_tables", tables=LEGACY_TABLES)
    others = {table: owner for table, owner, ours, _ in tables if not ours}
    wanting = [
        *([] if may_create else ["CREATE on schema public"]),
        *([] if may_use_temporary else ["TEMPORARY on the database"]),
        *([] if may_set else ["SET on parameter sentinel.engine"]),
    ]
    figures = {"role": role, "tables": len(tables), "owned_by_others": others, "wanting": wanting}
    if others:
        owners = ", ".join(quoted(owner) for owner in sorted(set(others.values())))
        return failed(
            f"Role {role} does not own {', '.join(others)}, which belong to {owners}: it can "
            "neither add columns nor triggers.",
            cure=f"Migrate as the owner, or have an administrator `GRANT {owners} TO {role}`.",
            **figures,
        )
    if wanting:
        return failed(
            f"Role {role} has no right to {' and '.join(wanting)}.",
            cure="Have an administrator grant it, as `manage.py print_grants --before` prints it, "
            "or migrate as another role.",
            **figures,
        )
    return ok(f"Role {role} may change the {len(tables)} tables that are there.", **figures)


def check_long_transactions(deployment: Deployment) -> Answer:
    """Look for transactions that a migration would have to wait for."""
    found = deployment.rows("before", "long_transactions", seconds=LONG)
    [(hidden,)] = deployment.rows("before", "hidden_sessions")
    figures = {
        "longer_than_seconds": LONG,
        "transactions": [
            dict(zip(("pid", "role", "state", "seconds", "query"), row, strict=True))
            for row in found
        ],
        "hidden_sessions": hidden,
    }
    if found:
        listed = ", ".join(f"{pid} ({role}, {state}, {s:,} s)" for pid, role, state, s, _ in found)
        return warning(
            f"{len(found)} transactions have been open for more than {LONG} s: {listed}.",
            cure="Wait for them or end them, such as "
            f"`SELECT pg_terminate_backend({found[0][0]})`: a migration's locks wait for them.",
            **figures,
        )
    if hidden:
        return warning(
            f"No long transaction is seen, but {hidden} sessions of other roles show nothing.",
            cure="Run this as a role with `GRANT pg_monitor`, or look at pg_stat_activity as one.",
            **figures,
        )
    return ok(f"No transaction has been open for more than {LONG} s.", **figures)


def check_disk(deployment: Deployment) -> Answer:
    """Say how large things are, and what SQL cannot see."""
    [(_, _, _, size)] = deployment.rows("before", "server")
    tables = deployment.rows("before", "legacy_tables", tables=LEGACY_TABLES)
    growing = sum(bytes_ for table, _, _, bytes_ in tables if table in GROWING)
    return warning(
        f"The database takes {_megabytes(size)}. The migrations write each drifting row once more "
        f"and add indexes: at most {_megabytes(growing)}, and as much of WAL. How much is free "
        "cannot be seen from SQL.",
        cure="Look at the server's disk, such as with `df -h`.",
        database_bytes=size,
        at_most_added_bytes=growing,
    )


def check_thread_drift(deployment: Deployment) -> Answer:
    """Compare the legacy counter with the messages."""
    if not deployment.rows("before", "legacy_tables", tables=["chat_messages"]):
        return ok("There are no messages yet: this is a new installation.")
    [(threads, wrong, unknown, largest)] = deployment.rows("before", "thread_drift")
    figures = {"threads": threads, "in_drift": wrong, "null": unknown, "largest": largest}
    if wrong:
        return warning(
            f"{wrong:,} of {threads:,} threads have a wrong message_count, {unknown:,} of them "
            f"NULL; the largest is off by {largest:,}.",
            cure="Nothing: the migration's backfill makes them true. Expect other numbers.",
            **figures,
        )
    return ok(f"message_count of all {threads:,} threads is true.", **figures)


def check_waypoints(deployment: Deployment) -> Answer:
    """List the itineraries of which the waypoints are no array."""
    if not deployment.rows("before", "legacy_tables", tables=["travel_itineraries"]):
        return ok("There are no itineraries yet: this is a new installation.")
    found = deployment.rows("before", "malformed_waypoints", limit=SHOWN)
    if not found:
        return ok("The waypoints of every itinerary are an array, or absent.", malformed=0)
    total = found[0][2]
    listed = ", ".join(f"{key} ({kind})" for key, kind, _ in found)
    more = f" and {total - len(found):,} more" if total > len(found) else ""
    return warning(
        f"{total:,} itineraries have malformed waypoints: {listed}{more}.",
        cure="They count as 0 destinations. Correct the documents where that is not meant.",
        malformed=total,
        itineraries={str(key): kind for key, kind, _ in found},
    )


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:,.1f} MB"

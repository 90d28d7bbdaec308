"""The checklists, and how they are run: nothing that a check does stays."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.db import DatabaseError, connections, transaction

from sentinel.deployment import after, before, criteria
from sentinel.deployment.findings import Answer, Check, Finding, State, failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sentinel.deployment.findings import Deployment

BEFORE = (
    Check("before.backup", before.check_backup),
    Check("before.server_version", before.check_server_version),
    Check("before.primary", before.check_primary),
    Check("before.privileges", before.check_privileges),
    Check("before.long_transactions", before.check_long_transactions),
    Check("before.disk", before.check_disk),
    Check("before.thread_drift", before.check_thread_drift),
    Check("before.waypoints", before.check_waypoints),
)
AFTER = (
    Check("after.counters_maintained", after.check_counters_maintained),
    Check("after.usage_recent", after.check_usage_recent),
    Check("after.increment_function", after.check_increment_function, writes=True),
    Check("after.legacy_trigger", after.check_legacy_trigger),
    *(Check(f"after.index.{index.name}", index.check) for index in after.GUIDE_INDEXES),
    Check("after.archive", after.check_archive),
    Check("criteria.migrations", criteria.check_migrations),
    Check("criteria.accuracy", criteria.check_accuracy),
    Check("criteria.features", criteria.check_features),
    Check("criteria.logs", criteria.check_logs),
    Check("criteria.performance", criteria.check_performance),
    Check("criteria.tests", criteria.check_tests),
)

# A check that would have to wait for a lock of somebody else's says so instead.
LOCK_TIMEOUT = "5s"


def run_checklist(checks: Sequence[Check], deployment: Deployment) -> Iterator[Finding]:
    """Run checks one after the other. Nothing that they do stays.

    Raises:
        OperationalError: the database cannot be reached.
    """
    connections[deployment.using].ensure_connection()
    for check in checks:
        answer = _ask(check, deployment)
        yield Finding(check.id, answer.state, answer.message, answer.cure, answer.figures)


def _ask(check: Check, deployment: Deployment) -> Answer:
    try:
        with rolled_back(using=deployment.using, read_only=not check.writes):
            return check.ask(deployment)
    except DatabaseError as error:
        reason = str(error).strip().splitlines()[0]
        if check.id.startswith("before."):
            return failed(
                f"It could not be checked: {reason}.",
                cure="Connect as the role that owns the tables, and run it again.",
            )
        return failed(
            f"It could not be checked: {reason}.",
            cure="Run `manage.py migrate`, then this again.",
        )


@contextmanager
def rolled_back(*, using: str, read_only: bool) -> Iterator[None]:
    """A transaction of which nothing stays, whatever happens in it."""
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        if read_only:
            cursor.execute("SET TRANSACTION READ ONLY")
        try:
            yield
        finally:
            transaction.set_rollback(True, using=using)


def worst_state(findings: Sequence[Finding]) -> State:
    """Return the state of the whole."""
    states = {finding.state for finding in findings}
    return next((s for s in (State.FAILED, State.WARNING) if s in states), State.OK)

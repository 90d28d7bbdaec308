"""Django's system checks: `manage.py check`, and with `--database` also what is in the database.

The ids are those of the audit: a name in one report means what it means in the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core import checks
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.models import IntegerField

from sentinel.counters.health import inspect_health
from sentinel.counters.ledger import LedgerTotal
from sentinel.counters.problems import Severity
from sentinel.counters.registry import counter_triggers, declared_counters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from django.apps import AppConfig

    from sentinel.counters.binding import BoundCounter


def register_checks() -> None:
    """Have Django run the checks of this module."""
    checks.register(check_declarations, checks.Tags.models)
    checks.register(check_databases, checks.Tags.database)


def check_declarations(
    app_configs: Sequence[AppConfig] | None = None, **_options: Any
) -> list[checks.CheckMessage]:
    """Check the counters' fields as the models have them. Connects to nothing."""
    labels = None if app_configs is None else {config.label for config in app_configs}
    return [
        error
        for counter in declared_counters()
        if labels is None or counter.parent._meta.app_label in labels
        for error in _field_errors(counter)
    ]


def check_databases(
    databases: Sequence[str] | None = None, **_options: Any
) -> list[checks.CheckMessage]:
    """Report what `inspect_health` finds in each database.

    As warnings, never as errors: `migrate` runs this before it does anything, and an error would
    keep it from curing what is reported, and an operator from going back. Where a deployment is to
    stop, `manage.py check --database default --fail-level WARNING` says so by its exit code.
    """
    return [message for alias in databases or () for message in _check_database(alias)]


def _field_errors(counter: BoundCounter) -> Iterator[checks.CheckMessage]:
    field = counter.parent._meta.get_field(counter.field)
    if not isinstance(field, IntegerField):
        yield checks.Error(
            f"The counter is a {type(field).__name__}.",
            hint="Make it an IntegerField or a BigIntegerField.",
            obj=field,
            id="counters.column_no_integer",
        )
        return
    if field.null and not isinstance(counter, LedgerTotal):  # which takes rows as they are found
        yield checks.Error(
            "The counter may be NULL, and NULL plus one is NULL.",
            hint="Take null=True away.",
            obj=field,
            id="counters.column_nullable",
        )
    if not field.has_db_default():
        yield checks.Error(
            "The counter has no default in the database, so writers that do not know of it fail.",
            hint="Add db_default=0.",
            obj=field,
            id="counters.column_without_default",
        )


def _check_database(alias: str) -> list[checks.CheckMessage]:
    if connections[alias].vendor != "postgresql":
        return []
    try:
        if _awaits_migrations(alias):
            return []
        findings = inspect_health(using=alias)
    except DatabaseError as error:
        reason = str(error).strip().splitlines()[0]
        return [
            checks.Warning(
                f"The counters could not be checked: {reason}",
                hint="Run the check again when the database can be reached.",
                obj=alias,
                id="counters.not_checked",
            )
        ]
    return [
        (checks.Info if finding.severity is Severity.NOTE else checks.Warning)(
            finding.message, hint=finding.cure, obj=finding.subject, id=finding.id
        )
        for finding in findings
    ]


def _awaits_migrations(alias: str) -> bool:
    """Whether an app with triggers of ours is on its way: what is missing, `migrate` will bring."""
    executor = MigrationExecutor(connections[alias])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    waiting = {migration.app_label for migration, _ in plan}
    return any(model._meta.app_label in waiting for model, _ in counter_triggers())

"""The guide's six criteria of success."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from sentinel.counters import audit_counters, declared_counters
from sentinel.counters.explaining import explain_counter
from sentinel.deployment.findings import failed, ok, warning

if TYPE_CHECKING:
    from sentinel.deployment.findings import Answer, Deployment

SEVERAL = 2  # features: with one alone it may be the one that was tracked before
SLOW = 1.0  # milliseconds: what the guide promises for reading a counter
NOT_TRACKED = "Failed to track feature usage"


def check_migrations(deployment: Deployment) -> Answer:
    """Migrations complete without errors."""
    executor = MigrationExecutor(connections[deployment.using])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    pending = [str(migration) for migration, _ in plan]
    if pending:
        return failed(
            f"{len(pending)} migrations are not applied, {pending[0]} and what comes after it.",
            cure="Run `manage.py migrate`.",
            pending=pending,
        )
    applied = len(executor.loader.applied_migrations)
    return ok(f"All {applied} migrations are applied.", applied=applied)


def check_accuracy(deployment: Deployment) -> Answer:
    """The audit shows no mismatches."""
    reports = list(audit_counters(declared_counters(), sample=0, using=deployment.using))
    rows = sum(report.rows_checked for report in reports)
    drift = {r.counter: r.rows_in_drift for r in reports if r.rows_in_drift}
    problems = [problem for report in reports for problem in report.serious_problems]
    figures = {"counters": len(reports), "rows": rows, "in_drift": drift}
    if drift or problems:
        wrong = [f"{number:,} rows of {counter}" for counter, number in drift.items()]
        wrong += [problem.message for problem in problems]
        return failed(
            f"The counters are not exact: {'; '.join(wrong)}",
            cure="Run `manage.py audit_counters` for the rows and the cures, then "
            "`manage.py repair_counters`.",
            **figures,
            problems=[problem.id for problem in problems],
        )
    return ok(f"{len(reports)} counters with {rows:,} rows are exact.", **figures)


def check_features(deployment: Deployment) -> Answer:
    """Feature usage records appear for multiple features."""
    growth = deployment.rows("after", "usage_growth")
    figures = {"features": {feature: int(uses) for feature, _, uses in growth}}
    if len(growth) < SEVERAL:
        return warning(
            f"Usage of {len(growth)} features was counted this month.",
            cure="Use several features, and run this again.",
            **figures,
        )
    uses = sum(int(uses) for _, _, uses in growth)
    return ok(f"Usage of {len(growth)} features this month, {uses:,} uses.", **figures)


def check_logs(deployment: Deployment) -> Answer:
    """No error spikes in application logs: as far as the log is on this machine."""
    path = deployment.log_file
    if path is None or not path.is_file():
        return warning(
            f"The application's log is not on this machine{f' ({path})' if path else ''}.",
            cure=f"Where it is: `grep '{NOT_TRACKED}' logs/sentinel-api.log`.",
        )
    with path.open(encoding="utf-8", errors="replace") as lines:
        errors = sum(NOT_TRACKED in line for line in lines)
    if errors:
        return warning(
            f"{path} says {errors:,} times: {NOT_TRACKED}.",
            cure=f"Look at them: `grep '{NOT_TRACKED}' {path}`.",
            lines=errors,
        )
    return ok(f"{path} never says: {NOT_TRACKED}.", lines=0)


def check_performance(deployment: Deployment) -> Answer:
    """Query performance improved: a counter is read in one indexed row."""
    explanations = [explain_counter(c, using=deployment.using) for c in declared_counters()]
    comparisons = [(e.counter, c) for e in explanations for c in e.comparisons]
    figures = {
        f"{counter} ({comparison.row})": {
            "counting_ms": comparison.counted.milliseconds,
            "reading_ms": comparison.read.milliseconds,
        }
        for counter, comparison in comparisons
    }
    problems = [problem for explanation in explanations for problem in explanation.problems]
    if problems:
        return failed(problems[0].message, cure=problems[0].cure, **figures)
    if not comparisons:
        return warning(
            "No row counts anything yet: there is nothing to compare.",
            cure="Run this again when there is data.",
        )
    slowest = max(comparison.read.milliseconds for _, comparison in comparisons)
    if slowest > SLOW:
        return warning(
            f"Reading a counter took {slowest:.3f} ms.",
            cure="Look at `manage.py explain_counters`, when the machine is less busy.",
            **figures,
        )
    best = max(comparison.ratio for _, comparison in comparisons)
    return ok(
        f"Reading a counter took at most {slowest:.3f} ms, up to {best:,.0f} times less than "
        "counting.",
        **figures,
    )


def check_tests(_deployment: Deployment) -> Answer:
    """All existing tests still pass: no database can tell."""
    return warning(
        "Whether the existing tests pass cannot be seen from the database.",
        cure="Run `make test`, never on this database.",
    )

"""Runs, shows, compares, records: what the options ask for."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console

from tests.benchmarks import reporting
from tests.benchmarks.comparing import compare_runs
from tests.benchmarks.plots import draw_plots
from tests.benchmarks.record import RecordError, describe_run, read_runs, write_run
from tests.benchmarks.run import measured_database, run_scenarios
from tests.benchmarks.sizes import ALL_SIZES, NORMAL

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from tests.benchmarks.record import Run

WIDE = 160  # columns, where the output is no terminal


def run_program(options: argparse.Namespace) -> int:
    """Measure, show, and return the exit code.

    Raises:
        RecordError: there is nothing to compare with.
        PgbenchError: a statement failed.
        PageError: the run cannot be shown in the docs.
    """
    progress = Console(stderr=True)
    with measured_database() as database:
        recorded = None
        if options.check:
            recorded = find_recorded(options.recorded, major=database.major, sizes=options.sizes)
        bench = run_scenarios(
            database,
            ALL_SIZES[recorded.sizes if recorded else options.sizes or NORMAL.name],
            names=options.only,
            tell=lambda work: progress.print(f"{work} …", highlight=False),
        )
        run = describe_run(bench, now=datetime.now(UTC))
    show(run)
    if options.output:
        options.output.unlink(missing_ok=True)
        write_run(run, options.output)
    if options.write:
        write_run(run)
        runs = read_runs()
        reporting.write_page(runs, draw_plots(runs))
    worse = check(recorded, run) if recorded else False
    return 1 if worse or run.ours_drifted else 0


def find_recorded(path: Path, *, major: str, sizes: str | None) -> Run:
    """Return the run to compare with.

    Raises:
        RecordError: there is none of this PostgreSQL, or it has other sizes than are asked for.
    """
    recorded = read_runs(path).get(major)
    if recorded is None:
        raise RecordError(
            f"No run of PostgreSQL {major} is recorded in {path}: make bench ARGS=--write."
        )
    if sizes not in {None, recorded.sizes}:
        raise RecordError(
            f"The recorded run of PostgreSQL {major} has {recorded.sizes} sizes: ratios of {sizes} "
            "sizes cannot be compared with it."
        )
    return recorded


def show(run: Run) -> None:
    """Print the tables of a run."""
    console = _console()
    console.print(reporting.verdict_table(run.verdicts))
    console.print()
    console.print(reporting.drift_table(run.drifts))
    for reason in run.skipped:
        console.print(f"Not measured: {reason}", highlight=False)
    console.print(f"PostgreSQL {run.server}, {run.sizes} sizes. {run.machine}.", highlight=False)
    if run.sizes == "quick":
        console.print(reporting.QUICK_WARNING)


def check(recorded: Run, run: Run) -> bool:
    """Print the run beside the recorded one, and return whether a ratio got clearly worse."""
    changes = compare_runs(recorded, run)
    _console().print(reporting.change_table(changes))
    return any(change.worse for change in changes)


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=WIDE)

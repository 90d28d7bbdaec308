"""How the commands print what they found and did."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sentinel.console import print_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from django.core.management.base import OutputWrapper

    from sentinel.counters.audit import CounterReport, Drift
    from sentinel.counters.binding import Key
    from sentinel.counters.problems import Problem
    from sentinel.counters.repair_report import RepairReport, RepairRunReport

KEYS_SHOWN = 10  # of rows that were skipped for one reason; all of them are in the JSON


def print_audits(out: OutputWrapper, reports: Sequence[CounterReport]) -> None:
    """Print what audits found: a line for each counter, rows in drift, problems."""
    print_table(
        out,
        ("counter", "rows", "in drift", "largest", "summed", "seconds", "triggers", "result"),
        [
            (
                report.counter,
                report.rows_checked,
                report.rows_in_drift,
                report.largest_drift,
                report.summed_drift,
                f"{report.seconds:.3f}",
                f"{len(report.serious_problems)} wrong" if report.serious_problems else "ok",
                "exact" if report.exact else "NOT EXACT",
            )
            for report in reports
        ],
    )
    print_drifts(out, [drift for report in reports for drift in report.sample])
    for report in reports:
        print_problems(out, report.problems)


def print_drifts(out: OutputWrapper, drifts: Sequence[Drift]) -> None:
    """Print rows in drift."""
    if not drifts:
        return
    out.write("\nRows in drift, the worst of each counter first:")
    print_table(
        out,
        ("counter", "key", "stored", "actual", "mirrors"),
        [
            (
                drift.counter,
                key_text(drift.key),
                "NULL" if drift.stored is None else drift.stored,
                drift.actual,
                " ".join(
                    f"{column}={'NULL' if value is None else value}"
                    for column, value in drift.mirrors.items()
                ),
            )
            for drift in drifts
        ],
    )


def print_problems(out: OutputWrapper, problems: Iterable[Problem]) -> None:
    """Print what is wrong, and the cures."""
    for problem in problems:
        out.write(f"\n{problem.severity} {problem.id}: {problem.message}\n  {problem.cure}")


def key_text(key: Key) -> str:
    """Return a key as `--key` takes it: without separators, a list of several columns as JSON."""
    return key if isinstance(key, str) else json.dumps(key)


def print_repairs(out: OutputWrapper, report: RepairRunReport) -> None:
    """Print what a run of repairs did: a line for each counter, skipped rows, a summary."""
    print_table(
        out,
        ("counter", "in drift", "repaired", "skipped", "left", "seconds", "result"),
        [
            (
                repair.counter,
                repair.rows_found,
                repair.rows_repaired,
                repair.rows_skipped,
                repair.rows_left + repair.rows_unlisted,
                f"{repair.seconds:.3f}",
                _result(repair),
            )
            for repair in report.counters
        ],
    )
    for repair in report.counters:
        for skipped in repair.skipped:
            shown = ", ".join(key_text(key) for key in skipped.keys[:KEYS_SHOWN])
            more = ", …" if len(skipped.keys) > KEYS_SHOWN else ""
            out.write(
                f"\nskipped: {_rows(len(skipped.keys))} of {repair.counter}: {skipped.reason}"
                f"\n  {shown}{more}"
            )
        if repair.rows_unlisted:
            out.write(
                f"\nleft: {_rows(repair.rows_unlisted)} of {repair.counter}: the audit counted "
                "more than it listed\n  Give the audit a larger --sample, or repair without "
                "--from-json."
            )
    for repair in report.counters:
        print_problems(out, repair.problems)
    batches = "1 batch" if report.batches == 1 else f"{report.batches:,} batches"
    out.write(
        f"\nRun {report.run}: {_rows(report.rows_repaired)} repaired in {batches}, "
        f"{report.seconds:.1f} seconds."
    )
    if not report.complete:
        out.write("Something wrong is left, as shown above. It can be run again.")


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number:,} rows"


def _result(repair: RepairReport) -> str:
    if repair.problems:
        return "REFUSED: its triggers would not keep it"
    if not repair.complete:
        return "INCOMPLETE"
    return "repaired" if repair.rows_found else "nothing in drift"

"""Shows a run: in the terminal, and as a part of docs/benchmarks.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from tests.benchmarks.sizes import ALL_SIZES, smaller_sizes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.benchmarks.checking import Drift
    from tests.benchmarks.comparing import Change
    from tests.benchmarks.judging import Verdict
    from tests.benchmarks.measuring import Ratio
    from tests.benchmarks.record import Run

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BEGIN = "<!-- written by make bench: begin -->"
END = "<!-- written by make bench: end -->"
QUICK_WARNING = "Quick sizes: they try the harness, and say nothing of what is measured."


class PageError(Exception):
    """The page has no place for what was measured."""


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """Return the bars that were measured, for the terminal."""
    table = _table("work", "came out", "quartiles", "bar", "result")
    for verdict in verdicts:
        if (ratio := verdict.ratio) is not None:
            table.add_row(
                verdict.bar.work,
                figure(ratio.median),
                spread(ratio),
                verdict.bar.limit,
                verdict.word,
            )
    return table


def drift_table(drifts: Sequence[Drift]) -> Table:
    """Return who drifted."""
    table = _table("after", "who", "rows in drift", "largest")
    for drift in drifts:
        table.add_row(drift.work, drift.peer, f"{drift.rows:,}", f"{drift.largest:,}")
    return table


def change_table(changes: Sequence[Change]) -> Table:
    """Return both runs side by side."""
    table = _table("work", "recorded", "quartiles", "now", "result")
    for change in changes:
        table.add_row(
            change.bar.work,
            figure(change.recorded.median),
            spread(change.recorded),
            figure(change.present.median),
            "WORSE" if change.worse else "fine",
        )
    return table


def figure(value: float) -> str:
    """Return a number with three digits that mean something."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(ratio: Ratio) -> str:
    """Return the quartiles."""
    return f"{figure(ratio.low)} to {figure(ratio.high)}"


def write_page(runs: Mapping[str, Run], plots: Mapping[str, str], path: Path = PAGE) -> None:
    """Put what was measured between the markers of the page, and the plots beside it.

    Args:
        runs: by PostgreSQL's major version.
        plots: SVG by the name of its file, in the folder `images` beside the page.
        path: of the page.

    Raises:
        PageError: the page lacks a marker.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise PageError(f"{path} needs the lines {BEGIN} and {END}: the tables stand between.")
    folder = path.with_name("images")
    folder.mkdir(exist_ok=True)
    for name, svg in plots.items():
        (folder / name).write_text(svg, encoding="utf-8")
    parts = [_section(run) for run in runs.values()]
    pictures = [f"![{name.partition('.')[0]}](images/{name})" for name in plots]
    middle = "\n\n".join([*parts, *pictures])
    path.write_text(f"{before}{BEGIN}\n\n{middle}\n\n{END}{after}", encoding="utf-8")


def _section(run: Run) -> str:
    settings = ", ".join(f"`{name}` {value}" for name, value in run.settings.items())
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    lines = [
        f"### PostgreSQL {run.server}, {run.date}, {run.sizes} sizes",
        "",
        f"{run.machine}. {versions}. Settings: {settings}.",
        *([f"\n**{QUICK_WARNING}**"] if run.sizes == "quick" else []),
        *_smaller(run),
        "",
        "| work | came out | quartiles | bar | source | result |",
        "|---|---|---|---|---|---|",
    ]
    for verdict in run.verdicts:
        ratio = verdict.ratio
        shown = (figure(ratio.median), spread(ratio)) if ratio else ("", "")
        word = "**missed**" if verdict.word == "missed" else verdict.word
        cells = (verdict.bar.work, *shown, verdict.bar.limit, verdict.bar.source, word)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "Medians of each way:", "", "| work | way | median | unit |", "|---|---|---|---|"]
    for name, measurement in run.measurements.items():
        work, _, way = name.partition("/")
        lines.append(f"| {work} | {way} | {figure(measurement.median)} | {measurement.unit} |")
    lines += [
        "",
        "Who drifted:",
        "",
        "| after | who | rows in drift | largest |",
        "|---|---|---|---|",
    ]
    lines += [f"| {d.work} | {d.peer} | {d.rows:,} | {d.largest:,} |" for d in run.drifts]
    lines += [f"\nNot measured: {reason}." for reason in run.skipped]
    return "\n".join(lines)


def _smaller(run: Run) -> list[str]:
    sizes = smaller_sizes(ALL_SIZES[run.sizes])
    told = (f"{name.replace('_', ' ')} {is_} for {full}" for name, (is_, full) in sizes.items())
    return [f"Smaller than the work says: {'; '.join(told)}."] if sizes else []


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, title in enumerate(titles):
        table.add_column(title, justify="right" if 0 < index < len(titles) - 1 else "left")
    return table

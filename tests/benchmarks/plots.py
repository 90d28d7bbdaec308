"""Draws measurements as SVG, readable on light and on dark pages.

Values of one size are bars that begin at 0. Where they differ by powers of ten, they are dots on a
logarithmic scale: a bar has no beginning there, and its length would say nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from tests.benchmarks.reporting import figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.benchmarks.record import Run

WIDTH, TOP, ROW = 720, 44, 24
LABELS, FIGURES = 220, 90  # pixels for the names at the left, for the numbers at the right
INK, PEERS, OURS = "#6b7280", "#9ca3af", "#2563eb"  # contrast enough on both grounds
FAR_APART = 20  # times; a bar of a twentieth of the width can still be seen

# file, title, the work, and which ways of it are ours
PLOTS = (
    ("limit-check.svg", "Thread limit check, time on the server", "limit check", "counter"),
    ("insert-one.svg", "Insert of one message", "insert one", "counter sentinel"),
    ("orm-create.svg", "One message through Django's ORM", "ORM, create", "counter"),
    ("hot-thread.svg", "8 clients into one thread", "hot thread", "counter sentinel"),
)


def draw_plots(runs: Mapping[str, Run]) -> dict[str, str]:
    """Return a plot of each kind and major version, by the name of its file."""
    return {
        f"pg{major}-{file}": draw_values(
            f"{title}, PostgreSQL {run.server}", values, unit=unit, ours=ours.split()
        )
        for major, run in runs.items()
        for file, title, work, ours in PLOTS
        for values, unit in [_medians(run, work)]
        if values
    }


def draw_values(
    title: str, values: Mapping[str, float], *, unit: str, ours: Sequence[str] = ()
) -> str:
    """Return a bar or a dot for each value.

    Args:
        title: of the plot, also for screen readers.
        values: by their names; all above 0.
        unit: of the values.
        ours: beginnings of the names whose marks stand out.
    """
    scale = _Scale.of(values.values())
    height = TOP + len(values) * ROW
    described = ", ".join(f"{name}: {figure(value)} {unit}" for name, value in values.items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        f' font-family="sans-serif" font-size="12" fill="{INK}">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(described)}</desc>",
        f'<text x="0" y="14" font-size="14">{escape(title)} ({escape(unit)})</text>',
    ]
    for tick in scale.ticks:
        x = scale.position(tick)
        parts.append(
            f'<line x1="{x:.0f}" x2="{x:.0f}" y1="38" y2="{height}" stroke="{INK}"'
            ' stroke-opacity="0.3"/>'
            f'<text x="{x:.0f}" y="34" text-anchor="middle">{figure(tick)}</text>'
        )
    for row, (name, value) in enumerate(values.items()):
        middle = TOP + row * ROW + ROW / 2
        colour = OURS if any(name.startswith(word) for word in ours) else PEERS
        parts.append(
            f'<text x="{LABELS - 8}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>'
            f"{scale.mark(value, middle, colour)}"
            f'<text x="{scale.position(value) + 9:.1f}" y="{middle + 4}">{figure(value)}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """Where a value lies between the names and the right edge."""

    lowest: float
    highest: float
    logarithmic: bool

    @classmethod
    def of(cls, values: Iterable[float]) -> _Scale:
        found = list(values)
        if max(found) < FAR_APART * min(found):
            return cls(lowest=0, highest=max(found), logarithmic=False)
        lowest, highest = math.floor(math.log10(min(found))), math.ceil(math.log10(max(found)))
        return cls(lowest=10.0**lowest, highest=10.0**highest, logarithmic=True)

    @property
    def ticks(self) -> list[float]:
        if not self.logarithmic:
            return [0, self.highest / 2, self.highest]
        decades = round(math.log10(self.highest / self.lowest))
        return [self.lowest * 10**decade for decade in range(decades + 1)]

    def position(self, value: float) -> float:
        if self.logarithmic:
            part = math.log(value / self.lowest) / math.log(self.highest / self.lowest)
        else:
            part = value / self.highest
        return LABELS + (WIDTH - LABELS - FIGURES) * part

    def mark(self, value: float, middle: float, colour: str) -> str:
        x = self.position(value)
        if self.logarithmic:
            return f'<circle cx="{x:.1f}" cy="{middle}" r="5" fill="{colour}"/>'
        return (
            f'<rect x="{LABELS}" y="{middle - 8}" width="{x - LABELS:.1f}" height="16"'
            f' fill="{colour}"/>'
        )


def _medians(run: Run, work: str) -> tuple[dict[str, float], str]:
    found = {
        name.partition("/")[2]: measurement
        for name, measurement in run.measurements.items()
        if name.partition("/")[0] == work and measurement.median > 0
    }
    unit = next((measurement.unit for measurement in found.values()), "")
    return {way: measurement.median for way, measurement in found.items()}, unit

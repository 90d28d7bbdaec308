"""Charts, drawn as SVG on the server: the points are computed here, the rest is a template.

A chart is a picture for those who see it, a sentence for those who do not, and a table for all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from sentinel.dashboards.formats import show_number
from sentinel.dashboards.tables import Column, Kind, Table, cells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The picture's own units; it is stretched to the place that it gets.
WIDTH, HEIGHT = 1000, 200
GRID_LINES = 4
LABELS = 8  # below the picture: more do not fit on a phone


class Mark(StrEnum):
    """How a series is drawn."""

    LINE = "line"
    DASHES = "dashes"  # what the line is compared to
    BARS = "bars"


@dataclass(frozen=True, kw_only=True)
class Series:
    """Numbers of one name.

    Attributes:
        name: as in the legend.
        values: one for each label of the chart; None where there is none.
        mark: how they are drawn.
    """

    name: str
    values: Sequence[float | None]
    mark: Mark = Mark.LINE


class Bar(NamedTuple):
    """A rectangle of the picture."""

    x: float
    y: float
    width: float
    height: float


class Slot(NamedTuple):
    """The strip of the picture that belongs to a label."""

    x: float
    width: float
    text: str


@dataclass(frozen=True)
class Drawn:
    """A series as it is drawn, its number in the legend: paths for lines, rectangles for bars."""

    series: Series
    number: int
    line: str
    area: str
    bars: Sequence[Bar]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart with an axis of labels.

    Attributes:
        slug: its name as an anchor, unique on its page.
        title: its heading.
        description: what is to be seen, in a sentence, with figures.
        axis: what the labels are, such as "Day".
        labels: from left to right.
        series: what is drawn, at most three.
        downloads: where the numbers are downloaded, by format.
        empty: what to say where there is nothing to draw.
    """

    slug: str
    title: str
    description: str
    axis: str
    labels: Sequence[str]
    series: Sequence[Series]
    downloads: Mapping[str, str] = field(default_factory=dict)
    empty: str = "Nothing yet."

    @property
    def is_empty(self) -> bool:
        """Whether no series has a value."""
        return not any(value is not None for series in self.series for value in series.values)

    @cached_property
    def top(self) -> float:
        """The value at the upper edge: a round number, four grid lines apart from 0."""
        highest = max(
            (value for series in self.series for value in series.values if value is not None),
            default=0,
        )
        return _round_up(highest / GRID_LINES) * GRID_LINES

    @property
    def scale(self) -> list[str]:
        """What the grid lines stand for, the uppermost first."""
        step = self.top / GRID_LINES
        return [show_number(step * line) for line in range(GRID_LINES, -1, -1)]

    @property
    def grid(self) -> list[float]:
        """Where the grid lines are."""
        return [round(HEIGHT * line / GRID_LINES, 2) for line in range(GRID_LINES + 1)]

    @property
    def ticks(self) -> list[str]:
        """The labels that are written below the picture; the others are empty."""
        every = max(1, math.ceil(len(self.labels) / LABELS))
        return [label if not place % every else "" for place, label in enumerate(self.labels)]

    @property
    def slots(self) -> list[Slot]:
        """The strip of each label, with what a pointer that rests on it is told."""
        return [
            Slot(round(place * self._step, 2), round(self._step, 2), self._tell(place))
            for place in range(len(self.labels))
        ]

    @property
    def drawn(self) -> list[Drawn]:
        """The series, as they are drawn: what is compared to lies below."""
        drawn = [self._draw(series, number) for number, series in enumerate(self.series, 1)]
        return sorted(drawn, key=lambda one: one.series.mark is Mark.LINE)

    @property
    def table(self) -> Table:
        """The same numbers as a table."""
        return Table(
            slug=f"{self.slug}-table",
            title=self.title,
            columns=[
                Column(title=self.axis),
                *(Column(title=series.name, kind=Kind.NUMBER) for series in self.series),
            ],
            rows=[
                cells(label, *(series.values[place] for series in self.series))
                for place, label in enumerate(self.labels)
            ],
        )

    @property
    def _step(self) -> float:
        return WIDTH / max(1, len(self.labels))

    def _tell(self, place: int) -> str:
        said = [
            f"{series.name}: {show_number(value)}"
            for series in self.series
            if (value := series.values[place]) is not None
        ]
        return f"{self.axis} {self.labels[place]}: {'; '.join(said) or 'nothing'}"

    def _draw(self, series: Series, number: int) -> Drawn:
        if series.mark is Mark.BARS:
            return Drawn(series, number, "", "", self._bars(series))
        runs = _runs(self._points(series))
        line = " ".join(_path(run) for run in runs)
        area = ""
        if series.mark is Mark.LINE:
            area = " ".join(
                f"{_path(run)} L{run[-1][0]} {HEIGHT} L{run[0][0]} {HEIGHT} Z" for run in runs
            )
        return Drawn(series, number, line, area, [])

    def _bars(self, series: Series) -> list[Bar]:
        """Return bars that stand beside those of other series."""
        beside = [other for other in self.series if other.mark is Mark.BARS]
        width = self._step * 0.7 / len(beside)
        first = self._step * 0.15 + width * beside.index(series)
        return [
            Bar(
                round(place * self._step + first, 2),
                round(self._height(value), 2),
                round(width, 2),
                round(HEIGHT - self._height(value), 2),
            )
            for place, value in enumerate(series.values)
            if value
        ]

    def _points(self, series: Series) -> list[tuple[float, float] | None]:
        return [
            None
            if value is None
            else (round((place + 0.5) * self._step, 2), round(self._height(value), 2))
            for place, value in enumerate(series.values)
        ]

    def _height(self, value: float) -> float:
        return HEIGHT * (1 - max(value, 0) / self.top)


def _runs(points: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    """Return the points that follow each other without a gap."""
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    return [run for run in runs if run]


def _path(run: Sequence[tuple[float, float]]) -> str:
    """Return the path of a line. Numbers are written as SVG reads them, whatever the language."""
    moves = " L".join(f"{x} {y}" for x, y in run)
    return f"M{moves}" if len(run) > 1 else f"M{moves} h0.01"  # a point alone, drawn by its cap


def _round_up(value: float) -> float:
    """Return 1, 2, 2.5 or 5 times a power of ten, whole, that is no less."""
    if value <= 1:
        return 1
    power = 10.0 ** math.floor(math.log10(value))
    steps = (step * power for step in (1, 2, 2.5, 5, 10))
    return next(step for step in steps if step >= value and step.is_integer())

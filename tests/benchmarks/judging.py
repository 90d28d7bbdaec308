"""A bar, and whether a run meets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.measuring import Ratio, compare_rounds, summarise

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.benchmarks.measuring import Measurement


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One line of the table.

    Attributes:
        name: stays the same from run to run.
        work: what was done, in words.
        measured: the name of the measurement that is looked at.
        against: the name of the one that it is divided by; None where its value itself counts.
        at_most: the largest value that will do.
        at_least: the smallest value that will do.
        source: who asks for it.
    """

    name: str
    work: str
    measured: str
    against: str | None = None
    at_most: float | None = None
    at_least: float | None = None
    source: str = "issue 10"

    @property
    def limit(self) -> str:
        """The bar as the table shows it."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return f"≥ {self.at_least:g}"

    def admits(self, value: float) -> bool:
        """Whether a value meets the bar."""
        if self.at_most is not None:
            return value <= self.at_most
        return self.at_least is None or value >= self.at_least


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A bar beside what a run has measured.

    Attributes:
        bar: the bar.
        ratio: what came out; None where the run has not measured it.
    """

    bar: Bar
    ratio: Ratio | None

    @property
    def word(self) -> str:
        """Met, missed or not measured."""
        if self.ratio is None:
            return "not measured"
        return "met" if self.bar.admits(self.ratio.median) else "missed"


def judge(bars: Iterable[Bar], measurements: Mapping[str, Measurement]) -> list[Verdict]:
    """Set each bar beside what was measured."""
    return [Verdict(bar=bar, ratio=_ratio(bar, measurements)) for bar in bars]


def _ratio(bar: Bar, measurements: Mapping[str, Measurement]) -> Ratio | None:
    measured = measurements.get(bar.measured)
    if measured is None:
        return None
    if bar.against is None:
        return summarise(measured.values)
    against = measurements.get(bar.against)
    return compare_rounds(measured, against) if against else None

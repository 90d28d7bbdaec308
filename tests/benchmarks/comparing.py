"""Compares a run with the recorded one: which ratios got clearly worse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.record import RecordError

if TYPE_CHECKING:
    from tests.benchmarks.judging import Bar, Verdict
    from tests.benchmarks.measuring import Ratio
    from tests.benchmarks.record import Run

# Two runs on one machine differ by some tenths where the machine has other work as well.
TOLERANCE = 1.25


@dataclass(frozen=True, kw_only=True)
class Change:
    """A bar in two runs.

    Attributes:
        bar: the bar.
        recorded: what came out then.
        present: what came out now.
    """

    bar: Bar
    recorded: Ratio
    present: Ratio

    @property
    def worse(self) -> bool:
        """Whether it is clearly worse: beyond the recorded spread, and by a quarter.

        A number that is no ratio, such as what a peer admits too many, only has to meet its bar.
        """
        if self.bar.against is None:
            return not self.bar.admits(self.present.median)
        if self.bar.at_most is not None:
            worst = max(self.recorded.high, self.recorded.median * TOLERANCE)
            return self.present.median > worst
        worst = min(self.recorded.low, self.recorded.median / TOLERANCE)
        return self.present.median < worst


def compare_runs(recorded: Run, present: Run) -> list[Change]:
    """Return every bar that both runs have measured.

    Raises:
        RecordError: they were made with other sizes.
    """
    if recorded.sizes != present.sizes:
        raise RecordError(
            f"The recorded run of PostgreSQL {recorded.major} has {recorded.sizes} sizes, this one "
            f"{present.sizes}: ratios of other sizes cannot be compared."
        )
    then = {verdict.bar.name: verdict for verdict in recorded.verdicts}
    return [
        change for verdict in present.verdicts if (change := _change(then, verdict)) is not None
    ]


def _change(recorded: dict[str, Verdict], verdict: Verdict) -> Change | None:
    then = recorded.get(verdict.bar.name)
    if then is None or then.ratio is None or verdict.ratio is None:
        return None
    return Change(bar=verdict.bar, recorded=then.ratio, present=verdict.ratio)

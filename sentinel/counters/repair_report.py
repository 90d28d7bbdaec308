"""What a repair says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sentinel.counters.problems import Problem
    from sentinel.counters.repair_batch import SkippedRows


@dataclass(frozen=True, kw_only=True)
class RepairReport:
    """What a repair did to one counter.

    Attributes:
        counter: the counter's name.
        rows_found: rows in drift when the repair looked for them. Those that were neither repaired
            nor skipped nor left were right, or gone, when their turn came.
        rows_repaired: rows that it made right.
        rows_skipped: rows that it could not make right.
        rows_left: rows that it did not try, since it was to end before.
        rows_unlisted: rows in drift that the audit counted and did not list, and that it does not
            know.
        seconds: how long it took.
        skipped: the rows that were skipped, and why.
        problems: what is wrong with the triggers. Where there is anything, a repair would not
            hold, and nothing is written.
    """

    counter: str
    rows_found: int
    rows_repaired: int
    rows_skipped: int
    rows_left: int
    rows_unlisted: int
    seconds: float
    skipped: tuple[SkippedRows, ...]
    problems: tuple[Problem, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing wrong is left of what the repair was to make right."""
        return not (self.rows_skipped or self.rows_left or self.rows_unlisted or self.problems)


@dataclass(frozen=True, kw_only=True)
class RepairRunReport:
    """What a run of repairs did.

    Attributes:
        run: its number, under which the repaired rows are kept.
        batches: transactions that it made.
        seconds: how long it took.
        counters: what it did to each counter.
    """

    run: int
    batches: int
    seconds: float
    counters: tuple[RepairReport, ...]

    @property
    def rows_repaired(self) -> int:
        """Rows of all counters that it made right."""
        return sum(report.rows_repaired for report in self.counters)

    @property
    def complete(self) -> bool:
        """Whether nothing wrong is left."""
        return all(report.complete for report in self.counters)

    @property
    def refused(self) -> bool:
        """Whether a counter was not repaired, since its triggers would not keep it."""
        return any(report.problems for report in self.counters)

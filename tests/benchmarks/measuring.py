"""Measures several ways of doing the same in turns, and says how they compare."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Way = Callable[[], float]  # does the work once, and returns what it took


class UnequalRoundsError(ValueError):
    """Two measurements that were not made in the same rounds cannot be set against each other."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one way took, round by round.

    Attributes:
        unit: of the values, such as ms or transactions/s.
        values: one of each round.
    """

    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the values."""
        return statistics.median(self.values)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How two measurements compare.

    Attributes:
        median: of the ratios of each round. What disturbs the machine in a round disturbs both.
        low: the lower quartile of these ratios.
        high: the upper one.
    """

    median: float
    low: float
    high: float


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the lower and the upper quartile; of one value, that value."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def summarise(values: Sequence[float]) -> Ratio:
    """Return the median and the quartiles of some values."""
    low, high = quartiles(values)
    return Ratio(median=statistics.median(values), low=low, high=high)


def compare_rounds(numerator: Measurement, denominator: Measurement) -> Ratio:
    """Set two measurements of the same rounds against each other.

    Raises:
        UnequalRoundsError: one has more rounds than the other.
    """
    if len(numerator.values) != len(denominator.values):
        raise UnequalRoundsError(
            f"{len(numerator.values)} rounds cannot be compared with {len(denominator.values)}: "
            "measure both in the same call of measure_in_turns."
        )
    return summarise(
        [one / other for one, other in zip(numerator.values, denominator.values, strict=True)]
    )


def measure_in_turns(
    ways: Mapping[str, Way], *, rounds: int, warm_up: bool = True
) -> dict[str, tuple[float, ...]]:
    """Call each way once a round, and return what they took by name.

    Every round begins with another way, so that none is always the first after something else.

    Args:
        ways: by name.
        rounds: that count.
        warm_up: whether a round that does not count comes first.
    """
    names = list(ways)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-1 if warm_up else 0, rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            value = ways[name]()
            if turn >= 0:
                taken[name].append(value)
    return {name: tuple(values) for name, values in taken.items()}


def milliseconds(work: Callable[[], object], *, times: int = 1) -> float:
    """Do something so many times, and return how long it took once."""
    started = perf_counter()
    for _ in range(times):
        work()
    return (perf_counter() - started) * 1000 / times

"""How long a repair rests between its batches, and how large they are: others come first."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

# How much longer than the quickest batch the last ones took: a repair that is alone has less.
BUSY = 1.75
STEADY = 1.25  # likewise, of one whose batches nobody disturbs; and after so many of them:
ENOUGH = 4
REMEMBERED = 8  # batches, about: one that met a checkpoint is no sign of writers
LONGEST_REST = 1.0  # seconds; a batch that waited long for a lock says little of the next one


@dataclass(kw_only=True)
class _Times:
    """What batches of one size took, in seconds a row."""

    quickest: float = inf
    usual: float = 0.0  # of the last ones
    number: int = 0

    def add(self, took: float) -> None:
        self.quickest = min(self.quickest, took)
        self.usual += (took - self.usual) / REMEMBERED if self.number else took
        self.number += 1


@dataclass(kw_only=True)
class Pace:
    """The pauses of one counter's repair.

    Who takes processors, disks or locks from a repair makes its batches slower, and would be slowed
    down by them as much. So a repair rests for the time that its last batches took longer than the
    quickest one: alone it hardly rests, and the busier the server, the smaller is its share.

    While its batches take the same time again and again it also takes several of them at once,
    since each transaction has a price of its own.

    Attributes:
        pause: seconds between two batches; None to find out, as above.
        most_together: how many batches at most are repaired in one transaction.
        together: how many to repair in the next one.
    """

    pause: float | None = None
    most_together: int = 1
    together: int = field(default=1, init=False)
    _times: dict[int, _Times] = field(default_factory=dict, init=False)  # by `together`

    def rest(self, *, seconds: float, rows: int) -> float:
        """Return how many seconds to rest after a batch.

        Args:
            seconds: what the batch took.
            rows: how many rows it wrote. Where it wrote none, there is nothing to compare.
        """
        if self.pause is not None:
            return self.pause
        if rows == 0:
            return 0.0
        times = self._times.setdefault(self.together, _Times())
        times.add(seconds / rows)
        if times.usual > STEADY * times.quickest:
            self.together = 1
        elif times.number >= ENOUGH:
            self.together = min(2 * self.together, self.most_together)
        if times.usual <= BUSY * times.quickest:
            return 0.0
        return min((times.usual - times.quickest) * rows, LONGEST_REST)

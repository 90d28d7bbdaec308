"""How long a repair rests between its batches, and how large they are: others come first."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

# How much longer than the quickest batch the last ones took: a repair that is alone has less.
BUSY = 1.75
REMEMBERED = 8  # batches, about: one that met a checkpoint is no sign of writers
LONGEST_REST = 1.0  # seconds; a batch that waited long for a lock says little of the next one


@dataclass(kw_only=True)
class Pace:
    """The pauses of one counter's repair.

    Who takes processors, disks or locks from a repair makes its batches slower, and would be slowed
    down by them as much. So a repair rests for the time that its last batches took longer than the
    quickest one: alone it hardly rests, and the busier the server, the smaller is its share.

    Alone it also takes several batches at once, since each transaction has a price of its own.

    Attributes:
        pause: seconds between two batches; None to find out, as above.
        most_together: how many batches at most are repaired in one transaction.
        together: how many to repair in the next one.
    """

    pause: float | None = None
    most_together: int = 1
    together: int = field(default=1, init=False)
    _quickest: float = inf  # seconds a row
    _usual: float = 0.0  # seconds a row, of the last batches

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
        took = seconds / rows
        self._quickest = min(self._quickest, took)
        self._usual += (took - self._usual) / REMEMBERED if self._usual else took
        if self._usual <= BUSY * self._quickest:
            self.together = min(2 * self.together, self.most_together)
            return 0.0
        self.together = 1
        return min((self._usual - self._quickest) * rows, LONGEST_REST)

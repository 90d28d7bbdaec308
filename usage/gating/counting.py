"""Counts refusals: in memory first, and a few seconds later in one small write.

Whoever is refused tries again, and perhaps a thousand times a second. So a refusal only adds one to
a number in memory. Five seconds after the first of them a thread writes all that has come together,
in a transaction and on a connection of its own: a request neither waits for it nor fails by it.

A process that is killed loses what it has refused in these seconds; one that ends by itself writes
it before. While the database cannot be reached the numbers wait, up to `MOST_KEYS` of them. What is
refused beyond is logged as a number, and not counted.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connections, transaction

from sentinel.counters.statements import named_queries
from usage.statements import FOLDER

if TYPE_CHECKING:
    from datetime import date, datetime

logger = logging.getLogger(__name__)

PAUSE = 5.0  # seconds: the page is as good as up to date, and a flood is a write in five seconds
MOST_KEYS = 10_000  # users times features of five seconds; some three megabytes
PATIENCE = "2s"  # less than the pause: writes do not pile up


class RefusalKey(NamedTuple):
    """Whose refusals are one number. In this order they are written."""

    user_id: int
    day: date
    feature: str
    plan: str


@dataclass(kw_only=True)
class Tally:
    """How many refusals there were, and when the last one was."""

    refusals: int
    last_at: datetime


class RefusalCounter:
    """The refusals of this process that are not written yet. Any thread may count.

    Args:
        pause: seconds from the first refusal to the write; None never writes by itself.
        most_keys: how many numbers there are at most.
        using: the database's alias.
    """

    def __init__(
        self,
        *,
        pause: float | None = PAUSE,
        most_keys: int = MOST_KEYS,
        using: str = DEFAULT_DB_ALIAS,
    ) -> None:
        self._pause = pause
        self._most_keys = most_keys
        self._using = using
        self.forget()

    def forget(self) -> None:
        """Begin with nothing, as a forked process must: its parent writes what it had."""
        self._lock = threading.Lock()  # held for as long as an addition takes
        self._writing = threading.Lock()  # held for as long as a write takes
        self._tallies: dict[RefusalKey, Tally] = {}
        self._uncounted = 0
        self._timer: threading.Timer | None = None

    def count(self, *, user_id: int, feature: str, plan: str, now: datetime) -> None:
        """Add a refusal. It neither waits for the database nor fails.

        Args:
            user_id: whose use was refused.
            feature: the feature's name.
            plan: the user's plan at that moment.
            now: when, with a time zone.
        """
        day = now.astimezone(UTC).date()
        key = RefusalKey(user_id=user_id, day=day, feature=feature, plan=plan)
        with self._lock:
            self._add(key, Tally(refusals=1, last_at=now))
            self._start_timer()

    def write(self) -> int:
        """Write what has come together, and return how many refusals that was.

        What could not be written is kept for the next time; the log says why.
        """
        with self._writing:
            with self._lock:
                tallies, self._tallies = self._tallies, {}
                uncounted, self._uncounted = self._uncounted, 0
                if self._timer is not None:
                    self._timer.cancel()  # of no effect in the timer's own thread
                    self._timer = None
            if uncounted:
                logger.warning("Refusals were not counted", extra={"refusals": uncounted})
            if not tallies:
                return 0
            try:
                self._store(tallies)
            except Error as error:
                logger.warning(
                    "Failed to write refusals", extra={"reason": str(error).partition("\n")[0]}
                )
                with self._lock:
                    for key, tally in tallies.items():
                        self._add(key, tally)
                    self._start_timer()
                return 0
        return sum(tally.refusals for tally in tallies.values())

    def _add(self, key: RefusalKey, tally: Tally) -> None:
        known = self._tallies.get(key)
        if known is not None:
            known.refusals += tally.refusals
            known.last_at = max(known.last_at, tally.last_at)
        elif len(self._tallies) < self._most_keys:
            self._tallies[key] = tally
        else:
            self._uncounted += tally.refusals

    def _start_timer(self) -> None:
        if self._pause is None or self._timer is not None:
            return
        timer = threading.Timer(self._pause, self._write_in_thread)
        timer.daemon = True  # the process may end before: then `write` is called at its end
        timer.name = "refusals"
        try:
            timer.start()
        except RuntimeError:  # no thread can be had: the next refusal tries again
            return
        self._timer = timer

    def _write_in_thread(self) -> None:
        try:
            self.write()
        finally:
            connections[self._using].close()  # the thread's own: the next write has another

    def _store(self, tallies: dict[RefusalKey, Tally]) -> None:
        rows = sorted(tallies.items())
        queries = named_queries("refusals", FOLDER)
        with transaction.atomic(using=self._using), connections[self._using].cursor() as cursor:
            cursor.execute(queries["patience"], {"timeout": PATIENCE})
            cursor.execute(
                queries["add"],
                {
                    "users": [key.user_id for key, _ in rows],
                    "days": [key.day for key, _ in rows],
                    "features": [key.feature for key, _ in rows],
                    "plans": [key.plan for key, _ in rows],
                    "refusals": [tally.refusals for _, tally in rows],
                    "last_at": [tally.last_at for _, tally in rows],
                },
            )


_counter = RefusalCounter()
os.register_at_fork(after_in_child=_counter.forget)
atexit.register(_counter.write)


def count_refusal(*, user_id: int, feature: str, plan: str | None, now: datetime) -> None:
    """Count a use that was refused, for the reports. See `RefusalCounter.count`.

    `SENTINEL_COUNT_REFUSALS = False` counts none: for tests, whose database is gone a little later.
    """
    if getattr(settings, "SENTINEL_COUNT_REFUSALS", True):
        _counter.count(user_id=user_id, feature=feature, plan=plan or "", now=now)

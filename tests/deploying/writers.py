"""The existing application at work: connections that write all the time."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import psycopg

if TYPE_CHECKING:
    from types import TracebackType

    from tests.scratch import ScratchDatabase

MESSAGE = "INSERT INTO chat_messages (thread_id, role, content) VALUES (%s, 'user', '?')"
ITINERARY = (
    "UPDATE travel_itineraries SET data = jsonb_build_object('waypoints', '[1, 2]'::jsonb)"
    " WHERE id = (SELECT min(id) + %s FROM travel_itineraries)"
)
USE = "SELECT increment_feature_usage(%s, 'api_access')"


@dataclass
class Writers:
    """Write until the block ends. Each has a thread of its own to append to.

    The legacy trigger counts too little where two append to the same thread at once, which is no
    matter of ours. These never do, so what it counts is exact, and a message that nobody counts is
    found.

    Attributes:
        database: where they write.
        number: how many.
        pace: seconds between two rounds of a writer, so that a test is not one of speed.
        rounds: what each has done: one message, one itinerary, one use.
        errors: what ended a writer.
    """

    database: ScratchDatabase
    number: int = 2
    pace: float = 0.002
    rounds: dict[int, int] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.stopping = threading.Event()
        self.at_work = threading.Barrier(self.number + 1)
        keys = self.database.rows(
            "INSERT INTO chat_threads (user_id, title)"
            f" SELECT 1, 'Live' FROM generate_series(1, {self.number}) RETURNING id"
        )
        self.threads = [
            threading.Thread(target=self.write, args=(number, key))
            for number, (key,) in enumerate(keys)
        ]
        for thread in self.threads:
            thread.start()
        self.at_work.wait(timeout=30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(timeout=30)
            assert not thread.is_alive()
        if kind is None:
            assert not self.errors, self.errors

    def write(self, number: int, key: int) -> None:
        self.rounds[number] = 0
        with self.database.connect() as connection:
            while not self.stopping.is_set():
                try:
                    connection.execute(MESSAGE.encode(), [key])
                    connection.execute(ITINERARY.encode(), [number])
                    connection.execute(USE.encode(), [number + 1])
                except psycopg.Error as error:
                    self.errors.append(error)
                    break
                self.rounds[number] += 1
                if self.rounds[number] == 1:
                    self.at_work.wait(timeout=30)
                time.sleep(self.pace)

    def go_on(self) -> None:
        """Return when every writer has written once more."""
        before = dict(self.rounds)
        deadline = time.monotonic() + 30
        while any(self.rounds[number] <= done for number, done in before.items()):
            assert not self.errors, self.errors
            assert time.monotonic() < deadline
            time.sleep(0.01)

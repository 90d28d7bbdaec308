"""Who keeps a statement waiting, asked while it waits."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from sentinel.counters.statements import named_queries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper

QUERIES = named_queries("waiting", Path(__file__).with_name("sql"))


class Blocker(NamedTuple):
    """A transaction that is waited for.

    Attributes:
        table: what is waited for.
        pid: the server's process.
        user: its role.
        application: as it calls itself.
        state: what it does, such as `idle in transaction`.
        seconds: how long its transaction has been open, where there is one.
        query: the beginning of its last statement.
    """

    table: str
    pid: int
    user: str
    application: str
    state: str
    seconds: float | None
    query: str

    def __str__(self) -> str:
        since = "" if self.seconds is None else f" for {self.seconds:.1f} s"
        return (
            f"{self.table}: process {self.pid} ({self.application}, role {self.user}, "
            f"{self.state}{since}: {self.query})"
        )


@contextmanager
def watch_blockers(
    connection: BaseDatabaseWrapper, *, backend: int, after: float
) -> Iterator[list[Blocker]]:
    """Look once who blocks a session, if its statement takes longer than that.

    After a lock timeout it is too late to ask: nobody waits any more. So another thread asks, on a
    connection of its own, which is opened only then.

    Args:
        connection: whose parameters are used to connect.
        backend: the server's process of the session.
        after: seconds.

    Yields:
        Whom it found, by the end of the block.
    """
    found: list[Blocker] = []
    parameters = connection.get_connection_params()
    timer = threading.Timer(after, _find_blockers, (parameters, backend, found))
    timer.start()
    try:
        yield found
    finally:
        timer.cancel()
        timer.join()


def _find_blockers(parameters: dict[str, Any], backend: int, found: list[Blocker]) -> None:
    try:
        with psycopg.connect(**parameters | {"connect_timeout": 2}) as session:
            cursor = psycopg.Cursor(session)
            cursor.execute(QUERIES["find_blockers"].encode(), [backend])
            found += [Blocker(*row) for row in cursor.fetchall()]
    except psycopg.Error:
        return  # no connection is left: the migration goes on, and cannot say who it was

"""The repair of a counter that was just added, as SQL for a migration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.sql import SQL, Literal

from sentinel.counters.repair import find_batches
from sentinel.counters.statements import render

if TYPE_CHECKING:
    from sentinel.counters.binding import BoundCounter


DEFAULT_BATCH_SIZE = 1_000  # rows; it locks what nobody holds, and has the rows to itself soon


def backfill_sql(counter: BoundCounter, *, batch_size: int = DEFAULT_BATCH_SIZE) -> str:
    """Return one statement that fills a counter, in batches that it commits.

    It is text to be kept in a migration: what a migration does is frozen, and imports no code.

    Args:
        counter: its column, guards and counting triggers are installed before.
        batch_size: rows of a batch.
    """
    missing = counter.add_missing_parents(SQL("batch.keys"))
    free = SQL("backfill.free")
    query = render(
        "repair",
        "backfill",
        title=SQL(counter.name),
        size=SQL(f"{batch_size:,}"),
        find_batches=find_batches(counter, among=None, size=batch_size),
        add_missing_parents=SQL("") if missing is None else SQL("{};\n").format(missing),
        settings=SQL(" ").join(
            SQL("PERFORM set_config({}, {}, true);").format(Literal(name), Literal(value))
            for name, value in counter.repair_settings.items()
        ),
        lock_free_parents=counter.lock_parents(SQL("batch.keys"), skip_locked=True),
        lock_parents=counter.lock_parents(free),
        rewrite=counter.rewrite(free),
    )
    return query.as_string(None) + "\n"

"""Erases what is known of a person's usage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from sentinel.counters.statements import named_queries
from usage.archiving.run import lock_archive
from usage.statements import FOLDER

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper


@dataclass(frozen=True, kw_only=True)
class ErasedUsage:
    """What was erased, or would be.

    Attributes:
        user_id: whose it was.
        rows: months in the ledger.
        events: their events.
        archived_rows: months in the archive.
        archived_events: their events.
        keys: idempotency keys of archived events.
        refusals: rows of uses that were refused, one for each day, feature and plan.
    """

    user_id: int
    rows: int
    events: int
    archived_rows: int
    archived_events: int
    keys: int
    refusals: int

    @property
    def nothing(self) -> bool:
        """Whether nothing is known of the person's usage."""
        known = (self.rows, self.events, self.archived_rows, self.keys, self.refusals)
        return not any(known)


def find_usage(user_id: int, *, using: str = DEFAULT_DB_ALIAS) -> ErasedUsage:
    """Return what `erase_usage` would erase. Writes nothing."""
    with connections[using].cursor() as cursor:
        return _count(cursor, user_id)


def erase_usage(user_id: int, *, using: str = DEFAULT_DB_ALIAS) -> ErasedUsage:
    """Erase a person's usage from the ledger and from the archive, all of it or nothing.

    An account that is still there counts from zero again: delete it first. What was exported to
    files is not reached, and neither are backups.

    Args:
        user_id: the number of the account, which may be gone.
        using: the database's alias. The caller has no transaction open in it.

    Raises:
        ArchiveRunningError: a run of the archive is at work.
    """
    queries = named_queries("erase", FOLDER)
    with (
        lock_archive(using=using),
        transaction.atomic(using=using, durable=True),
        connections[using].cursor() as cursor,
    ):
        erased = _count(cursor, user_id)
        for name in ("erase_ledger", "erase_archive", "erase_keys", "erase_refusals"):
            cursor.execute(queries[name], {"user": user_id})
    return erased


def _count(cursor: CursorWrapper, user_id: int) -> ErasedUsage:
    def ask(name: str) -> Any:
        cursor.execute(named_queries("erase", FOLDER)[name], {"user": user_id})
        return cursor.fetchone()

    rows, events = ask("count_ledger")
    archived_rows, archived_events = ask("count_archive")
    [keys] = ask("count_keys")
    [refusals] = ask("count_refusals")
    return ErasedUsage(
        user_id=user_id,
        rows=rows,
        events=events,
        archived_rows=archived_rows,
        archived_events=int(archived_events),
        keys=keys,
        refusals=refusals,
    )

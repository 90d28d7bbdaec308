"""Loads records: one transaction, bounded batches, everything or nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from django.db import DEFAULT_DB_ALIAS, DataError, IntegrityError, connections, transaction

from sentinel.imports import staging
from sentinel.imports.errors import InputError, RecordError
from sentinel.imports.fields import email_address, require_email, require_filled_text
from sentinel.imports.records import parse_record
from sentinel.imports.staging import StagedRecord
from sentinel.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from django.db.backends.utils import CursorWrapper

    from sentinel.imports.fields import Record
    from sentinel.imports.rejects import RejectedLines
    from sentinel.imports.source import Line, Source

BATCH_RECORDS = 5_000  # enough that the statements of a batch cost nothing beside its rows
BATCH_CHARACTERS = 8 * 1024 * 1024  # when a batch of long records is full
TELL_EVERY = 50  # records; to ask where one is in the file costs as much as to check a field


def identify_by_id(record: Record) -> str:
    """Return the field `id`, which tells records of most kinds apart.

    Raises:
        RecordError: it is missing, no text, or blank.
    """
    return require_filled_text(record, "id")


@dataclass(frozen=True, kw_only=True)
class RecordKind:
    """One kind of record, and how it becomes rows.

    Every kind has `user`, which is checked for it. The statements read `pg_temp.staged_records`,
    and the users by `email` in `pg_temp.staged_users`: see `sentinel.imports.staging`. None may
    write a counter: triggers count.

    Attributes:
        rows: what the records become, such as `threads`.
        children: what belongs to them and has rows of its own, such as `messages`, if any.
        namespace: a record's UUID, by which its row is known, is made of this and its identity.
            Never to be changed. None where rows have no UUID.
        check: raises `RecordError` for a record that cannot be imported.
        drop_known: deletes staged records that have a row already; None where `insert_rows` alone
            can tell.
        insert_rows: adds rows, skips those that are there, and sets `row_id` of the staged records
            that were added, where they have children. Its row count is how many.
        insert_children: adds the children of staged records with a `row_id`.
        identify: returns what tells a record from all others of its kind, once it was checked.
        batch_records: how many records at most are loaded by one statement.
        grows: a table that triggers look up for every record. The planner is told of its growth
            as it goes, since by what it knew before the import it may read all of it each time.
    """

    rows: str
    children: str | None
    namespace: UUID | None
    check: Callable[[Record], None]
    drop_known: str | None
    insert_rows: str
    insert_children: str | None
    identify: Callable[[Record], str] = identify_by_id
    batch_records: int = BATCH_RECORDS
    grows: str | None = None

    def key(self, identity: str) -> UUID | None:
        """Return the UUID of the record with this identity, where rows have one."""
        return self.namespace and uuid5(self.namespace, identity)


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What an import did.

    Attributes:
        records_read: lines that are not blank, the rejected ones included.
        rows_added: records that became a row.
        already_there: records whose row was there, or that the file has twice.
        children_added: rows that belong to the added ones.
        users_added: users that were made for them.
        rejected: lines that are no records.
        rejected_file: where these lines are; None where there are none.
        dry_run: whether everything was rolled back.
        seconds: how long it took.
    """

    records_read: int
    rows_added: int
    already_there: int
    children_added: int
    users_added: int
    rejected: int
    rejected_file: Path | None
    dry_run: bool
    seconds: float


def import_records(
    kind: RecordKind,
    source: Source,
    *,
    rejects: RejectedLines | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> ImportReport:
    """Import a file in one transaction. Records that are there already stay as they are.

    Args:
        kind: what the records are.
        source: where they are.
        rejects: takes the lines that are no records; None makes the first of them end the import.
        dry_run: do everything, then roll back.
        progress: is told how far it has come.
        using: the database's alias.

    Raises:
        InputError: a line is no record and there is no place for it, the file cannot be read, or
            the database refused what it was given. Nothing has been imported.
    """
    started = perf_counter()
    loading = _Loading(kind, source, rejects, progress or Progress())
    with transaction.atomic(using=using):
        loading.load_all(using)
        if rejects:  # while it can still be undone: no commit without the file
            rejects.publish()
        if dry_run:
            transaction.set_rollback(True, using=using)
    rejected = rejects.count if rejects else 0
    return ImportReport(
        records_read=loading.records_read,
        rows_added=loading.rows_added,
        already_there=loading.records_read - rejected - loading.rows_added,
        children_added=loading.children_added,
        users_added=loading.users_added,
        rejected=rejected,
        rejected_file=rejects.path if rejects and rejected else None,
        dry_run=dry_run,
        seconds=round(perf_counter() - started, 3),
    )


class _Loading:
    """One import under way."""

    def __init__(
        self,
        kind: RecordKind,
        source: Source,
        rejects: RejectedLines | None,
        progress: Progress,
    ) -> None:
        self.kind = kind
        self.source = source
        self.rejects = rejects
        self.progress = progress
        self.records_read = self.rows_added = self.children_added = self.users_added = 0

    def load_all(self, using: str) -> None:
        connection = connections[using]
        batches = self.batches()
        with (
            connection.cursor() as cursor,
            ThreadPoolExecutor(1, thread_name_prefix="import") as reader,
        ):
            if not staging.lock_imports(cursor):
                self.progress.note("Another import is running: waiting for it to end.")
                staging.wait_for_imports(cursor)
            staging.create_staging(cursor)
            number, batch = 1, next(batches, None)
            while batch is not None:
                with self.refusals_of(batch):
                    staging.stage(connection, cursor, batch)
                    # The server is at work from here on, and Python is free to read. To read while
                    # it stages takes as long as one after the other.
                    coming = reader.submit(next, batches, None)
                    self.load_staged(cursor)
                if self.kind.grows is not None and number.bit_count() == 1:  # it has doubled
                    staging.count_for_planner(cursor, self.kind.grows)
                number, batch = number + 1, coming.result()
            staging.drop_staging(cursor)

    @contextmanager
    def refusals_of(self, batch: list[StagedRecord]) -> Iterator[None]:
        """Say which lines they were of which the database refused one."""
        try:
            yield
        except (DataError, IntegrityError) as error:
            raise InputError(
                f"{self.source.name}, lines {batch[0].position} to {batch[-1].position}: "
                f"the database refused a record: {str(error).strip().splitlines()[0]}."
            ) from error

    def load_staged(self, cursor: CursorWrapper) -> None:
        if self.kind.drop_known is not None:
            cursor.execute(self.kind.drop_known)
        self.users_added += staging.stage_users(cursor)
        cursor.execute(self.kind.insert_rows)
        self.rows_added += cursor.rowcount
        if self.kind.insert_children is not None:
            cursor.execute(self.kind.insert_children)
            self.children_added += cursor.rowcount

    def batches(self) -> Iterator[list[StagedRecord]]:
        """Yield the records in the order of the file, none twice within a batch."""
        batch: dict[str, StagedRecord] = {}
        size = 0
        for identity, record in self.records():
            if identity not in batch:
                batch[identity] = record
                size += len(record.record)
            if len(batch) >= self.kind.batch_records or size >= BATCH_CHARACTERS:
                yield list(batch.values())
                batch, size = {}, 0
        if batch:
            yield list(batch.values())

    def records(self) -> Iterator[tuple[str, StagedRecord]]:
        for line in self.source.lines():
            self.records_read += 1
            if self.records_read % TELL_EVERY == 0:
                self.progress.advance(self.records_read, position=self.source.position)
            try:
                record = self.staged(line)
            except RecordError as error:
                if self.rejects is None:
                    raise InputError(f"{self.source.name}, line {line.number}: {error}.") from None
                self.rejects.add(line, str(error))
            else:
                yield record

    def staged(self, line: Line) -> tuple[str, StagedRecord]:
        text, record = parse_record(line)
        email = require_email(record, "user")
        self.kind.check(record)
        identity = self.kind.identify(record)
        return identity, StagedRecord(
            position=line.number,
            uuid=self.kind.key(identity),
            email=email,
            address=email_address(email),
            record=text,
        )

"""Django's schema editor, with patience: each statement waits shortly, and is tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, transaction
from django.db.backends.postgresql.schema import DatabaseSchemaEditor

from sentinel.migrating.patience import PATIENCE, Patience, limited_wait, retry, translated
from sentinel.retries import sqlstate

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from django.db.backends.base.base import BaseDatabaseWrapper

# What PostgreSQL says to a statement that manages its own transactions, such as CREATE INDEX
# CONCURRENTLY and a DO block that commits, when it is run inside of one.
COMMITS_BY_ITSELF = frozenset({"25001", "2D000"})


class PatientSchemaEditor(DatabaseSchemaEditor):
    """Runs the statements of migrations on tables that others write.

    In a migration with `atomic = False` each statement is a transaction of its own that is repeated
    until it gets its locks. `SET LOCAL` limits the wait, which holds behind pgbouncer as well. A
    statement that cannot run in a transaction says so and is run without.

    A migration with `atomic = True` cannot be repeated from here: it ends, and who runs the
    migrations begins it again (`sentinel.migrating.deploying`).
    """

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        collect_sql: bool = False,  # noqa: FBT001, FBT002 (Django's own signature)
        atomic: bool = True,  # noqa: FBT001, FBT002 (likewise)
        *,
        patience: Patience = PATIENCE,
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        super().__init__(connection, collect_sql, atomic)
        self.patience = patience
        self.tell = tell
        self._is_one_attempt = self.atomic_migration

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Run what was deferred, foreign keys above all, and end the transaction either way.

        Django's own leaves it open when a deferred statement fails, and nothing could begin again.
        """
        if exc_type is None:
            try:
                for sql in self.deferred_sql:
                    self.execute(sql, None)
            except BaseException as error:
                super().__exit__(type(error), error, error.__traceback__)
                raise
            self.deferred_sql.clear()
        super().__exit__(exc_type, exc_value, traceback)

    def execute(self, sql: Any, params: Any = ()) -> None:
        """See `BaseDatabaseSchemaEditor.execute`.

        Raises:
            LockedOutError: its locks are not to be had.
        """

        def run() -> None:
            super(PatientSchemaEditor, self).execute(sql, params)

        if self.collect_sql:
            run()
        elif self._is_one_attempt:
            with limited_wait(self.connection, patience=self.patience):
                run()
        else:
            retry(lambda: self._run_apart(run), patience=self.patience, tell=self.tell)

    def run_in_one_transaction(self, work: Callable[[], None]) -> None:
        """Run several statements in one transaction, which is repeated as a whole.

        Raises:
            LockedOutError: its locks are not to be had.
        """
        if self.collect_sql or self._is_one_attempt:
            work()
            return

        def attempt() -> None:
            self._is_one_attempt = True
            try:
                with transaction.atomic(using=self.connection.alias):
                    work()
            finally:
                self._is_one_attempt = False

        retry(attempt, patience=self.patience, tell=self.tell)

    def _run_apart(self, run: Callable[[], None]) -> None:
        """Run a statement in a transaction, or in a savepoint of one that holds nothing yet."""
        outermost = not self.connection.in_atomic_block
        try:
            with (
                transaction.atomic(using=self.connection.alias),
                limited_wait(self.connection, patience=self.patience),
            ):
                run()
        except DatabaseError as error:
            refused = sqlstate(error) in COMMITS_BY_ITSELF
            if not (outermost and refused):
                raise
            with translated([]):
                run()

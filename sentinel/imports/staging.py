"""The temporary tables through which records come into the database, a batch at a time.

Everything happens in one transaction, so it works behind pgbouncer in transaction mode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from psycopg.sql import SQL, Identifier

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.utils import CursorWrapper

# The second of two imports waits until the first has ended: both may add the same users, in an
# order of their own, and would wait for each other in a circle. A lock of the transaction, since
# one of the session would not hold behind pgbouncer.
TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('sentinel.imports', 0))"
WAIT_FOR_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('sentinel.imports', 0))"

# Compiling these statements takes longer than running them.
NO_COMPILER = "SET LOCAL jit = off"

# `row_id` is the row that was made of the record. Of a user, `email` is what records have,
# `address` the same with the domain in lower case, which a new user gets.
CREATE = """
CREATE TEMPORARY TABLE staged_records (
    position bigint NOT NULL,
    uuid     uuid,
    email    text NOT NULL,
    address  text NOT NULL,
    record   jsonb NOT NULL,
    row_id   bigint
) ON COMMIT DROP;
CREATE TEMPORARY TABLE staged_users (
    email    text NOT NULL,
    address  text NOT NULL,
    user_id  integer
) ON COMMIT DROP
"""
COPY = "COPY pg_temp.staged_records (position, uuid, email, address, record) FROM STDIN"
EMPTY = "TRUNCATE pg_temp.staged_records, pg_temp.staged_users"
COUNT_FOR_PLANNER = "ANALYZE pg_temp.staged_records (position, uuid)"
# Not where somebody else counts it or builds an index on it: to wait for him while he waits for the
# end of this transaction would be a deadlock.
COUNT_GROWN = "ANALYZE (SKIP_LOCKED) {}"
DROP = "DROP TABLE pg_temp.staged_records, pg_temp.staged_users"

NAME_USERS = """
INSERT INTO pg_temp.staged_users (email, address)
SELECT DISTINCT email, address FROM pg_temp.staged_records
"""

# Users whom nobody knows under either way of writing. Without a hash nobody can log in as them.
#
# Here and below each way of writing is compared by itself, as a set. The planner knows nothing yet
# of users that this transaction has added: to look up one at a time, it read all of them each time.
ADD_USERS = """
INSERT INTO users (email, password_hash)
SELECT named.address, ''
  FROM pg_temp.staged_users AS named
 WHERE NOT EXISTS (SELECT FROM users WHERE users.email = named.email)
   AND NOT EXISTS (SELECT FROM users WHERE users.email = named.address)
 GROUP BY named.address
 ORDER BY named.address
ON CONFLICT (email) DO NOTHING
"""

# The user whose email is written as in the record goes first, as at the login.
FIND_USERS = """
UPDATE pg_temp.staged_users AS named
   SET user_id = coalesce(same.id, other.id)
  FROM pg_temp.staged_users AS staged
  LEFT JOIN users AS same ON same.email = staged.email
  LEFT JOIN users AS other ON other.email = staged.address
 WHERE staged.email = named.email
"""


class StagedRecord(NamedTuple):
    """A record on its way into the database: the columns of `COPY`."""

    position: int
    uuid: UUID | None
    email: str
    address: str
    record: str


def lock_imports(cursor: CursorWrapper) -> bool:
    """Keep other imports waiting until the transaction ends. False where one is running."""
    cursor.execute(TRY_LOCK)
    return bool(cursor.fetchone()[0])


def wait_for_imports(cursor: CursorWrapper) -> None:
    """Wait until the import that is running has ended, then keep others waiting."""
    cursor.execute(WAIT_FOR_LOCK)


def create_staging(cursor: CursorWrapper) -> None:
    """Make the staging tables, for this transaction."""
    cursor.execute(NO_COMPILER)
    cursor.execute(CREATE)


def drop_staging(cursor: CursorWrapper) -> None:
    """Drop the staging tables before the transaction ends, in which there may be another import."""
    cursor.execute(DROP)


def stage(
    connection: BaseDatabaseWrapper, cursor: CursorWrapper, records: Iterable[StagedRecord]
) -> None:
    """Put a batch into the staging table in place of the batch before it."""
    cursor.execute(EMPTY)
    with connection.wrap_database_errors, cursor.copy(COPY) as copy:
        for record in records:
            copy.write_row(record)
    cursor.execute(COUNT_FOR_PLANNER)


def count_for_planner(cursor: CursorWrapper, table: str) -> None:
    """Have the planner's statistics of a table counted, as this transaction sees it.

    A role that does not own the table is told by a notice that it may not, and goes on without.
    """
    cursor.execute(SQL(COUNT_GROWN).format(Identifier(table)).as_string(None))


def stage_users(cursor: CursorWrapper) -> int:
    """Add the users that staged records name and nobody has added; return how many these were."""
    cursor.execute(NAME_USERS)
    cursor.execute(ADD_USERS)
    added: int = cursor.rowcount
    cursor.execute(FIND_USERS)
    return added

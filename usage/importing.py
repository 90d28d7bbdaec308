"""Usage events in files: what they must hold, and how they become events of the ledger."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from sentinel.imports import RecordError, RecordKind
from sentinel.imports.fields import quote, require_filled_text, require_text, require_whole_number
from usage.arguments import LARGEST, LONGEST_KEY
from usage.errors import UnknownFeatureError
from usage.features import find_feature

if TYPE_CHECKING:
    from sentinel.imports.fields import Record

# What lies outside is a slip of the pen, such as 0215 or a time in milliseconds.
EARLIEST_YEAR, LATEST_YEAR = 2000, 2099
# Events of one statement are summed before they touch a month: the more, the fewer writes to it.
# So many short records take some 40 MB.
BATCH_EVENTS = 50_000
# As Python and PostgreSQL both read it, and no other way of ISO 8601.
MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-](?:0\d|1[0-5])(?::?[0-5]\d)?)",
    re.ASCII,
)
WITHOUT_OFFSET = re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.]+)?", re.ASCII)

# Of two records with one key the first counts, in the file as in the ledger and its archive.
INSERT_EVENTS = """
INSERT INTO feature_usage_events
    (user_id, feature, quantity, occurred_at, idempotency_key, source)
SELECT user_id, record ->> 'feature', (record -> 'quantity')::integer,
       (record ->> 'occurred_at')::timestamptz, record ->> 'key', 'import'
  FROM pg_temp.staged_records AS staged
  JOIN pg_temp.staged_users AS named USING (email)
 WHERE NOT EXISTS (SELECT  -- a key stays used when its event is archived
                     FROM feature_usage_archived_keys AS used
                    WHERE used.user_id = named.user_id
                      AND used.idempotency_key = staged.record ->> 'key')
 ORDER BY position
ON CONFLICT (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
"""


def check_event(record: Record) -> None:
    """See `RecordKind.check`."""
    require_filled_text(record, "key", max_length=LONGEST_KEY)
    name = require_text(record, "feature")
    try:
        find_feature(name)
    except UnknownFeatureError as error:
        raise RecordError(f'"feature": {str(error).removesuffix(".")}') from None
    require_whole_number(record, "quantity", least=1, most=LARGEST)
    _check_moment(require_text(record, "occurred_at"))


def identify_event(record: Record) -> str:
    """See `RecordKind.identify`. A key is one of its user, and no email has a line break."""
    return f"{record['user']}\n{record['key']}"


def _check_moment(text: str) -> None:
    if not MOMENT.fullmatch(text):
        if WITHOUT_OFFSET.fullmatch(text):
            raise RecordError(
                f'"occurred_at" has no offset, and so may lie in two months: {quote(text)}; '
                "add one, such as Z or +02:00"
            )
        raise RecordError(
            f'"occurred_at" is no ISO 8601 time with an offset: {quote(text)}; '
            "write it as 2026-03-15T12:00:00+00:00"
        )
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise RecordError(f'"occurred_at" is no time: {quote(text)}, {error}') from None
    if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        raise RecordError(
            f'"occurred_at" is {quote(text)}: the years {EARLIEST_YEAR} to {LATEST_YEAR} are read'
        )


USAGE_EVENTS = RecordKind(
    rows="events",
    children=None,
    namespace=None,  # the ledger knows an event by its user and key
    check=check_event,
    drop_known=None,
    insert_rows=INSERT_EVENTS,
    insert_children=None,
    identify=identify_event,
    batch_records=BATCH_EVENTS,
    grows="feature_usage",
)

"""Conversations in files: what they must hold, and how they become threads and messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from sentinel.imports import RecordError, RecordKind
from sentinel.imports.fields import (
    describe,
    quote,
    require_filled_text,
    require_list,
    require_text,
)

if TYPE_CHECKING:
    from sentinel.imports.fields import Record

# Every imported thread has its UUID from here: with another, all would be imported again.
NAMESPACE = UUID("dd85f52c-ce07-45a9-911a-cbcf21d27abb")
LONGEST_TITLE = 255  # characters; the column takes any, but a title is a line in a list
ROLES = ("user", "assistant", "system")  # as the table's check has them

DROP_KNOWN = """
DELETE FROM pg_temp.staged_records AS staged
 USING chat_threads AS thread
 WHERE thread.thread_uuid = staged.uuid
"""

INSERT_THREADS = """
WITH added AS (
    INSERT INTO chat_threads (user_id, thread_uuid, title, investigation_topic)
    SELECT user_id, uuid, record ->> 'title', record ->> 'topic'
      FROM pg_temp.staged_records
      JOIN pg_temp.staged_users USING (email)
     ORDER BY position
    ON CONFLICT (thread_uuid) DO NOTHING
    RETURNING id, thread_uuid)
UPDATE pg_temp.staged_records AS staged
   SET row_id = added.id
  FROM added
 WHERE added.thread_uuid = staged.uuid
"""

# In the order of the conversation: what is said later has the higher id.
INSERT_MESSAGES = """
INSERT INTO chat_messages (thread_id, role, content)
SELECT staged.row_id, message.value ->> 'role', message.value ->> 'content'
  FROM pg_temp.staged_records AS staged,
       jsonb_array_elements(staged.record -> 'messages') WITH ORDINALITY AS message
 WHERE staged.row_id IS NOT NULL
 ORDER BY staged.position, message.ordinality
"""


def check_conversation(record: Record) -> None:
    """See `RecordKind.check`."""
    require_filled_text(record, "title", max_length=LONGEST_TITLE)
    require_text(record, "topic")
    for index, message in enumerate(require_list(record, "messages")):
        _check_message(message, place=f"messages[{index}]")


def _check_message(message: Any, *, place: str) -> None:
    if not isinstance(message, dict):
        raise RecordError(f'"{place}" is {describe(message)} instead of an object')
    role = require_text(message, "role", within=f"{place}.")
    if role not in ROLES:
        raise RecordError(
            f'"{place}.role" is the unknown role {quote(role)}; there are: {", ".join(ROLES)}'
        )
    require_text(message, "content", within=f"{place}.")


CONVERSATIONS = RecordKind(
    rows="threads",
    children="messages",
    namespace=NAMESPACE,
    check=check_conversation,
    drop_known=DROP_KNOWN,
    insert_rows=INSERT_THREADS,
    insert_children=INSERT_MESSAGES,
)

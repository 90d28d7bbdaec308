"""Itineraries in files: what they must hold, and how they become rows."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from sentinel.imports import RecordKind
from sentinel.imports.fields import require_filled_text, require_list, require_object

if TYPE_CHECKING:
    from sentinel.imports.fields import Record

# Every imported itinerary has its UUID from here: with another, all would be imported again.
NAMESPACE = UUID("c9bf392c-1bc5-40cf-9197-61cc78ca9ec4")
LONGEST_TITLE = 255  # characters, as wide as the column is

DROP_KNOWN = """
DELETE FROM pg_temp.staged_records AS staged
 USING travel_itineraries AS itinerary
 WHERE itinerary.itinerary_uuid = staged.uuid
"""

INSERT_ITINERARIES = """
INSERT INTO travel_itineraries (user_id, itinerary_uuid, title, data)
SELECT user_id, uuid, record ->> 'title', record -> 'data'
  FROM pg_temp.staged_records
  JOIN pg_temp.staged_users USING (email)
 ORDER BY position
ON CONFLICT (itinerary_uuid) DO NOTHING
"""


def check_itinerary(record: Record) -> None:
    """See `RecordKind.check`. Beside the waypoints, the document is the existing application's."""
    require_filled_text(record, "title", max_length=LONGEST_TITLE)
    require_list(require_object(record, "data"), "waypoints", within="data.")


ITINERARIES = RecordKind(
    rows="itineraries",
    children=None,
    namespace=NAMESPACE,
    check=check_itinerary,
    drop_known=DROP_KNOWN,
    insert_rows=INSERT_ITINERARIES,
    insert_children=None,
)

"""Model fields for column types that Django has no field for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


class UTCTimestampField(models.DateTimeField):  # type: ignore[type-arg]
    """A `timestamp` column without time zone that holds UTC: aware in Python, naive in the column.

    Both conversions are made here, in Python. Left to PostgreSQL they would follow the time zone
    of the session, and one row would mean two different moments in two sessions.

    What the database computes by itself still follows the session: a column default `now()`, and
    lookups such as `created_at__month`. Our own sessions run in UTC (`TIME_ZONE`).
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str:  # noqa: ARG002
        """Return the column's type; Django's own would be `timestamp with time zone`."""
        return "timestamp"

    def from_db_value(self, value: datetime | None, *_: object) -> datetime | None:
        """Say that what the column holds is UTC."""
        return None if value is None else value.replace(tzinfo=UTC)

    def get_db_prep_value(
        self,
        value: Any,
        connection: BaseDatabaseWrapper,
        prepared: bool = False,  # noqa: FBT001, FBT002 (Django's signature)
    ) -> Any:
        """Turn an aware moment into UTC's wall clock, without zone."""
        value = super().get_db_prep_value(value, connection, prepared)
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC).replace(tzinfo=None)
        return value

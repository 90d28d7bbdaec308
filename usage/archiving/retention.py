"""Which months are old enough to be archived."""

from __future__ import annotations

from datetime import UTC, date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

DEFAULT_MONTHS = (
    6  # as the guide has it: longer than a summary or a dispute about a bill looks back
)
MOST_MONTHS = 1_200  # a century: what lies beyond is a slip of the pen


class RetentionError(ValueError):
    """A limit that would archive months which are to stay, or means nothing."""


def archive_before(
    *, now: datetime, months: int = DEFAULT_MONTHS, before: date | None = None
) -> date:
    """Return the day before which a month must have begun to be archived.

    It is the first of a month, in UTC, whatever the time zone of `now` is.

    Args:
        now: the time, with a time zone.
        months: how many months before this one stay.
        before: a day instead: the months before that of this day are archived.

    Raises:
        RetentionError: this month would be archived, or the one before it, which late events still
            come into: at least that one stays, unless a day is given.
    """
    today = now.astimezone(UTC).date()
    if before is not None:
        if before.replace(day=1) >= today.replace(day=1):
            raise RetentionError(
                f"--before {before}: {before:%Y-%m} is not over (today is {today}, in UTC). "
                "Give a day of a month that is."
            )
        return before.replace(day=1)
    if not 1 <= months <= MOST_MONTHS:
        raise RetentionError(
            f"--months {months}: this month and the one before it stay at least. "
            f"Give 1 to {MOST_MONTHS:,}."
        )
    year, month = divmod(today.year * 12 + today.month - 1 - months, 12)
    return date(year, month + 1, 1)

"""Which months are old enough, at the borders of months and years and in any time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from usage.archiving.retention import RetentionError, archive_before


@pytest.mark.parametrize(
    ("now", "months", "first_that_stays"),
    [
        ("2026-07-01T00:00:00", 6, "2026-01-01"),
        ("2026-06-30T23:59:59", 6, "2025-12-01"),
        ("2026-01-01T00:00:00", 1, "2025-12-01"),
        ("2025-12-31T23:59:59", 1, "2025-11-01"),
        ("2024-02-29T12:00:00", 12, "2023-02-01"),
        ("2026-12-15T12:00:00", 11, "2026-01-01"),
        ("2026-12-15T12:00:00", 12, "2025-12-01"),
    ],
)
def test_months_that_began_more_than_so_many_months_before_this_one_are_archived(
    now: str, months: int, first_that_stays: str
) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert archive_before(now=moment, months=months) == date.fromisoformat(first_that_stays)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu"])
def test_the_month_is_that_of_utc_whatever_the_clock_shows(zone: str) -> None:
    before, after = (
        datetime(2026, 6, 30, 23, 59, 59, tzinfo=UTC).astimezone(ZoneInfo(zone)),
        datetime(2026, 7, 1, tzinfo=UTC).astimezone(ZoneInfo(zone)),
    )
    assert archive_before(now=before) == date(2025, 12, 1)
    assert archive_before(now=after) == date(2026, 1, 1)


@pytest.mark.parametrize("day", ["2026-03-01", "2026-03-31"])
def test_a_day_stands_for_the_beginning_of_its_month(day: str) -> None:
    now = datetime(2026, 4, 1, tzinfo=UTC)
    assert archive_before(now=now, before=date.fromisoformat(day)) == date(2026, 3, 1)


@pytest.mark.parametrize("day", ["2026-03-01", "2026-03-15", "2026-04-01", "2027-01-01"])
def test_a_day_of_a_month_that_is_not_over_is_refused(day: str) -> None:
    with pytest.raises(RetentionError, match=f"--before {day}: .* is not over"):
        archive_before(
            now=datetime(2026, 3, 31, 23, 59, tzinfo=UTC), before=date.fromisoformat(day)
        )


@pytest.mark.parametrize("months", [0, -1, 1_201])
def test_a_number_of_months_that_means_nothing_is_refused(months: int) -> None:
    with pytest.raises(RetentionError, match=f"--months {months}: "):
        archive_before(now=datetime(2026, 3, 31, tzinfo=UTC), months=months)

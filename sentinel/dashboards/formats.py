"""Numbers and times as people read them, in the format of the language that is active."""

from __future__ import annotations

from datetime import UTC, date, datetime

from django.utils.formats import number_format

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"  # where there is no figure: not 0, and not an empty cell


def show_number(value: float | None, *, decimals: int = 0) -> str:
    """Return a number with its thousands apart: 12,345 or 12.345."""
    if value is None:
        return NOTHING
    rounded = round(value, decimals)  # Django only cuts off
    text = number_format(abs(rounded), decimal_pos=decimals, use_l10n=True, force_grouping=True)
    return f"{MINUS}{text}" if rounded < 0 else text


def show_difference(value: int | None) -> str:
    """Return a number with its sign, plus or minus."""
    text = show_number(value)
    return f"+{text}" if value and value > 0 else text


def show_percent(share: float | None, *, signed: bool = False) -> str:
    """Return a share as a percentage, with a decimal where it is small: 0.4 %, 12 %."""
    if share is None:
        return NOTHING
    percent = share * 100
    text = show_number(percent, decimals=1 if 0 < abs(percent) < 9.95 else 0)  # noqa: PLR2004
    sign = "+" if signed and percent > 0 else ""
    return f"{sign}{text}\N{NARROW NO-BREAK SPACE}%"


def show_ratio(value: float | None) -> str:
    """Return a multiple: 1.3 times."""
    if value is None:
        return NOTHING
    return f"{show_number(value, decimals=1)}×"  # noqa: RUF001 (a sign for people)


def show_day(value: date | None) -> str:
    """Return a day: 12 November 2026, in the words of the pages, which are English."""
    return NOTHING if value is None else f"{value.day} {value:%B %Y}"


def show_month(value: date | None) -> str:
    """Return a month: November 2026."""
    return NOTHING if value is None else f"{value:%B %Y}"


def show_moment(value: datetime | None, *, zone: bool = True) -> str:
    """Return a moment: 12 Nov 2026, 14:05 UTC; without the zone where that stands elsewhere."""
    if value is None:
        return NOTHING
    value = value.astimezone(UTC)
    text = f"{value.day} {value:%b %Y, %H:%M}"
    return f"{text} UTC" if zone else text

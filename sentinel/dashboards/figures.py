"""Single figures: never a number alone, but with what it is compared to and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sentinel.dashboards.formats import show_difference, show_percent


class Tone(StrEnum):
    """How something is meant. Each is told in words or by a sign as well, never by colour alone."""

    NEUTRAL = "neutral"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure on a card.

    Attributes:
        label: what it is.
        value: as it is read, formatted (`formats`).
        change: what became of it, such as "+12 %"; empty where nothing is known.
        note: what it is compared to, or what it means; one short line.
        href: the rows behind it; empty where there is nothing to follow.
        tone: of the change or the value.
    """

    label: str
    value: str
    change: str = ""
    note: str = ""
    href: str = ""
    tone: Tone = Tone.NEUTRAL


def describe_change(*, difference: int | None, change: float | None) -> str:
    """Return a change in words: "+12 (+3.4 %)"; where it was 0 before, the number alone."""
    if difference is None:
        return ""
    if difference == 0:
        return "no change"
    if change is None:
        return show_difference(difference)
    return f"{show_difference(difference)} ({show_percent(change, signed=True)})"

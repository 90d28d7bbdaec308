"""Tables: one description for the page, for CSV and for XLSX."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from sentinel.dashboards.figures import Tone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

    Value = str | int | float | bool | date | datetime | None


class Kind(StrEnum):
    """What a column holds, and so how it is written and on which side it stands."""

    TEXT = "text"
    NUMBER = "number"
    DIFFERENCE = "difference"  # a number with its sign
    PERCENT = "percent"  # a share, 0 to 1
    CHANGE = "change"  # a share with its sign
    RATIO = "ratio"  # a multiple
    DAY = "day"
    MONTH = "month"
    MOMENT = "moment"

    @property
    def numeric(self) -> bool:
        """Whether it is read by its last digit, and so stands on the right."""
        return self in {
            Kind.NUMBER,
            Kind.DIFFERENCE,
            Kind.PERCENT,
            Kind.CHANGE,
            Kind.RATIO,
        }


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column.

    Attributes:
        title: its heading.
        kind: what it holds.
        hint: what the heading means, where that is not plain.
    """

    title: str
    kind: Kind = Kind.TEXT
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell.

    Attributes:
        value: what it holds, unformatted: an export writes it as it is.
        href: where it leads.
        note: a second, smaller line; on pages only.
        tone: where not neutral, the value stands in a pill of that colour.
        share: 0 to 1, drawn as a bar below the value; None for no bar.
    """

    value: Value
    href: str = ""
    note: str = ""
    tone: Tone = Tone.NEUTRAL
    share: float | None = None


@dataclass(frozen=True, kw_only=True)
class More:
    """What a table leaves out.

    Attributes:
        text: how much, such as "10 of 1,204 lines."
        action: what can be done about it; empty where nothing can.
        href: where.
    """

    text: str
    action: str = ""
    href: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of a page.

    Attributes:
        slug: its name in addresses and as an anchor.
        title: its heading.
        columns: from left to right. The first names the row.
        rows: the cells of each.
        note: what it says and does not say; one or two sentences.
        empty: what to say where there are no rows.
        more: what is left out; None where all rows are there.
        downloads: where it is downloaded, by format; empty for those who may not.
    """

    slug: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    empty: str = "Nothing yet."
    more: More | None = None
    downloads: Mapping[str, str] = field(default_factory=dict)


def cells(*values: Value | Cell) -> tuple[Cell, ...]:
    """Return a row: plain values become cells without more."""
    return tuple(value if isinstance(value, Cell) else Cell(value=value) for value in values)


def values_of(rows: Iterable[Sequence[Cell]]) -> Iterable[list[Value]]:
    """Return what an export writes of each row."""
    return ([cell.value for cell in row] for row in rows)

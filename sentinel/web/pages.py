"""Pages of a list. They go on from a row and not from a number of rows, and count nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Generic, TypeVar

from pydantic import Field

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound="Model")
Record = TypeVar("Record")

MOST_ROWS = 100  # of a page: some 100 kB of messages, and one quick query
USUAL_ROWS = 20  # what a screen shows

PageSize = Annotated[int, Field(ge=1, le=MOST_ROWS, description="How many at most.")]


@dataclass(frozen=True, kw_only=True)
class Page(Generic[Record]):
    """A part of a list.

    Attributes:
        items: the records.
        next: from where the next page goes on; None where this one is the last.
    """

    items: Sequence[Record]
    next: int | None


def read_page(rows: QuerySet[Row], *, limit: int, record: Callable[[Row], Record]) -> Page[Record]:
    """Read a page in one query.

    Args:
        rows: what follows the page before, in order of the key.
        limit: how many at most.
        record: what makes a record of a row.
    """
    found = list(rows[: limit + 1])  # one more tells whether there is a next page
    shown = found[:limit]
    return Page(
        items=[record(row) for row in shown],
        next=shown[-1].pk if len(found) > limit else None,
    )

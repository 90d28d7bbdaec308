"""One example of rows for each declared counter. The parametrised tests are built from these.

A counter without an example fails `tests/unit/test_counting.py`, which says so: add a line here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ChildExample:
    """What a parent and a child need besides the key, the foreign key and the counter.

    Attributes:
        parent: columns of a parent; a callable gives another value for each row.
        child: columns of a child that counts.
        uncounted: columns that make a child not count; empty where every child does.
        text: a column of the child that may be changed without any effect on the count.
        key: the parent's key where the database makes none.
    """

    parent: dict[str, Any] = field(default_factory=dict)
    child: dict[str, Any] = field(default_factory=dict)
    uncounted: dict[str, Any] = field(default_factory=dict)
    text: str = "title"
    key: bool = False


@dataclass(frozen=True)
class RowExample:
    """A row of a counter that follows from the row itself, and documents with their true values."""

    row: dict[str, Any]
    document: str
    values: tuple[tuple[Any, int], ...]


OWNER = "the key of a user"

CHILD_EXAMPLES = {
    "chat_threads.thread_messages_count": ChildExample(
        parent={"user_id": OWNER, "title": "Lisbon in May"},
        child={"role": "user", "content": "Is the old town safe at night?"},
        text="content",
    ),
    "library_shelf.books_count": ChildExample(
        parent={"name": "Travel"}, child={"title": "The Road to Oxiana"}
    ),
    "library_shelf.lent_books_count": ChildExample(
        parent={"name": "Travel"},
        child={"title": "The Road to Oxiana", "is_lent": True},
        uncounted={"is_lent": False},
    ),
    "library_reader.books_count": ChildExample(
        parent={"name": "Ella"}, child={"title": "The Valleys of the Assassins"}
    ),
    "The Writers' guild.Number of works": ChildExample(
        child={"title": "Arabian Sands", "draft": False},
        uncounted={"draft": True},
        key=True,
    ),
}

ROW_EXAMPLES = {
    "travel_itineraries.destinations_count": RowExample(
        row={"user_id": OWNER, "title": "Caucasus"},
        document="data",
        values=(
            ({"waypoints": [{"name": "Tbilisi"}, {"name": "Yerevan"}]}, 2),
            ({"waypoints": []}, 0),
            ({"waypoints": [None]}, 1),
            ({"waypoints": None}, 0),
            ({"waypoints": {"name": "Baku"}}, 0),
            ({"waypoints": "Baku"}, 0),
            ({"waypoints": 3}, 0),
            ({}, 0),
            ([{"waypoints": [1]}], 0),
            ("waypoints", 0),
            (7, 0),
            (None, 0),
        ),
    ),
}

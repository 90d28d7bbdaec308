"""A sum over a ledger, bound to its tables."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.sql import SQL, Composable, Identifier, Literal

from sentinel.counters.binding import BoundCounter, Key, without_length

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.db.models import Model

COMMA = SQL(", ")


@dataclass(frozen=True, kw_only=True)
class LedgerTotal(BoundCounter):
    """A sum of the quantities of events that share their key columns with a row of the parent.

    Attributes:
        child: the model of the events.
        quantity: the events' column that is summed.
        key_columns: the columns that an event and its row have in common, with their types.
        creates: what a row that the engine creates holds besides, SQL by column.
        adopts: what an event that adopts somebody else's write holds, SQL by column.
        touches: timestamps of the parent that move at every write.
    """

    child: type[Model]
    quantity: str
    key_columns: Mapping[str, str]
    creates: Mapping[str, str]
    adopts: Mapping[str, str]
    touches: tuple[str, ...] = ()

    def names(self) -> dict[str, Composable]:
        """See `BoundCounter.names`."""
        keys = [Identifier(column) for column in self.key_columns]
        child = Identifier(self.child._meta.db_table)
        parent = Identifier(self.parent._meta.db_table)
        creates = [SQL(expression) for expression in self.creates.values()]
        return super().names() | {
            "child": child,
            "child_name": Literal(self.child._meta.db_table),
            "quantity": Identifier(self.quantity),
            "keys": COMMA.join(keys),
            "parent_keys": COMMA.join(SQL("{}.{}").format(parent, key) for key in keys),
            "same_key": self.match(parent, child),
            "has_key": SQL(" AND ").join(SQL("{} IS NOT NULL").format(key) for key in keys),
            "changed": COMMA.join(self.changed_variables()),
            "changed_keys": COMMA.join(
                SQL("(SELECT {})").format(variable) for variable in self.changed_variables()
            ),
            "created_columns": COMMA.join(Identifier(column) for column in self.creates),
            "created_values": COMMA.join(
                expression.format(**{column: Identifier(column) for column in self.key_columns})
                for expression in creates
            ),
            "touches": SQL("").join(
                SQL(", {} = pg_catalog.now()").format(Identifier(column)) for column in self.touches
            ),
        }

    def match(self, one: Composable, other: Composable) -> Composable:
        """The condition that two rows, by the names that they go by, have the same key."""
        return SQL(" AND ").join(
            SQL("{0}.{2} = {1}.{2}").format(one, other, Identifier(column))
            for column in self.key_columns
        )

    def changed_variables(self) -> list[Composable]:
        """The arrays in which a trigger function collects the keys of what changed."""
        return [Identifier(f"changed_{column}") for column in self.key_columns]

    def comparison(self, among: Composable | None = None) -> Composable:
        """See `BoundCounter.comparison`. A key is a JSON array of the key columns' values."""
        and_among = SQL("") if among is None else SQL(" AND {}").format(self.is_among(among))
        return self.render("ledger", "compare_totals", and_among=and_among)

    def is_among(self, among: Composable) -> Composable:
        """The condition that a row of either table has one of the keys of a JSON array."""
        typed = [
            SQL("(given.key ->> {})::{}").format(SQL(str(place)), SQL(without_length(type_)))
            for place, type_ in enumerate(self.key_columns.values())
        ]
        return self.render("ledger", "is_among", typed_keys=COMMA.join(typed), among=among)

    def parse_key(self, text: str) -> Key:
        """See `BoundCounter.parse_key`.

        Raises:
            ValueError: the text is no JSON array with a value for each key column.
        """
        key = json.loads(text)
        if not isinstance(key, list) or len(key) != len(self.key_columns):
            columns = ", ".join(self.key_columns)
            raise ValueError(f"{text} is no JSON array of {columns}")
        return key

    def add_missing_parents(self, among: Composable) -> Composable:
        """See `BoundCounter.add_missing_parents`."""
        missing = SQL("missing")
        return self.render(
            "ledger",
            "add_missing_totals",
            is_among=self.is_among(among),
            parent_is_missing=self.match(Identifier(self.parent._meta.db_table), missing),
        )

    def lock_parents(self, among: Composable, *, skip_locked: bool = False) -> Composable:
        """See `BoundCounter.lock_parents`."""
        return self.render(
            "ledger",
            "lock_totals",
            row_key=self.row_key,
            is_among=self.is_among(among),
            skip_locked=SQL(" SKIP LOCKED" if skip_locked else ""),
        )

    def rewrite(self, among: Composable) -> Composable:
        """See `BoundCounter.rewrite`."""
        return self.render("ledger", "rewrite_totals", is_among=self.is_among(among))

    @property
    def row_key(self) -> Composable:
        """See `BoundCounter.row_key`."""
        return self.render("ledger", "row_key")

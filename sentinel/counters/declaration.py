"""What a counter is. One declaration gives triggers, audit, and the tests that fit it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import ForeignKey
from psycopg.sql import SQL, Identifier, Literal

from sentinel.counters.binding import ChildCount, RowValue
from sentinel.counters.counting import counting_triggers
from sentinel.counters.deriving import deriving_triggers
from sentinel.counters.ledger import LedgerTotal
from sentinel.counters.ledger_triggers import ledger_triggers

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pgtrigger
    from django.db.models import Model, Q


@dataclass(frozen=True, kw_only=True)
class Counter:
    """The number of a model's rows that belong to a parent, kept in a column of the parent.

    Declared on the model whose rows are counted:

        class ChatMessage(models.Model):
            thread = models.ForeignKey(ChatThread, on_delete=models.CASCADE)

            class Meta:
                triggers = Counter(column="thread_messages_count", foreign_key="thread").triggers()

    Attributes:
        column: the counter, an integer field of the parent, NOT NULL, with a database default of 0.
        foreign_key: the field that names the parent. Its constraint is not deferrable in the
            database: a row that comes before its parent is refused with an error, not counted.
        condition: which rows count, over the model's own fields; None for all.
        mirrors: older integer fields of the parent that are to hold the same number. They move
            along in the same UPDATE, and a write to one of them has no effect.
        touches: date-time fields of the parent that are set to now() when a counted row is added.
        lock_first: whether an INSERT locks its parents in one order before the foreign key looks
            at them. Off, since it costs every INSERT some 15 µs, and a table that has or is a
            partition cannot have it. Worth it where many clients at once insert rows over the same
            parents: sixteen of them get five times as far (docs/benchmarks.md).
        name: what the triggers are called after, where two parents of the same model have
            counters of the same name; the column, if none is given.
    """

    column: str
    foreign_key: str
    condition: Q | None = None
    mirrors: tuple[str, ...] = ()
    touches: tuple[str, ...] = ()
    lock_first: bool = False
    name: str | None = None

    def triggers(self) -> list[pgtrigger.Trigger]:
        """Return what `Meta.triggers` is to hold. The guards of the parent follow by themselves."""
        return counting_triggers(
            name=self.name or self.column, bind=self.bind, lock_first=self.lock_first
        )

    def bind(self, model: type[Model]) -> ChildCount:
        """Return the counter with its tables.

        Raises:
            ImproperlyConfigured: a field that the declaration names is not there or does not fit.
        """
        foreign_key = _field(model, self.foreign_key, f"{model._meta.label}: foreign_key")
        if not isinstance(foreign_key, ForeignKey):
            raise ImproperlyConfigured(
                f"{model._meta.label}: foreign_key={self.foreign_key!r} is a "
                f"{type(foreign_key).__name__}. Name the ForeignKey to the parent."
            )
        parent = foreign_key.remote_field.model
        return ChildCount(
            parent=parent,
            field=self.column,
            key=str(foreign_key.target_field.column),
            column=_column(parent, self.column),
            mirrors=tuple(_column(parent, mirror) for mirror in self.mirrors),
            child=model,
            foreign_key=foreign_key.column,
            key_type=str(foreign_key.db_type(connections[DEFAULT_DB_ALIAS])),
            condition=self.condition,
            touches=tuple(_column(parent, touched) for touched in self.touches),
            lock_first=self.lock_first,
        )


@dataclass(frozen=True, kw_only=True)
class DerivedCounter:
    """A number that follows from the row itself, kept in a column of the same row.

    Declared on the model that carries it:

        class Meta:
            triggers = DerivedCounter(
                column="destinations_count", expression=json_array_length("data", "waypoints")
            ).triggers()

    Attributes:
        column: the counter, an integer field, NOT NULL, with a database default of 0.
        expression: SQL over the row's columns with `{row}` for the row, such as
            `cardinality({row}.tags)`. It must not raise, whatever the row holds: an error would
            refuse the user's write.
    """

    column: str
    expression: str

    def triggers(self) -> list[pgtrigger.Trigger]:
        """Return what `Meta.triggers` is to hold."""
        return deriving_triggers(column=self.column, bind=self.bind)

    def bind(self, model: type[Model]) -> RowValue:
        """Return the counter with its table.

        Raises:
            ImproperlyConfigured: the column is not a field of the model.
        """
        return RowValue(
            parent=model,
            field=self.column,
            key=str(model._meta.pk.column),
            column=_column(model, self.column),
            expression=self.expression,
        )


@dataclass(frozen=True, kw_only=True)
class LedgerCounter:
    """The sum of the quantities of events that share their key with a row of another table.

    Declared on the model of the events, the ledger, which the triggers keep append-only:

        class Meta:
            triggers = LedgerCounter(
                parent=FeatureUsage,
                column="usage_count",
                quantity="quantity",
                keys=("user", "feature", "period_start"),
            ).triggers()

    The row is created by its first event, and takes its events along when it is deleted. What
    others write into the sum is used as well: the difference becomes an event of its own.

    Attributes:
        parent: the model whose rows carry the sum, with a unique constraint on the keys.
        column: the counter, an integer field of the parent.
        quantity: the field of an event that is summed, an integer.
        keys: the fields that an event and its row have in common, of the same names in both.
        creates: what a row that an event creates holds besides, as SQL by column, with the key
            columns in braces, such as `{"period_end": "{period_start} + 30"}`.
        adopts: what an event that adopts somebody else's write holds, as SQL by column, with
            `{row}` for the row that was written.
        touches: date-time fields of the parent that are set to now() at every write.
    """

    parent: type[Model]
    column: str
    quantity: str
    keys: tuple[str, ...]
    adopts: Mapping[str, str]
    creates: Mapping[str, str] = field(default_factory=dict)
    touches: tuple[str, ...] = ()

    def triggers(self) -> list[pgtrigger.Trigger]:
        """Return what `Meta.triggers` is to hold. The guards of the parent follow by themselves."""
        return ledger_triggers(name=self.column, bind=self.bind)

    def bind(self, model: type[Model]) -> LedgerTotal:
        """Return the counter with its tables.

        Raises:
            ImproperlyConfigured: a field that the declaration names is not there.
        """
        connection = connections[DEFAULT_DB_ALIAS]
        fields = [self.parent._meta.get_field(key) for key in self.keys]
        return LedgerTotal(
            parent=self.parent,
            field=self.column,
            key=str(self.parent._meta.pk.column),
            column=_column(self.parent, self.column),
            child=model,
            quantity=_column(model, self.quantity),
            key_columns={
                _column(self.parent, key): str(key_field.db_type(connection))
                for key, key_field in zip(self.keys, fields, strict=True)
            },
            creates=self.creates,
            adopts=self.adopts,
            touches=tuple(_column(self.parent, touched) for touched in self.touches),
        )


def json_array_length(column: str, *path: str) -> str:
    """Return the expression for the length of an array in a jsonb column, 0 where there is none.

    `jsonb_array_length` raises on anything that is no array, so its type is asked first: NULL, an
    object, a scalar, JSON null and a missing key are all 0.
    """
    place = SQL(" -> ").join([SQL("{{row}}.{}").format(Identifier(column)), *map(Literal, path)])
    return (
        SQL(
            "CASE WHEN pg_catalog.jsonb_typeof({place}) = 'array'"
            " THEN pg_catalog.jsonb_array_length({place}) ELSE 0 END"
        )
        .format(place=place)
        .as_string(None)
    )


def _field(model: type[Model], name: str, role: str) -> object:
    try:
        return model._meta.get_field(name)
    except FieldDoesNotExist:
        there = ", ".join(sorted(field.name for field in model._meta.concrete_fields))
        raise ImproperlyConfigured(
            f"{role}={name!r} is not a field of {model._meta.label}, which has: {there}."
        ) from None


def _column(model: type[Model], name: str) -> str:
    field = _field(model, name, "counter column")
    return str(getattr(field, "column", None) or name)

"""How a counter is kept: from a declaration to triggers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pgtrigger
from psycopg.sql import SQL, Composable, Identifier

from sentinel.counters.template import DefinerTriggerSqlV1

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.db.models import Model
    from pgtrigger.compiler import Trigger as CompiledTrigger

    from sentinel.counters.binding import BoundCounter, ChildCount, RowValue

NEW_ROWS = pgtrigger.Referencing(new="new_values")
OLD_ROWS = pgtrigger.Referencing(old="old_values")
BOTH_ROWS = pgtrigger.Referencing(old="old_values", new="new_values")

# What settings are assigned to: an assignment is an expression, a PERFORM would be a query.
ENGINE = ("engine", "text")
RECOUNT = ("recount", "text")

RECOUNTING = (
    "CONSTANT boolean := coalesce(pg_catalog.current_setting('sentinel.recount', true), '') = 'on'"
)

# True where the writer is not a trigger of the engine: `sentinel.engine` holds the depth of the
# engine's trigger that is writing. At depth 0 nobody is a trigger, whatever the setting says.
NOT_THE_ENGINE = (
    "(pg_trigger_depth() = 0 OR"
    " current_setting('sentinel.engine', true) IS DISTINCT FROM pg_trigger_depth()::text)"
)

# True but in the statement of a repair, which has locked the rows and counted them. It names its
# own transaction, so that a setting which a session keeps, or a pool hands on, says nothing; and it
# is run by somebody who may switch the guard off anyway. Anybody else is guarded, as ever.
NOT_THE_REPAIR = (
    "(pg_trigger_depth() <> 0"
    " OR current_setting('sentinel.repairing', true) IS DISTINCT FROM pg_current_xact_id()::text"
    " OR NOT has_table_privilege(OLD.tableoid, 'TRIGGER'))"
)


class DefinerTrigger(pgtrigger.Trigger):
    """A trigger whose function runs with its owner's rights and a pinned search path.

    Tables in its body are to be named with their schema.
    """

    def compile(self, model: type[Model]) -> CompiledTrigger:
        """See `pgtrigger.Trigger.compile`."""
        compiled = super().compile(model)
        compiled.sql = DefinerTriggerSqlV1(**compiled.sql.kwargs)
        return compiled


class CounterTrigger(DefinerTrigger):
    """One of the triggers that keep a counter.

    Args:
        bind: gives the counter its tables, from the model that the trigger belongs to.
        body: writes the function's text.
        fires_last: give the trigger a name that sorts behind those of others, since triggers
            of one kind fire in the order of their names.
    """

    def __init__(
        self,
        *,
        bind: Callable[[type[Model]], BoundCounter],
        body: Callable[[Any], Composable],
        declare: Callable[[Any], list[tuple[str, str]]] | None = None,
        condition: Callable[[Any], str] | None = None,
        fires_last: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.bind = bind
        self._body = body
        self._variables = declare
        self._when = condition
        self._fires_last = fires_last

    def get_func(self, model: type[Model]) -> str:
        """See `pgtrigger.Trigger.get_func`."""
        return self._body(self.bind(model)).as_string(None)

    def get_declare(self, model: type[Model]) -> list[tuple[str, str]]:
        """See `pgtrigger.Trigger.get_declare`."""
        return self._variables(self.bind(model)) if self._variables else []

    def get_condition(self, model: type[Model]) -> pgtrigger.Condition | None:
        """See `pgtrigger.Trigger.get_condition`."""
        return pgtrigger.Condition(self._when(self.bind(model))) if self._when else None

    def get_pgid(self, model: type[Model]) -> str:
        """See `pgtrigger.Trigger.get_pgid`."""
        pgid: str = super().get_pgid(model)
        return pgid.replace("pgtrigger_", "zzz_", 1) if self._fires_last else pgid


def counting_triggers(
    *, name: str, bind: Callable[[type[Model]], BoundCounter]
) -> list[pgtrigger.Trigger]:
    """Return the triggers on the child's table that count its rows, one for each kind of write."""

    def counting(
        kind: str, operation: pgtrigger.Operation, referencing: pgtrigger.Referencing
    ) -> CounterTrigger:
        return CounterTrigger(
            name=f"{name}_on_{kind}",
            level=pgtrigger.Statement,
            when=pgtrigger.After,
            operation=operation,
            referencing=referencing,
            bind=bind,
            declare=_counting_variables,
            body=lambda counter: _counting_body(counter, kind),
        )

    return [
        counting("insert", pgtrigger.Insert, NEW_ROWS),
        counting("update", pgtrigger.Update, BOTH_ROWS),
        counting("delete", pgtrigger.Delete, OLD_ROWS),
        CounterTrigger(
            name=f"{name}_on_truncate",
            level=pgtrigger.Statement,
            when=pgtrigger.After,
            operation=pgtrigger.Truncate,
            bind=bind,
            declare=lambda _counter: [ENGINE],
            body=_truncate_body,
        ),
    ]


def guard_triggers(counter: ChildCount) -> list[pgtrigger.Trigger]:
    """Return the triggers on the parent's table that keep everybody else off the counter."""

    def guarding(
        kind: str,
        operation: pgtrigger.Operation,
        condition: Callable[[ChildCount], str],
        body: Callable[[ChildCount], Composable],
        variables: Sequence[tuple[str, str]] = (),
    ) -> CounterTrigger:
        return CounterTrigger(
            name=f"{counter.field}_guard_{kind}",
            level=pgtrigger.Row,
            when=pgtrigger.Before,
            operation=operation,
            bind=lambda _parent: counter,
            declare=lambda _counter: list(variables),
            condition=condition,
            body=body,
        )

    return [
        guarding("insert", pgtrigger.Insert, _starts_elsewhere, _guard_insert_body),
        guarding(
            "update",
            pgtrigger.UpdateOf(*counter.stored_columns),
            _written_by_others,
            _guard_update_body,
            [RECOUNT],
        ),
        guarding("key", pgtrigger.UpdateOf(counter.key), _key_changes, _guard_key_body),
    ]


def deriving_triggers(
    *, column: str, bind: Callable[[type[Model]], BoundCounter]
) -> list[pgtrigger.Trigger]:
    """Return the trigger that sets a value which follows from the row itself.

    It fires at every update, not only at those that name the column: another BEFORE trigger may
    have changed the row.
    """
    return [
        CounterTrigger(
            name=f"{column}_derive",
            level=pgtrigger.Row,
            when=pgtrigger.Before,
            operation=pgtrigger.Insert | pgtrigger.Update,
            bind=bind,
            body=_derive_body,
            fires_last=True,
        )
    ]


def _counting_variables(counter: ChildCount) -> list[tuple[str, str]]:
    return [
        ("changed_keys", f"{counter.key_type}[]"),
        ("deltas", "bigint[]"),
        ("written", "bigint"),
        ENGINE,
        ("recounting", RECOUNTING),
    ]


def _counting_body(counter: ChildCount, kind: str) -> Composable:
    touches = [
        SQL("{} = pg_catalog.now()").format(Identifier(column))
        for column in (counter.touches if kind == "insert" else ())
    ]

    def moved_by(delta: str) -> Composable:
        parent = Identifier(counter.parent._meta.db_table)
        by = SQL(delta)
        moves = [SQL("{0} = {1}.{0} + {2}").format(Identifier(counter.column), parent, by)]
        moves += [
            SQL("{0} = coalesce({1}.{0}, 0) + {2}").format(Identifier(mirror), parent, by)
            for mirror in counter.mirrors
        ]
        return SQL(", ").join([*moves, *touches])

    recounted = [
        SQL("{} = counted.actual").format(Identifier(column)) for column in counter.stored_columns
    ]
    return counter.render(
        "triggers",
        "count_children",
        deltas=counter.render("triggers", f"{kind}_deltas"),
        keys_type=SQL(f"{counter.key_type}[]"),
        set_one=moved_by("deltas[1]"),
        set_many=moved_by("change.delta"),
        set_recounted=SQL(", ").join([*recounted, *touches]),
    )


def _truncate_body(counter: ChildCount) -> Composable:
    columns = [Identifier(column) for column in counter.stored_columns]
    return counter.render(
        "triggers",
        "zero_parents",
        set_zero=SQL(", ").join(SQL("{} = 0").format(column) for column in columns),
        not_zero=SQL(" OR ").join(SQL("{} IS DISTINCT FROM 0").format(c) for c in columns),
    )


def _guard_insert_body(counter: ChildCount) -> Composable:
    zeroes = (SQL("NEW.{} := 0;").format(Identifier(column)) for column in counter.stored_columns)
    return counter.render("triggers", "guard_insert", new_zero=SQL("\n    ").join(zeroes))


def _guard_update_body(counter: ChildCount) -> Composable:
    column = Identifier(counter.column)
    mirrors = [Identifier(mirror) for mirror in counter.mirrors]
    follow: list[Composable] = [
        SQL("NEW.{} := NEW.{};").format(mirror, column) for mirror in mirrors
    ]
    follow += [SQL("recount := pg_catalog.set_config('sentinel.recount', 'on', true);")]
    stay: list[Composable] = [SQL("NEW.{0} := OLD.{0};").format(mirror) for mirror in mirrors] or [
        SQL("NULL;")
    ]
    return counter.render(
        "triggers",
        "guard_update",
        follow=SQL("\n        ").join(follow),
        stay=SQL("\n        ").join(stay),
    )


def _guard_key_body(counter: ChildCount) -> Composable:
    return counter.render("triggers", "guard_key")


def _derive_body(counter: RowValue) -> Composable:
    return counter.render("triggers", "derive", expression=counter.expression_over(SQL("NEW")))


def _starts_elsewhere(counter: ChildCount) -> str:
    parts = (SQL("NEW.{} IS DISTINCT FROM 0").format(Identifier(c)) for c in counter.stored_columns)
    return SQL(" OR ").join(parts).as_string(None)


def _written_by_others(counter: ChildCount) -> str:
    differs = SQL(" OR ").join(
        SQL("OLD.{0} IS DISTINCT FROM NEW.{0}").format(Identifier(column))
        for column in counter.stored_columns
    )
    return f"(({differs.as_string(None)}) AND {NOT_THE_ENGINE} AND {NOT_THE_REPAIR})"


def _key_changes(counter: ChildCount) -> str:
    return SQL("OLD.{0} IS DISTINCT FROM NEW.{0}").format(Identifier(counter.key)).as_string(None)

"""How the rows of a child's table are counted: triggers on that table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pgtrigger
from psycopg.sql import SQL, Composable, Identifier, Literal

from sentinel.counters.template import DefinerTriggerSqlV1
from sentinel.counters.triggers import (
    BOTH_ROWS,
    ENGINE,
    FIRES_FIRST,
    NEW_ROWS,
    OLD_ROWS,
    RECOUNTING,
    CounterTrigger,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import Model
    from pgtrigger.compiler import Trigger as CompiledTrigger

    from sentinel.counters.binding import BoundCounter, ChildCount


class LockingTrigger(CounterTrigger):
    """Brings the locks of an INSERT into their order before the foreign key takes any.

    Triggers of one kind fire in the order of their names, and PostgreSQL calls those of a foreign
    key `RI_…`: a name that comes before has capital letters, and has to be quoted.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(
            level=pgtrigger.Row, when=pgtrigger.After, operation=pgtrigger.Insert, **options
        )
        # Not among the options: pgtrigger takes it that a row's trigger has no use for all rows.
        self.referencing = NEW_ROWS

    def get_pgid(self, model: type[Model]) -> str:
        """See `pgtrigger.Trigger.get_pgid`."""
        return super().get_pgid(model).replace("pgtrigger_", FIRES_FIRST, 1)

    def compile(self, model: type[Model]) -> CompiledTrigger:
        """See `pgtrigger.Trigger.compile`."""
        compiled = super().compile(model)
        quoted = f'"{self.get_pgid(model)}"'
        words = compiled.sql.kwargs | {"pgid": quoted, "execute": f"{quoted}()"}
        compiled.sql = DefinerTriggerSqlV1(**words)
        return compiled


def counting_triggers(
    *, name: str, bind: Callable[[type[Model]], BoundCounter], lock_first: bool = False
) -> list[pgtrigger.Trigger]:
    """Return the triggers on the child's table that count its rows, one for each kind of write.

    Args:
        name: what they are called after.
        bind: gives the counter its tables, from the model that it is declared on.
        lock_first: whether a further one locks the parents before the foreign key does.
    """

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
            declare=lambda counter: _counting_variables(counter, kind),
            body=lambda counter: _counting_body(counter, kind),
        )

    locking = LockingTrigger(
        name=f"{name}_lock",
        bind=bind,
        declare=lambda counter: [_changed_keys(counter)],
        condition=lambda counter: _locked_words(counter, "is_first_row"),
        body=lambda counter: counter.render(
            "triggers", "lock_first", lock_changed=_lock_changed(counter)
        ),
    )
    return [
        *([locking] if lock_first else ()),
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


def _changed_keys(counter: ChildCount) -> tuple[str, str]:
    return "changed_keys", f"{counter.key_type}[]"


def _lock_changed(counter: ChildCount) -> Composable:
    return counter.render("triggers", "lock_changed", keys_type=SQL(f"{counter.key_type}[]"))


def _locked_words(counter: ChildCount, query: str) -> str:
    """A query about the setting that says whether an INSERT has locked its parents already."""
    setting = Literal("sentinel.locked_" + re.sub(r"\W", "_", counter.name))
    return counter.render("triggers", query, locked=setting).as_string(None)


def _counting_variables(counter: ChildCount, kind: str) -> list[tuple[str, str]]:
    variables = [
        _changed_keys(counter),
        ("deltas", "bigint[]"),
        ("written", "bigint"),
        ENGINE,
        ("recounting", RECOUNTING),
    ]
    if _locks_first(counter, kind):
        is_locked = _locked_words(counter, "is_locked")
        variables += [("locked", f"CONSTANT boolean := {is_locked}"), ("unlocked", "text")]
    return variables


def _locks_first(counter: ChildCount, kind: str) -> bool:
    return counter.lock_first and kind == "insert"


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

    lock_changed = _lock_changed(counter)
    lock_several, unlock_next = lock_changed, SQL("")
    if _locks_first(counter, kind):
        lock_several = counter.render(
            "triggers", "lock_changed_unless_locked", lock_changed=lock_changed
        )
        unlock_next = SQL(_locked_words(counter, "unlock_next") + "\n")
    recounted = [
        SQL("{} = counted.actual").format(Identifier(column)) for column in counter.stored_columns
    ]
    return counter.render(
        "triggers",
        "count_children",
        unlock_next=unlock_next,
        deltas=counter.render("triggers", f"{kind}_deltas"),
        lock_changed=lock_changed,
        lock_several=lock_several,
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

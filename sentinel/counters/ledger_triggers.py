"""How a sum over a ledger is kept: from a declaration to triggers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pgtrigger
from psycopg.sql import SQL, Composable, Identifier

from sentinel.counters.ledger import COMMA, LedgerTotal
from sentinel.counters.triggers import (
    ENGINE,
    NEW_ROWS,
    NOT_THE_ENGINE,
    OLD_ROWS,
    RECOUNTING,
    CounterTrigger,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.db.models import Model

    from sentinel.counters.binding import BoundCounter

# A repair writes the truth, which the ledger holds already: nothing of it is to be adopted.
NO_REPAIR = "current_setting('sentinel.repair', true) IS DISTINCT FROM 'on'"

AND, OR = SQL(" AND "), SQL(" OR ")


def ledger_triggers(
    *, name: str, bind: Callable[[type[Model]], BoundCounter]
) -> list[pgtrigger.Trigger]:
    """Return the triggers on the ledger that sum its events, and keep it append-only.

    Events that the engine itself appends, to adopt what others wrote, are in the sum already.
    """
    summing = {
        "level": pgtrigger.Statement,
        "when": pgtrigger.After,
        "bind": bind,
        "condition": lambda _counter: NOT_THE_ENGINE,
        "declare": _summing_variables,
    }
    return [
        CounterTrigger(
            name=f"{name}_on_insert",
            operation=pgtrigger.Insert,
            referencing=NEW_ROWS,
            body=lambda counter: _sum_body(counter, gather="gather_added", add="add_events"),
            **summing,
        ),
        CounterTrigger(
            name=f"{name}_on_delete",
            operation=pgtrigger.Delete,
            referencing=OLD_ROWS,
            body=lambda counter: _sum_body(counter, gather="gather_removed", add="remove_events"),
            **summing,
        ),
        CounterTrigger(
            name=f"{name}_on_truncate",
            level=pgtrigger.Statement,
            when=pgtrigger.After,
            operation=pgtrigger.Truncate,
            bind=bind,
            declare=lambda _counter: [ENGINE],
            body=lambda counter: counter.render("ledger", "zero_totals"),
        ),
        CounterTrigger(
            name=f"{name}_append_only",
            level=pgtrigger.Statement,
            when=pgtrigger.Before,
            operation=pgtrigger.Update,
            bind=bind,
            body=lambda counter: counter.render("ledger", "refuse_change"),
        ),
    ]


def ledger_guard_triggers(counter: LedgerTotal) -> list[pgtrigger.Trigger]:
    """Return the triggers on the parent that make events of what others write to it."""

    def guarding(
        kind: str,
        *,
        level: pgtrigger.Level,
        when: pgtrigger.When,
        operation: pgtrigger.Operation,
        body: Composable,
        condition: str | None = None,
        referencing: pgtrigger.Referencing | None = None,
        declare: list[tuple[str, str]] | None = None,
    ) -> CounterTrigger:
        return CounterTrigger(
            name=f"{counter.field}_{kind}",
            level=level,
            when=when,
            operation=operation,
            referencing=referencing,
            bind=lambda _parent: counter,
            declare=lambda _counter: declare or [],
            body=lambda _counter: body,
            condition=None if condition is None else lambda _counter: condition,
        )

    before_row = {"level": pgtrigger.Row, "when": pgtrigger.Before}
    after_row = {"level": pgtrigger.Row, "when": pgtrigger.After}
    after_statement = {"level": pgtrigger.Statement, "when": pgtrigger.After}
    refuse_key = counter.render(
        "ledger",
        "guard_key",
        old_keys=_qualified("OLD", counter),
        new_keys=_qualified("NEW", counter),
    )
    recount_changed = _recount_changed(counter)
    # The engine writes a row at every use: it is to meet short WHEN clauses (see NOT_THE_ENGINE).
    return [
        guarding(
            "guard_row",
            operation=pgtrigger.Insert | pgtrigger.Update,
            condition=NOT_THE_ENGINE,
            body=counter.render(
                "ledger",
                "guard_row",
                child_is_new=counter.match(Identifier(counter.child._meta.db_table), SQL("NEW")),
                new_is_somebodys=SQL(_of_somebody(counter)),
                new_touches=_new_touches(counter),
            ),
            **before_row,
        ),
        guarding(
            "guard_key",
            operation=pgtrigger.UpdateOf(*counter.key_columns),
            condition=_differs(counter.key_columns),
            body=refuse_key,
            **before_row,
        ),
        guarding(
            "adopt_insert",
            declare=_changed_variables(counter),
            operation=pgtrigger.Insert,
            referencing=NEW_ROWS,
            condition=f"({NO_REPAIR} AND {NOT_THE_ENGINE})",
            body=counter.render(
                "ledger",
                "adopt_rows",
                gathered=_gathered(counter),
                recount_changed=recount_changed,
                **_adopted(counter, row="written"),
            ),
            **after_statement,
        ),
        guarding(
            "adopt_update",
            declare=[ENGINE],
            operation=pgtrigger.Update,
            condition=NOT_THE_ENGINE,
            body=counter.render(
                "ledger",
                "adopt_difference",
                key_differs=SQL(_differs(counter.key_columns)),
                refuse_key=refuse_key,
                new_is_somebodys=SQL(_of_somebody(counter)),
                **_adopted(counter, row="NEW"),
            ),
            **after_row,
        ),
        guarding(
            "on_row_delete",
            declare=_changed_variables(counter),
            operation=pgtrigger.Delete,
            referencing=OLD_ROWS,
            body=counter.render(
                "ledger",
                "delete_events",
                child_is_change=_is_child(counter, "change"),
                gathered=_gathered(counter),
                recount_changed=recount_changed,
            ),
            **after_statement,
        ),
        guarding(
            "on_row_truncate",
            declare=[ENGINE],
            operation=pgtrigger.Truncate,
            body=counter.render("ledger", "delete_all_events"),
            **after_statement,
        ),
    ]


def _changed_variables(counter: LedgerTotal) -> list[tuple[str, str]]:
    return [
        *((f'"changed_{column}"', f"{type_}[]") for column, type_ in counter.key_columns.items()),
        ("same_key", "boolean"),
        ENGINE,
    ]


def _summing_variables(counter: LedgerTotal) -> list[tuple[str, str]]:
    return [
        *_changed_variables(counter),
        ("deltas", "bigint[]"),
        ("recounting", RECOUNTING),
    ]


def _sum_body(counter: LedgerTotal, *, gather: str, add: str) -> Composable:
    change = Identifier("change")
    change_keys = _qualified("change", counter)

    def is_only(element: str) -> Composable:
        parent = Identifier(counter.parent._meta.db_table)
        return AND.join(
            SQL("{0}.{1} = " + element).format(parent, Identifier(column), variable)
            for column, variable in zip(
                counter.key_columns, counter.changed_variables(), strict=True
            )
        )

    words = {
        "parent_is_change": _is_parent(counter, "change"),
        "parent_is_only": is_only("(SELECT {2}[1])"),
        "returned_is_only": is_only("{2}[1]"),
        "created_is_change": counter.match(Identifier("created"), change),
        "updated_is_change": counter.match(Identifier("updated"), change),
        "gathered": _gathered(counter),
        "lock_changed": counter.render("ledger", "lock_changed", change_keys=change_keys),
        "recount_changed": _recount_changed(counter),
        "refuse_moved": counter.render("ledger", "refuse_moved"),
    }
    return counter.render("ledger", add, gather=counter.render("ledger", gather, **words), **words)


def _gathered(counter: LedgerTotal) -> Composable:
    """The arrays of a function's `changed_…` variables, in one order."""
    return COMMA.join(
        SQL("pg_catalog.array_agg(change.{})").format(Identifier(column))
        for column in counter.key_columns
    )


def _recount_changed(counter: LedgerTotal) -> Composable:
    return counter.render(
        "ledger",
        "recount_changed",
        child_is_change=_is_child(counter, "change"),
        parent_is_change=_is_parent(counter, "change"),
        refuse_moved=counter.render("ledger", "refuse_moved"),
    )


def _is_parent(counter: LedgerTotal, row: str) -> Composable:
    return counter.match(Identifier(counter.parent._meta.db_table), Identifier(row))


def _is_child(counter: LedgerTotal, row: str) -> Composable:
    return counter.match(Identifier(counter.child._meta.db_table), Identifier(row))


def _adopted(counter: LedgerTotal, *, row: str) -> dict[str, Composable]:
    values = (SQL(value).format(row=SQL(row)) for value in counter.adopts.values())
    return {
        "adopted_columns": COMMA.join(map(Identifier, counter.adopts)),
        "adopted_values": COMMA.join(values),
    }


def _new_touches(counter: LedgerTotal) -> Composable:
    return SQL("\n        ").join(
        SQL("NEW.{} := pg_catalog.now();").format(Identifier(column)) for column in counter.touches
    )


def _qualified(row: str, counter: LedgerTotal) -> Composable:
    return COMMA.join(SQL("{}.{}").format(SQL(row), Identifier(key)) for key in counter.key_columns)


def _of_somebody(counter: LedgerTotal) -> str:
    keys = (SQL("NEW.{} IS NOT NULL").format(Identifier(key)) for key in counter.key_columns)
    return AND.join(keys).as_string(None)


def _differs(columns: Iterable[str]) -> str:
    parts = (SQL("OLD.{0} IS DISTINCT FROM NEW.{0}").format(Identifier(c)) for c in columns)
    return f"({OR.join(parts).as_string(None)})"

"""How everybody but the engine is kept off a counter: triggers on the parent's table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pgtrigger
from psycopg.sql import SQL, Composable, Identifier

from sentinel.counters.triggers import NOT_THE_ENGINE_NOR_A_REPAIR, RECOUNT, CounterTrigger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sentinel.counters.binding import ChildCount


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
            lambda _counter: NOT_THE_ENGINE_NOR_A_REPAIR,
            _guard_update_body,
            [RECOUNT],
        ),
        guarding("key", pgtrigger.UpdateOf(counter.key), _key_changes, _guard_key_body),
    ]


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


def _starts_elsewhere(counter: ChildCount) -> str:
    parts = (SQL("NEW.{} IS DISTINCT FROM 0").format(Identifier(c)) for c in counter.stored_columns)
    return SQL(" OR ").join(parts).as_string(None)


def _key_changes(counter: ChildCount) -> str:
    return SQL("OLD.{0} IS DISTINCT FROM NEW.{0}").format(Identifier(counter.key)).as_string(None)

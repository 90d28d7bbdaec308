"""How a value is kept that follows from the row itself: a trigger on its table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pgtrigger
from psycopg.sql import SQL, Composable

from sentinel.counters.triggers import CounterTrigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import Model

    from sentinel.counters.binding import BoundCounter, RowValue


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


def _derive_body(counter: RowValue) -> Composable:
    return counter.render("triggers", "derive", expression=counter.expression_over(SQL("NEW")))

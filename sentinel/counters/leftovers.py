"""What should not be there: triggers that nobody declares, and others that count as well."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from sentinel.counters.problems import Problem, Severity
from sentinel.counters.registry import counter_triggers
from sentinel.counters.statements import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sentinel.counters.binding import BoundCounter
    from sentinel.counters.catalog import Catalog, Installed


def check_leftovers(catalog: Catalog, *, tables: Collection[str] | None) -> Iterator[Problem]:
    """Look for triggers and functions of the engine that no declaration asks for any more.

    Args:
        catalog: what there is.
        tables: look on these only; None for all of them, and for functions that no trigger calls.
    """
    declared = {
        (model._meta.db_table, trigger.get_pgid(model)) for model, trigger in counter_triggers()
    }
    functions = {name for _, name in declared}
    callers = Counter(row.function for row in catalog.triggers)
    for row in catalog.triggers:
        ours = row.is_of_the_engine and (tables is None or row.table in tables)
        if ours and (row.table, row.trigger) not in declared:
            needed = row.function in functions or callers[row.function] > 1
            yield _trigger_left_behind(row, with_function=not needed)
    if tables is None:
        for name in catalog.idle_functions:
            if name not in functions:  # else its trigger is missing, which is said elsewhere
                yield _function_left_behind(name)


def check_foreign_writers(counters: Sequence[BoundCounter], catalog: Catalog) -> Iterator[Problem]:
    """Look for triggers of others that write a counter or a mirror.

    It reads the functions' text: SQL that is put together at run time is not seen, and a comparison
    with `=` is taken for an assignment.
    """
    installed = {(row.table, row.trigger) for row in catalog.triggers}
    for counter in counters:
        own = {(m._meta.db_table, t.get_pgid(m)) for m, t in counter_triggers(counter)}
        if not own <= installed:
            continue  # before a takeover, or in the middle of it, the other one does the counting
        tables = {table for table, _ in own}
        for row in catalog.triggers:
            if row.table in tables and row.fires and not row.is_of_the_engine:
                for column in counter.stored_columns:
                    if _assigns(column, row.body):
                        yield _foreign_writer(row, column)


def _assigns(column: str, body: str) -> bool:
    code = re.sub(r"--[^\n]*|/\*.*?\*/", "", body, flags=re.DOTALL)
    return bool(re.search(rf'(?<!\w){re.escape(column)}"?\s*:?=', code, flags=re.IGNORECASE))


def _foreign_writer(row: Installed, column: str) -> Problem:
    table, name = quoted(row.table), quoted(row.trigger)
    return Problem(
        id="counters.foreign_writer",
        subject=row.trigger,
        message=f"Trigger {name} on {table} runs {quoted(row.function)}(), which seems to write "
        f"{quoted(column)}. The guard overrules it, at the price of one more write for each row.",
        cure=f"If nothing else is its work, run `ALTER TABLE {table} DISABLE TRIGGER {name}`.",
        severity=Severity.WARNING,
    )


def _trigger_left_behind(row: Installed, *, with_function: bool) -> Problem:
    table, name = quoted(row.table), quoted(row.trigger)
    drop = f"DROP TRIGGER {name} ON {table}"
    if with_function:
        drop += f"; DROP FUNCTION {quoted(row.function)}()"
    return Problem(
        id="counters.trigger_left_behind",
        subject=row.trigger,
        message=f"Trigger {name} on {table} was installed by the engine and is declared no more: "
        "it may count a second time.",
        cure=f"Run `{drop}`, then audit.",
    )


def _function_left_behind(name: str) -> Problem:
    return Problem(
        id="counters.function_left_behind",
        subject=name,
        message=f"Function {quoted(name)}() was installed by the engine, and no trigger calls it.",
        cure=f"Run `DROP FUNCTION {quoted(name)}()`.",
        severity=Severity.WARNING,
    )

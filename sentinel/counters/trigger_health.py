"""Whether the triggers that keep a counter are in the database as they were declared."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pgtrigger import features
from psycopg.sql import Identifier

from sentinel.counters.problems import Problem, Severity
from sentinel.counters.statements import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pgtrigger
    from django.db.models import Model

    from sentinel.counters.catalog import Catalog, Installed
    from sentinel.counters.triggers import DefinerTrigger

# What the function is to run with: see DefinerTriggerSqlV1.
EXPECTED_SETTINGS = ["search_path=pg_catalog, public, pg_temp", "sentinel.engine="]
ALWAYS, REPLICA = "A", "R"  # pg_trigger.tgenabled


def check_triggers(
    expected: list[tuple[type[Model], DefinerTrigger]], catalog: Catalog
) -> Iterator[Problem]:
    """Compare each declared trigger with the one that is installed."""
    installed = {(row.table, row.trigger): row for row in catalog.triggers}
    for model, trigger in expected:
        table = model._meta.db_table
        if table in catalog.columns:  # one that is not there is reported as such
            yield from _compare(model, trigger, installed.get((table, trigger.get_pgid(model))))


def _compare(
    model: type[Model], trigger: DefinerTrigger, installed: Installed | None
) -> Iterator[Problem]:
    table = Identifier(model._meta.db_table).as_string(None)
    name = trigger.get_pgid(model)
    written = name if name.islower() else quoted(name)
    install = f"manage.py pgtrigger install {trigger.get_uri(model)}"

    def problem(id_: str, message: str, cure: str) -> Problem:
        return Problem(id=f"counters.{id_}", subject=name, message=message, cure=cure)

    if installed is None:
        yield problem(
            "trigger_missing",
            f"Trigger {name} on {table} is missing: these writes are not counted.",
            f"Run `manage.py migrate`, or `{install}`, then audit.",
        )
        return
    if not installed.fires:
        replica = "set to fire in replica sessions only (ENABLE REPLICA)"
        state = replica if installed.enabled == REPLICA else "disabled"
        yield problem(
            "trigger_disabled",
            f"Trigger {name} on {table} is {state}: these writes are not counted.",
            f"Run `ALTER TABLE {table} ENABLE TRIGGER {written}`, then audit.",
        )
    elif installed.enabled == ALWAYS:
        yield Problem(
            id="counters.trigger_always",
            subject=name,
            message=f"Trigger {name} on {table} is ENABLE ALWAYS: it counts in replica sessions as "
            "well, which is fine where their writes bring no counts of their own.",
            cure=f"Nothing, or for the default `ALTER TABLE {table} ENABLE TRIGGER {written}`.",
            severity=Severity.NOTE,
        )
    compiled = trigger.compile(model)
    if spelling(installed.definition) != spelling(_definition(model, trigger)):
        yield problem(
            "trigger_altered",
            f"Trigger {name} on {table} is defined otherwise than declared: {installed.definition}",
            f"Run `{install}`.",
        )
    if installed.body != compiled.sql.function_body:
        yield problem(
            "function_altered",
            f"The function of trigger {name} is not the one that was installed.",
            f"Run `{install}`.",
        )
    if not installed.security_definer or sorted(installed.settings) != EXPECTED_SETTINGS:
        yield problem(
            "function_unprotected",
            f"The function of trigger {name} does not run as SECURITY DEFINER with its own "
            f"search_path: it has {installed.settings or 'no settings'}.",
            f"Run `{install}`.",
        )
    if installed.function_owner != installed.table_owner:
        owner = Identifier(installed.table_owner).as_string(None)
        yield problem(
            "function_owner",
            f"The function of trigger {name} belongs to {installed.function_owner}, the table to "
            f"{installed.table_owner}: it may lack the rights to count.",
            f"Run `ALTER FUNCTION {written}() OWNER TO {owner}`.",
        )


def _definition(model: type[Model], trigger: pgtrigger.Trigger) -> str:
    """The definition that we expect of pg_get_triggerdef, but for spelling."""
    parts = (
        f"CREATE TRIGGER {trigger.get_pgid(model)}",
        f"{trigger.when} {trigger.operation} ON {features.schema()}.{model._meta.db_table}",
        str(trigger.referencing or ""),
        f"FOR EACH {trigger.level}",
        trigger.render_condition(model),
        f"EXECUTE FUNCTION {trigger.get_pgid(model)}()",
    )
    return " ".join(parts)


def spelling(definition: str) -> str:
    """What is left of a definition without what PostgreSQL writes in its own way.

    It adds parentheses and casts, drops needless quotes, and lowers OLD and NEW. The same letters
    in the same order are the same trigger, whatever the version of the server.
    """
    unquoted = re.sub(r"::\w+|public\.(?=\"?(?:AAA|zzz|pgtrigger)_)|\"", "", definition)
    return re.sub(r"\s", "", _without_needless_parentheses(unquoted.lower()))


def _without_needless_parentheses(text: str) -> str:
    """Keep the parentheses that hold an AND or an OR together: these change what it means."""
    levels: list[list[str]] = [[]]
    for part in re.split(r"([()])", text):
        if part == "(":
            levels.append([])
        elif part == ")":
            inner = levels.pop()
            own = (piece for piece in inner if not piece.startswith("("))
            together = any(re.search(r"\b(and|or)\b", piece) for piece in own)
            levels[-1] += [f"({''.join(inner)})"] if together else inner
        else:
            levels[-1].append(part)
    return "".join(levels[0])

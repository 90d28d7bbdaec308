"""Whether the triggers that keep a counter are in the database as they were declared."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pgtrigger
from django.db import DEFAULT_DB_ALIAS, connections
from pgtrigger import features
from psycopg.sql import Identifier

from sentinel.counters.registry import counter_triggers
from sentinel.counters.statements import named_queries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.models import Model

    from sentinel.counters.binding import BoundCounter
    from sentinel.counters.triggers import DefinerTrigger

# What the function is to run with: see DefinerTriggerSqlV1.
EXPECTED_SETTINGS = ["search_path=pg_catalog, public, pg_temp", "sentinel.engine="]
FIRES = "OA"  # on origin and local writes (the default), or always


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that would let a counter drift.

    Attributes:
        id: a short name that stays the same, such as `counters.trigger_missing`.
        subject: the trigger it is about.
        message: what is wrong, in a sentence.
        cure: what to do about it.
    """

    id: str
    subject: str
    message: str
    cure: str


class Installed(NamedTuple):
    """A trigger and its function as the catalogues have them."""

    trigger: str
    table: str
    enabled: str
    definition: str
    body: str
    security_definer: bool
    settings: list[str]
    function_owner: str
    table_owner: str


def find_problems(
    counter: BoundCounter | None = None, *, using: str = DEFAULT_DB_ALIAS
) -> list[Problem]:
    """Return what is wrong with the triggers of a counter, or of all where none is given.

    Reads the catalogues only, so a role without rights on the tables can do it.
    """
    expected = counter_triggers(counter)
    installed = _installed([trigger.get_pgid(model) for model, trigger in expected], using=using)
    return [
        problem
        for model, trigger in expected
        for problem in _compare(
            model, trigger, installed.get((model._meta.db_table, trigger.get_pgid(model)))
        )
    ]


def _installed(names: list[str], *, using: str) -> dict[tuple[str, str], Installed]:
    with connections[using].cursor() as cursor:
        cursor.execute(
            named_queries("health")["installed_triggers"],
            {"names": names, "schema": features.schema()},
        )
        rows = [Installed(*row) for row in cursor.fetchall()]
    return {(row.table, row.trigger): row for row in rows}


def _compare(
    model: type[Model], trigger: DefinerTrigger, installed: Installed | None
) -> Iterator[Problem]:
    table = Identifier(model._meta.db_table).as_string(None)
    name = trigger.get_pgid(model)
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
    if installed.enabled not in FIRES:
        yield problem(
            "trigger_disabled",
            f"Trigger {name} on {table} is disabled: these writes are not counted.",
            f"Run `ALTER TABLE {table} ENABLE TRIGGER {name}`, then audit.",
        )
    compiled = trigger.compile(model)
    if _spelling(installed.definition) != _spelling(_definition(model, trigger)):
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
            f"Run `ALTER FUNCTION {name}() OWNER TO {owner}`.",
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


def _spelling(definition: str) -> str:
    """What is left of a definition without what PostgreSQL writes in its own way.

    It adds parentheses and casts, drops needless quotes, and lowers OLD and NEW. The same letters
    in the same order are the same trigger, whatever the version of the server.
    """
    unquoted = re.sub(r"::\w+|\"|public\.(?=zzz_|pgtrigger_)", "", definition)
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

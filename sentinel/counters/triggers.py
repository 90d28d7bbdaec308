"""How a counter is kept: from a declaration to triggers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pgtrigger

from sentinel.counters.template import DefinerTriggerSqlV1

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import Model
    from pgtrigger.compiler import Trigger as CompiledTrigger
    from psycopg.sql import Composable

    from sentinel.counters.binding import BoundCounter

NEW_ROWS = pgtrigger.Referencing(new="new_values")
OLD_ROWS = pgtrigger.Referencing(old="old_values")
BOTH_ROWS = pgtrigger.Referencing(old="old_values", new="new_values")

# Before PostgreSQL's own triggers of a foreign key, and behind the triggers of others.
FIRES_FIRST, FIRES_LAST = "AAA_", "zzz_"

# What settings are assigned to: an assignment is an expression, a PERFORM would be a query.
ENGINE = ("engine", "text")
RECOUNT = ("recount", "text")

RECOUNTING = (
    "CONSTANT boolean := coalesce(pg_catalog.current_setting('sentinel.recount', true), '') = 'on'"
)

# True where the writer is not a trigger of the engine: `sentinel.engine` holds the depth of the
# engine's trigger that is writing. At depth 0 nobody is a trigger, whatever the setting says: what
# it is compared with is NULL there. PostgreSQL reads the text of a WHEN clause anew at every
# statement, so each word of it costs every writer.
NOT_THE_ENGINE = (
    "((current_setting('sentinel.engine', true) = nullif(pg_trigger_depth(), 0)::text) IS NOT TRUE)"
)

# The same, but that the statement of a repair is the engine as well, which has locked the rows and
# counted them. It names its own transaction, so that a setting which a session keeps, or a pool
# hands on, says nothing; and it is run by somebody who may switch the guard off anyway. Anybody
# else is guarded, as ever.
NOT_THE_ENGINE_NOR_A_REPAIR = (
    "((current_setting('sentinel.engine', true) = CASE"
    " WHEN pg_trigger_depth() > 0 THEN pg_trigger_depth()::text"
    " WHEN has_table_privilege(OLD.tableoid, 'TRIGGER') THEN pg_current_xact_id()::text"
    " ELSE NULL END) IS NOT TRUE)"
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
    """One of the triggers of a counter.

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
        return pgid.replace("pgtrigger_", FIRES_LAST, 1) if self._fires_last else pgid

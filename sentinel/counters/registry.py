"""Which counters there are, read back from the triggers that keep them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import pgtrigger
from django.apps import apps

from sentinel.counters.binding import BoundCounter, ChildCount
from sentinel.counters.guarding import guard_triggers
from sentinel.counters.ledger import LedgerTotal
from sentinel.counters.ledger_triggers import ledger_guard_triggers
from sentinel.counters.triggers import CounterTrigger, DefinerTrigger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import Model


class UnknownCounterError(LookupError):
    """No counter of that name is declared."""


def declared_counters() -> list[BoundCounter]:
    """Return every declared counter, by name."""
    counters = {
        counter.name: counter
        for model, trigger in pgtrigger.registered()
        if isinstance(trigger, CounterTrigger)
        for counter in [trigger.bind(model)]
    }
    return [counters[name] for name in sorted(counters)]


def find_counters(names: Iterable[str]) -> list[BoundCounter]:
    """Return the counters of these names, or all of them where no name is given.

    Raises:
        UnknownCounterError: a name is not one of a declared counter; the message lists those.
    """
    declared = {counter.name: counter for counter in declared_counters()}
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in declared:
            close = difflib.get_close_matches(name, declared, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise UnknownCounterError(
                f"No counter is called {name!r}.{hint} There are: {', '.join(declared) or 'none'}."
            )
    return [declared[name] for name in wanted] or list(declared.values())


def counter_triggers(
    counter: BoundCounter | None = None,
) -> list[tuple[type[Model], DefinerTrigger]]:
    """Return the triggers that keep a counter, each with the model it stands on.

    Where no counter is given: every trigger that is installed by our template, those of the apps
    included that keep no declared counter.
    """
    return [
        (model, trigger)
        for model, trigger in pgtrigger.registered()
        if isinstance(trigger, DefinerTrigger)
        and (
            counter is None
            or (isinstance(trigger, CounterTrigger) and trigger.bind(model).name == counter.name)
        )
    ]


def guards(counter: BoundCounter) -> list[pgtrigger.Trigger]:
    """Return the triggers on the parent that a declaration on the child brings with it."""
    match counter:
        case ChildCount():
            return guard_triggers(counter)
        case LedgerTotal():
            return ledger_guard_triggers(counter)
        case _:
            return []


def register_guards() -> None:
    """Put the guards of each counter on its parent, where `makemigrations` finds them."""
    for model in apps.get_models():
        for trigger in list(getattr(model._meta, "triggers", [])):
            if not isinstance(trigger, CounterTrigger) or trigger.level is pgtrigger.Row:
                continue
            counter = trigger.bind(model)
            if not isinstance(counter, ChildCount | LedgerTotal) or counter.child is not model:
                continue  # a guard itself
            present = {t.name for t in getattr(counter.parent._meta, "triggers", [])}
            for guard in guards(counter):
                if guard.name not in present:
                    guard.register(counter.parent)

"""What would stand in the way of distributing the counters' tables with Citus.

Asked for with `SENTINEL_CITUS=on manage.py check --tag citus`; silent otherwise. It reads the
models and connects to nothing. docs/scaling.md tells the way, and what was tried.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.db.models import BigAutoField, BigIntegerField, ForeignKey, UniqueConstraint

from sentinel.counters.binding import ChildCount
from sentinel.counters.ledger import LedgerTotal
from sentinel.counters.registry import declared_counters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from django.db.models import Model

    from sentinel.counters.binding import BoundCounter

    Distribution = Mapping[type[Model], str]  # each table's distribution column

TAG = "citus"


def register_citus_checks() -> None:
    """Have Django run the check of this module."""
    checks.register(check_distribution, TAG)


def check_distribution(
    app_configs: Sequence[object] | None = None,  # noqa: ARG001 (tables of several apps belong together)
    **_options: Any,
) -> list[checks.CheckMessage]:
    """Report what Citus would refuse, or do otherwise, for the tables of the declared counters."""
    if not getattr(settings, "SENTINEL_CITUS", False):
        return []
    counters = declared_counters()
    distribution = distribution_columns(counters)
    return [
        *_contested_tables(counters),
        *chain.from_iterable(
            (*_unique_keys(model, column), *_foreign_keys(model, column, distribution))
            for model, column in distribution.items()
        ),
        *_references_from_elsewhere(distribution),
        *_reference_tables(distribution),
        *chain.from_iterable(_counting(counter) for counter in counters),
    ]


def distribution_columns(counters: Iterable[BoundCounter]) -> dict[type[Model], str]:
    """Return the column by which each table would be distributed.

    A parent and its children have to lie on one worker: the parent goes by its key, the children
    by their foreign key; a ledger and its sums go by the user. Values that follow from their own
    row lie anywhere.
    """
    found: dict[type[Model], str] = {}
    for model, column in _wishes(counters):
        found.setdefault(model, column)
    return found


def _wishes(counters: Iterable[BoundCounter]) -> Iterator[tuple[type[Model], str]]:
    for counter in counters:
        match counter:
            case ChildCount():
                yield counter.parent, counter.key
                yield counter.child, counter.foreign_key
            case LedgerTotal():
                column = next(iter(counter.key_columns))
                yield counter.parent, column
                yield counter.child, column


def _contested_tables(counters: Iterable[BoundCounter]) -> Iterator[checks.CheckMessage]:
    """A table has one distribution column, so its rows can be counted for one parent only."""
    wishes: dict[type[Model], list[str]] = {}
    for model, column in _wishes(counters):
        columns = wishes.setdefault(model, [])
        if column not in columns:
            columns.append(column)
    for model, columns in wishes.items():
        if len(columns) > 1:
            yield checks.Warning(
                f"{model._meta.db_table} would have to be distributed by "
                f"{' and by '.join(columns)}.",
                hint="Choose one. The other counter's parents lie on other workers: keep that "
                "counter as a sum that is recounted, or leave the tables on one machine.",
                obj=model,
                id="counters.citus_contested",
            )


def _unique_keys(model: type[Model], column: str) -> Iterator[checks.CheckMessage]:
    table = model._meta.db_table
    for columns in _unique_columns(model):
        if column not in columns:
            wider = ", ".join([column, *columns])
            yield checks.Warning(
                f"{table} is unique by ({', '.join(columns)}), without {column}, by which it would "
                "be distributed: a worker cannot know the rows of the others.",
                hint=f"Make it unique by ({wider}), or give the constraint up.",
                obj=model,
                id="counters.citus_unique",
            )


def _unique_columns(model: type[Model]) -> Iterator[tuple[str, ...]]:
    options = model._meta
    column_of = {field.name: str(field.column) for field in options.concrete_fields}
    for field in options.concrete_fields:
        if field.unique:
            yield (str(field.column),)
    for names in options.unique_together:
        yield tuple(column_of[name] for name in names)
    for constraint in options.constraints:
        if isinstance(constraint, UniqueConstraint) and constraint.fields:
            yield tuple(column_of[name] for name in constraint.fields)


def _foreign_keys(
    model: type[Model], column: str, distribution: Distribution
) -> Iterator[checks.CheckMessage]:
    """Between distributed tables a foreign key has to join the distribution columns."""
    for field in _constrained_keys(model):
        target = field.related_model
        if target not in distribution:
            continue  # see `_reference_tables`
        joined = (field.column, field.target_field.column)
        if joined != (column, distribution[target]):
            yield checks.Warning(
                f"{model._meta.db_table}.{field.column} refers to {target._meta.db_table}, "
                f"which would be distributed by {distribution[target]}.",
                hint="Citus has foreign keys between distributed tables only where they join the "
                "columns that both are distributed by. Give the constraint up.",
                obj=field,
                id="counters.citus_foreign_key",
            )


def _references_from_elsewhere(distribution: Distribution) -> Iterator[checks.CheckMessage]:
    """Tables that are not distributed cannot refer to those that are."""
    for model in apps.get_models(include_auto_created=True):
        if model in distribution or not model._meta.managed:
            continue
        for field in _constrained_keys(model):
            if field.related_model in distribution:
                yield checks.Warning(
                    f"{model._meta.db_table}.{field.column} refers to "
                    f"{field.related_model._meta.db_table}, which would be distributed.",
                    hint=f"Distribute {model._meta.db_table} as well, by the same column, or give "
                    "the constraint up.",
                    obj=field,
                    id="counters.citus_foreign_key",
                )


def _reference_tables(distribution: Distribution) -> Iterator[checks.CheckMessage]:
    """What distributed tables refer to, and what that refers to, is copied to every worker."""
    waiting = list(distribution)
    seen = set(waiting)
    for model in waiting:  # which grows
        for field in _constrained_keys(model):
            target = field.related_model
            if target in seen:
                continue
            seen.add(target)
            waiting.append(target)
            yield checks.Info(
                f"{target._meta.db_table} has to be a reference table: "
                f"{model._meta.db_table}.{field.column} refers to it.",
                hint="SELECT create_reference_table(…), before the distributed tables. A write to "
                "it is a write to every worker.",
                obj=target,
                id="counters.citus_reference",
            )


def _constrained_keys(model: type[Model]) -> list[ForeignKey[Any, Any]]:
    return [
        field
        for field in model._meta.concrete_fields
        if isinstance(field, ForeignKey) and getattr(field, "db_constraint", True)
    ]


def _counting(counter: BoundCounter) -> Iterator[checks.CheckMessage]:
    """What the triggers do, as far as workers see it otherwise than one machine."""
    match counter:
        case ChildCount():
            yield checks.Warning(
                f"Counter {counter.name}: one statement that writes children of several parents "
                "locks and updates these parents in one statement each.",
                hint="On workers the triggers have to loop over the parents in the order of their "
                "keys, an UPDATE for each. See docs/scaling.md.",
                obj=counter.child,
                id="counters.citus_statement",
            )
            yield checks.Info(
                f"Counter {counter.name}: Citus refuses to change {counter.foreign_key} of a row "
                f"of {counter.child._meta.db_table}, and a TRUNCATE is not counted.",
                hint="Delete the row and insert it again; delete the rows instead.",
                obj=counter.child,
                id="counters.citus_moves",
            )
        case LedgerTotal():
            for model in (counter.parent, counter.child):
                key = model._meta.pk
                if not isinstance(key, BigAutoField | BigIntegerField):
                    yield checks.Warning(
                        f"Triggers insert rows of {model._meta.db_table}, whose key "
                        f"{key.column} is no bigint: keys that workers give out are larger.",
                        hint="Make it a BigAutoField.",
                        obj=model,
                        id="counters.citus_key",
                    )

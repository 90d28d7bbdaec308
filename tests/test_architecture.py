"""What import-linter cannot see: relations by name, migrations, and the public surfaces."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pgtrigger
import pytest
from django.apps import apps
from django.core.management import call_command

from sentinel.counters import ChildCount, LedgerTotal, declared_counters
from sentinel.counters.registry import guards

ROOT = Path(__file__).parents[1]

# From the ground up: an app may refer to those before it, never to those after it.
LAYERS = ["counters", "accounts", "usage", "threads", "itineraries"]
FOLDERS = ["sentinel", "usage", "threads", "itineraries"]
SIDE_BY_SIDE = {"threads", "itineraries"}
OWN_CODE = sorted(
    path
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
)


def may_refer(source: str, target: str) -> bool:
    """Whether an app may have a relation to a model of another."""
    if target not in LAYERS or source == target:
        return True
    if {source, target} == SIDE_BY_SIDE:
        return False
    return LAYERS.index(target) < LAYERS.index(source)


def test_relations_go_one_way() -> None:
    wrong = [
        f"{model._meta.label}.{field.name} refers to {field.related_model._meta.label}"
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_label in LAYERS
        for field in (*model._meta.concrete_fields, *model._meta.many_to_many)
        if field.related_model is not None
        and not may_refer(model._meta.app_label, field.related_model._meta.app_label)
    ]
    assert not wrong, "an app refers to one above it; let the upper one hold the foreign key"


@pytest.mark.parametrize("path", OWN_CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_model_is_fetched_by_name(path: Path) -> None:
    """get_model() with a literal is an import that no tool can follow."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        literal = any(isinstance(argument, ast.Constant) for argument in node.args)
        assert not (node.func.attr == "get_model" and literal), (
            f"line {node.lineno}: import the model instead, so that import-linter sees it"
        )


@pytest.mark.parametrize("path", OWN_CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_stay_small(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 300, f"{lines} lines: give one of its purposes a module of its own"


@pytest.mark.parametrize(
    "package", ["sentinel.counters", "sentinel.embedded", "sentinel.imports", "usage"]
)
def test_a_package_says_what_its_surface_is(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__all__ == sorted(module.__all__, key=lambda name: (not name.isupper(), name))
    for name in module.__all__:
        assert getattr(module, name).__doc__, f"{package}.{name} has no docstring"
    folder = Path(str(module.__file__)).parent
    modules = {path.stem for path in folder.glob("*.py")}
    assert not modules & set(module.__all__), "a module and a function of one name are ambiguous"


@pytest.mark.django_db
def test_every_change_of_a_model_has_its_migration() -> None:
    """If this fails, run `manage.py makemigrations`: a model or a trigger's text has changed."""
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_migrations_import_nothing_of_ours_but_the_triggers_template() -> None:
    """What they do is frozen: code that goes on changing has no place in them.

    A field's class is needed for the state, as Django's own fields are; operations say how a step
    is taken, as Django's own do.
    """
    allowed = {"sentinel.counters.template", "sentinel.accounts.fields", "sentinel.migrating"}
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("migrations/*.py")):
        for line in path.read_text(encoding="utf-8").splitlines():
            imported = re.match(
                r"\s*(?:from|import) ((?:sentinel|usage|threads|itineraries)\S*)", line
            )
            assert not imported or imported[1] in allowed, f"{path}: {line}"


def test_no_table_checks_that_a_count_is_not_negative() -> None:
    """With drift such a check would refuse a valid delete: count, audit, repair instead."""
    for counter in declared_counters():
        for constraint in counter.parent._meta.constraints:
            assert counter.field not in str(constraint), constraint


def test_every_parent_has_the_guards_of_its_counters() -> None:
    for counter in declared_counters():
        there = {
            trigger.name for model, trigger in pgtrigger.registered() if model is counter.parent
        }
        assert {guard.name for guard in guards(counter)} <= there, counter.name


def test_every_counter_is_not_null_with_a_default_in_the_database() -> None:
    """The existing application inserts parents without knowing of the column.

    The sum of a ledger may be nullable, as a legacy column is: its guard makes 0 of a NULL.
    """
    for counter in declared_counters():
        [field] = [f for f in counter.parent._meta.concrete_fields if f.name == counter.field]
        assert isinstance(counter, LedgerTotal) or not field.null, counter.name
        assert field.has_db_default(), counter.name
        if isinstance(counter, ChildCount):
            assert counter.key_type, counter.name

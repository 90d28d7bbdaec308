"""The migration that brings the limits: its scripts again, over edited rows, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import connection

import usage
from tests.price_list import CELLS
from usage.factories import LimitOverrideFactory
from usage.limit_models import PlanLimit, PlanTrial

pytestmark = pytest.mark.django_db

SQL = Path(usage.__file__).parent / "migrations" / "sql"
SCRIPTS = ("plan_limits_tables", "limit_overrides_table", "plan_limits_data", "limit_functions")
TABLES = ["feature_plan_limits", "feature_limit_overrides", "plan_trials"]


def run_script(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute((SQL / f"0003_{name}.sql").read_text(encoding="utf-8"))


def query(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


def functions() -> list[tuple[Any, ...]]:
    """The functions that the migration makes, by the file that makes them."""
    made = (SQL / "0003_limit_functions.sql").read_text(encoding="utf-8")
    return query(
        "SELECT oid::regprocedure::text, prosecdef, proconfig, oid FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace"
        " AND position('FUNCTION public.' || proname || '(' IN %s) > 0 ORDER BY 1",
        made,
    )


def test_the_scripts_can_be_run_again_over_edited_rows_which_stay() -> None:
    edited = PlanLimit.objects.get(plan="PRO", feature="saved_searches")
    PlanLimit.objects.filter(pk=edited.pk).update(usage_limit=4)
    PlanTrial.objects.filter(plan="PRO").update(days=30)
    for name in SCRIPTS:
        run_script(name)
    assert PlanLimit.objects.count() == len(CELLS)
    assert PlanLimit.objects.get(pk=edited.pk).usage_limit == 4
    assert PlanTrial.objects.get(plan="PRO").days == 30


def test_a_row_that_is_gone_comes_back_with_the_next_run() -> None:
    PlanLimit.objects.filter(feature="map_export").delete()
    run_script("plan_limits_data")
    assert PlanLimit.objects.filter(feature="map_export").count() == 4


def test_a_plan_that_is_gone_gets_no_rows() -> None:
    query("DELETE FROM plans WHERE name = 'BUSINESS' RETURNING name")
    run_script("plan_limits_data")
    assert not PlanLimit.objects.filter(plan_id="BUSINESS").exists()


def test_the_way_back_drops_what_computes_and_keeps_what_people_decided() -> None:
    LimitOverrideFactory.create()
    run_script("limit_functions_reverse")
    assert functions() == []
    assert PlanLimit.objects.count() == len(CELLS)
    for name in SCRIPTS:
        run_script(name)
    assert len(functions()) == 7
    assert query("SELECT count(*) FROM feature_limit_overrides") == [(1,)]


def test_foreign_keys_delete_in_the_database_and_cannot_be_put_off() -> None:
    found = query(
        "SELECT confrelid::regclass::text, confdeltype::text, condeferrable FROM pg_constraint"
        " WHERE contype = 'f' AND conrelid = ANY (%s::regclass[]) ORDER BY 1",
        TABLES,
    )
    assert found == [("plans", "c", False), ("plans", "c", False), ("users", "c", False)]


def test_nobody_else_may_call_the_functions() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE stranger")
    for name, *_, oid in functions():
        allowed = query("SELECT has_function_privilege('stranger', %s::oid, 'EXECUTE')", oid)
        assert allowed == [(False,)], name


def test_what_runs_with_our_rights_looks_for_names_where_we_say() -> None:
    for name, definer, settings, _ in functions():
        expected = ["search_path=pg_catalog, public, pg_temp"] if definer else None
        assert settings == expected, name

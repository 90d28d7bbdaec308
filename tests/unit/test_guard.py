"""Whoever else writes a counter: what is stored stays true."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from psycopg.sql import SQL, Identifier

from sentinel.counters.guarding import guard_triggers
from tests.rows import Rows, Stored, literal

# Statements that write children of {one} and {two} and a counter at the same time. Each begins
# with two children of {one} and one of {two}; `first` is a child of {one}.
IN_ONE_STATEMENT = {
    "an insert": (
        "WITH added AS (INSERT INTO {child} ({foreign_key}, {columns})"
        " VALUES ({one}, {values}), ({one}, {values}))"
        " UPDATE {parent} SET {column} = {column} + 2 WHERE {key} = {one}",
        (4, 1),
    ),
    "an insert that the main query reads": (
        "WITH added AS (INSERT INTO {child} ({foreign_key}, {columns})"
        " VALUES ({one}, {values}) RETURNING {foreign_key})"
        " UPDATE {parent} SET {column} = {column} + 1"
        " FROM added WHERE {parent}.{key} = added.{foreign_key}",
        (3, 1),
    ),
    "a delete": (
        "WITH gone AS (DELETE FROM {child} WHERE {id} = {first} RETURNING {foreign_key})"
        " UPDATE {parent} SET {column} = {column} - 1"
        " FROM gone WHERE {parent}.{key} = gone.{foreign_key}",
        (1, 1),
    ),
    "a move": (
        "WITH moved AS (UPDATE {child} SET {foreign_key} = {two} WHERE {id} = {first} RETURNING 1)"
        " UPDATE {parent} SET {column} = 77 FROM moved WHERE {key} IN ({one}, {two})",
        (1, 2),
    ),
    "an exchange": (
        "WITH moved AS (UPDATE {child} SET {foreign_key} ="
        " CASE {foreign_key} WHEN {one} THEN {two} ELSE {one} END"
        " WHERE {foreign_key} IN ({one}, {two}) RETURNING 1)"
        " UPDATE {parent} SET {column} = 77 FROM moved WHERE {key} IN ({one}, {two})",
        (1, 2),
    ),
    "an insert, a delete and a counter of another parent": (
        "WITH added AS (INSERT INTO {child} ({foreign_key}, {columns}) VALUES ({one}, {values})),"
        " gone AS (DELETE FROM {child} WHERE {id} = {first})"
        " UPDATE {parent} SET {column} = 77 WHERE {key} = {two}",
        (2, 1),
    ),
}


def family(rows: Rows) -> tuple[object, object, int]:
    one, two = rows.parent(), rows.parent()
    first, _ = rows.children(one, 2)
    rows.child(two)
    return one, two, first


@pytest.mark.parametrize("wrong", [99, 0, -3])
def test_a_wrong_value_becomes_the_true_one(rows: Rows, wrong: int) -> None:
    parent = rows.parent()
    rows.children(parent, 2)
    rows.sql("UPDATE {parent} SET {column} = {wrong} WHERE {key} = {it}", it=parent, wrong=wrong)
    rows.assert_counts({parent: 2})


def test_a_counter_that_is_given_at_insert_is_zero(rows: Rows) -> None:
    columns = dict.fromkeys(rows.counter.stored_columns, 7)
    rows.assert_counts({rows.parent(**columns): 0})


def test_a_mirror_that_is_given_null_at_insert_is_zero(rows: Rows) -> None:
    rows.assert_counts({rows.parent(**dict.fromkeys(rows.counter.mirrors)): 0})


def test_an_upsert_of_a_parent_cannot_write_its_counter(rows: Rows) -> None:
    parent = rows.parent()
    rows.children(parent, 2)
    columns = [str(f.column) for f in rows.counter.parent._meta.concrete_fields]
    rows.sql(
        "INSERT INTO {parent} ({all}) SELECT {all} FROM {parent} WHERE {key} = {it}"
        " ON CONFLICT ({key}) DO UPDATE SET {given}",
        it=parent,
        all=SQL(", ").join(map(Identifier, columns)),
        given=SQL(", ").join(
            SQL("{0} = EXCLUDED.{0} + 5").format(Identifier(column))
            for column in rows.counter.stored_columns
        ),
    )
    rows.assert_counts({parent: 2})


@pytest.mark.parametrize("kind", IN_ONE_STATEMENT)
def test_children_and_counter_in_one_statement_count_once(rows: Rows, kind: str) -> None:
    one, two, first = family(rows)
    statement, (of_one, of_two) = IN_ONE_STATEMENT[kind]
    words = {"one": one, "two": two, "first": first}
    rows.sql(
        statement, **{word: value for word, value in words.items() if f"{{{word}}}" in statement}
    )
    rows.assert_counts({one: of_one, two: of_two})


def test_writes_after_such_a_statement_still_count(rows: Rows) -> None:
    one, two, first = family(rows)
    rows.sql("UPDATE {parent} SET {column} = 50 WHERE {key} = {one}", one=one)
    rows.children(one, 2)
    rows.sql("DELETE FROM {child} WHERE {id} = {first}", first=first)
    rows.sql(
        "UPDATE {child} SET {foreign_key} = {two} WHERE {foreign_key} = {one}", one=one, two=two
    )
    rows.assert_counts({one: 0, two: 4})


def test_the_existing_applications_own_increment_is_not_counted_twice(rows: Rows) -> None:
    parent = rows.parent(**dict.fromkeys(rows.counter.stored_columns, 3))
    rows.children(parent, 3)
    for column in rows.counter.stored_columns:
        rows.sql(
            "UPDATE {parent} SET {written} = {written} + 3 WHERE {key} = {it}",
            it=parent,
            written=Identifier(column),
        )
    rows.children(parent, 2)
    rows.assert_counts({parent: 5})


def test_a_stale_save_puts_back_no_old_value(rows: Rows) -> None:
    model = rows.counter.parent
    parent = rows.parent()
    stale = model._default_manager.get(pk=parent)
    rows.children(parent, 3)
    stale.save()
    rows.assert_counts({parent: 3})


def test_the_deployment_guides_repair_by_hand_leaves_true_counts(rows: Rows) -> None:
    parent, other = rows.parent(), rows.parent()
    rows.children(parent, 3)
    rows.sql(
        "UPDATE {parent} AS ct SET {column} ="
        " (SELECT COUNT(*) FROM {child} WHERE {foreign_key} = ct.{key})"
    )
    rows.assert_counts({parent: 3, other: 0})


def test_null_written_into_a_counter_repairs_it_and_its_mirrors(rows: Rows) -> None:
    """What the backfill is made of."""
    parent = rows.parent()
    rows.children(parent, 3)
    drift(rows, parent, counter=8, mirrors=5)
    rows.sql("UPDATE {parent} SET {column} = NULL WHERE {key} = {it}", it=parent)
    rows.assert_counts({parent: 3})


def test_null_is_refused_where_the_guard_is_missing(rows: Rows) -> None:
    parent = rows.parent()
    for trigger in guard_triggers(rows.counter):
        trigger.uninstall(rows.counter.parent)
    with pytest.raises(IntegrityError, match="null value"):
        rows.sql("UPDATE {parent} SET {column} = NULL WHERE {key} = {it}", it=parent)


def test_a_mirror_alone_goes_back_to_what_it_was(mirrored_rows: Rows) -> None:
    rows = mirrored_rows
    parent = rows.parent()
    rows.children(parent, 2)
    for wrong in (9, None):
        for mirror in rows.counter.mirrors:
            rows.sql(
                "UPDATE {parent} SET {mirror} = {wrong} WHERE {key} = {it}",
                it=parent,
                mirror=Identifier(mirror),
                wrong=wrong,
            )
    rows.assert_counts({parent: 2})


def test_a_mirror_moves_by_the_delta_and_is_not_overwritten(mirrored_rows: Rows) -> None:
    """During a takeover the mirror is the old, full value, and the counter still partial."""
    rows = mirrored_rows
    parent = rows.parent()
    drift(rows, parent, counter=0, mirrors=100)
    rows.child(parent)
    assert rows.stored(parent) == Stored(1, (101,) * len(rows.counter.mirrors))


def test_a_mirror_that_holds_null_counts_from_zero(mirrored_rows: Rows) -> None:
    rows = mirrored_rows
    parent = rows.parent()
    drift(rows, parent, counter=0, mirrors=None)
    rows.child(parent)
    rows.assert_counts({parent: 1})


def test_touched_columns_move_at_an_insert_alone(touching_rows: Rows) -> None:
    rows = touching_rows
    parent = rows.parent()
    [touched] = rows.counter.touches
    long_ago = "2001-01-01T00:00:00+00:00"

    def moved() -> bool:
        [(value,)] = rows.sql(
            "SELECT {touched} <> {long_ago}::timestamptz FROM {parent} WHERE {key} = {it}",
            it=parent,
            touched=Identifier(touched),
            long_ago=long_ago,
        )
        rows.sql(
            "UPDATE {parent} SET {touched} = {long_ago} WHERE {key} = {it}",
            it=parent,
            touched=Identifier(touched),
            long_ago=long_ago,
        )
        return bool(value)

    moved()
    child = rows.child(parent)
    assert moved()
    rows.sql("UPDATE {child} SET {text} = 'other' WHERE {id} = {changed}", changed=child)
    rows.sql("DELETE FROM {child} WHERE {id} = {gone}", gone=child)
    assert not moved()


def test_the_key_of_a_parent_cannot_be_changed(rows: Rows) -> None:
    parent = rows.parent()
    with pytest.raises(IntegrityError, match=r"the key of a row of .* cannot be changed"):
        rows.sql(
            "UPDATE {parent} SET {key} = {other} WHERE {key} = {it}",
            it=parent,
            other="another key" if rows.example.key else 1_000_000,
        )


def test_a_trigger_of_somebody_else_cannot_write_the_counter(rows: Rows) -> None:
    parent = rows.parent()
    rows.sql(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "UPDATE {parent} SET {column} = {column} + 1; RETURN NULL; END $$"
    )
    rows.sql("CREATE TRIGGER meddle AFTER INSERT ON {child} FOR EACH ROW EXECUTE FUNCTION meddle()")
    rows.children(parent, 3)
    rows.assert_counts({parent: 3})


def test_a_trigger_of_somebody_else_below_the_engines_write_cannot_write_it_either(
    rows: Rows,
) -> None:
    parent, other = rows.parent(), rows.parent()
    rows.sql(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.{key} = {it} AND pg_trigger_depth() < 4 THEN "
        "UPDATE {parent} SET {column} = 70 WHERE {key} = {other}; END IF; RETURN NULL; END $$",
        it=parent,
        other=other,
    )
    rows.sql(
        "CREATE TRIGGER meddle AFTER UPDATE ON {parent} FOR EACH ROW EXECUTE FUNCTION meddle()"
    )
    rows.children(parent, 2)
    rows.assert_counts({parent: 2, other: 0})


def test_a_setting_of_the_session_does_not_open_the_guard(rows: Rows) -> None:
    parent = rows.parent()
    rows.child(parent)
    for depth in ("0", "1", "2", ""):
        rows.sql("SELECT set_config('sentinel.engine', {depth}, false)", depth=depth)
        rows.sql("UPDATE {parent} SET {column} = 40 WHERE {key} = {it}", it=parent)
        rows.assert_counts({parent: 1})
    rows.sql("RESET sentinel.engine")


@pytest.mark.parametrize(
    "transaction_number",
    ["''", "'0'", "'on'", "'1'", "(pg_current_xact_id()::text::bigint + 1)::text"],
)
def test_a_repair_of_another_transaction_does_not_open_the_guard(
    rows: Rows, transaction_number: str
) -> None:
    parent = rows.parent()
    rows.child(parent)
    rows.sql(f"SELECT set_config('sentinel.engine', {transaction_number}, true)")
    rows.sql("UPDATE {parent} SET {column} = 40 WHERE {key} = {it}", it=parent)
    rows.assert_counts({parent: 1})


def test_who_may_not_switch_the_guard_off_does_not_open_it_as_a_repair(rows: Rows) -> None:
    parent = rows.parent()
    rows.child(parent)
    rows.sql("CREATE ROLE sentinel_stranger")
    rows.sql("GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA public TO sentinel_stranger")
    rows.sql("SET LOCAL ROLE sentinel_stranger")
    rows.sql("SELECT set_config('sentinel.engine', pg_current_xact_id()::text, true)")
    rows.sql("UPDATE {parent} SET {column} = 40 WHERE {key} = {it}", it=parent)
    rows.sql("RESET ROLE")
    rows.assert_counts({parent: 1})


def test_a_trigger_of_others_is_not_the_repair_whose_statement_fires_it(rows: Rows) -> None:
    """The repair itself writes 0 here; what the trigger writes is refused."""
    parent, other = rows.parent(), rows.parent()
    rows.child(parent)
    rows.child(other)
    rows.sql("SET CONSTRAINTS ALL IMMEDIATE")
    rows.sql(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.{key} = {it} THEN "
        "UPDATE {parent} SET {column} = 70 WHERE {key} = {other}; END IF; RETURN NULL; END $$",
        it=parent,
        other=other,
    )
    rows.sql(
        "CREATE TRIGGER meddle AFTER UPDATE ON {parent} FOR EACH ROW EXECUTE FUNCTION meddle()"
    )
    rows.sql("SELECT set_config('sentinel.engine', pg_current_xact_id()::text, true)")
    rows.sql("UPDATE {parent} SET {column} = 0 WHERE {key} = {it}", it=parent)
    assert (rows.stored(parent).counter, rows.stored(other).counter) == (0, 1)


def test_pgtriggers_ignore_does_not_switch_counting_off(rows: Rows) -> None:
    import pgtrigger

    parent = rows.parent()
    with pgtrigger.ignore():
        rows.children(parent, 2)
    rows.assert_counts({parent: 2})


def test_a_trigger_that_swallows_the_count_is_an_error(rows: Rows) -> None:
    parent = rows.parent()
    rows.sql(
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"
    )
    rows.sql(
        "CREATE TRIGGER swallow BEFORE UPDATE ON {parent} FOR EACH ROW EXECUTE FUNCTION swallow()"
    )
    with (
        pytest.raises(DatabaseError, match="kept the count from being written"),
        transaction.atomic(),
    ):
        rows.child(parent)
    rows.assert_counts({parent: 0})


def test_a_child_that_comes_before_its_parent_is_refused(rows: Rows) -> None:
    rows.sql("SET CONSTRAINTS ALL DEFERRED")
    nobody = "nobody" if rows.example.key else 1_000_000_000
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.child(nobody)


def test_a_deleted_parent_with_children_still_there_is_no_error(rows: Rows) -> None:
    """Django deletes children first; a cascade of the database reaches them when it is gone."""
    parent = rows.parent()
    rows.children(parent, 2)
    rows.sql("SET CONSTRAINTS ALL DEFERRED")
    rows.sql("DELETE FROM {parent} WHERE {key} = {it}", it=parent)
    rows.sql("DELETE FROM {child} WHERE {foreign_key} = {it}", it=parent)
    rows.sql("SET CONSTRAINTS ALL IMMEDIATE")
    assert rows.sql("SELECT 1 FROM {child} WHERE {foreign_key} = {it}", it=parent) == []


def test_a_count_beyond_the_columns_range_is_an_error(rows: Rows) -> None:
    parent = rows.parent()
    [(kind,)] = rows.sql("SELECT pg_typeof({column})::text FROM {parent} LIMIT 1")
    largest = {"integer": 2**31 - 1, "bigint": 2**63 - 1}[kind]
    drift(rows, parent, counter=largest, mirrors=0)
    with pytest.raises(DatabaseError, match="out of range"), transaction.atomic():
        rows.child(parent)
    assert rows.sql("SELECT 1 FROM {child} WHERE {foreign_key} = {it}", it=parent) == []


def drift(rows: Rows, parent: object, *, counter: int, mirrors: int | None) -> None:
    """Write the columns as nobody can who does not switch the triggers off."""
    values = [counter, *[mirrors] * len(rows.counter.mirrors)]
    assignments = SQL(", ").join(
        SQL("{} = {}").format(Identifier(column), literal(value))
        for column, value in zip(rows.counter.stored_columns, values, strict=True)
    )
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
    rows.sql(
        "UPDATE {parent} SET {assignments} WHERE {key} = {it}", assignments=assignments, it=parent
    )
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = origin")

"""Every kind of write to the children of every declared counter."""

from __future__ import annotations

from django.db import connection, transaction
from psycopg.sql import SQL, Identifier

from tests.rows import Rows, array, child_keys


def test_a_new_parent_counts_nothing(rows: Rows) -> None:
    rows.assert_counts({rows.parent(): 0})


def test_one_child_counts_one(rows: Rows) -> None:
    parent, other = rows.parent(), rows.parent()
    rows.child(parent)
    rows.assert_counts({parent: 1, other: 0})


def test_many_children_of_many_parents_count_in_one_statement(rows: Rows) -> None:
    parents = [rows.parent() for _ in range(3)]
    for number, parent in enumerate(parents, start=1):
        rows.children(parent, number)
    rows.sql(
        "INSERT INTO {child} ({foreign_key}, {columns}) "
        "SELECT {key}, {values} FROM {parent}, generate_series(1, 5) WHERE {key} = ANY ({parents})",
        parents=array(parents),
    )
    rows.assert_counts({parent: number + 5 for number, parent in enumerate(parents, start=1)})


def test_bulk_create_counts_every_row(rows: Rows) -> None:
    parents = [rows.parent() for _ in range(2)]
    model, key = rows.counter.child, foreign_key_name(rows)
    fields = {f.column: f.attname for f in model._meta.concrete_fields}
    values = {fields[column]: value for column, value in rows.example.child.items()}
    model._default_manager.bulk_create(
        [model(**{key: parent}, **values) for parent in parents for _ in range(4)]
    )
    rows.assert_counts(dict.fromkeys(parents, 4))


def test_copy_counts_every_row(rows: Rows) -> None:
    parents = [rows.parent() for _ in range(2)]
    statement = SQL("COPY {child} ({foreign_key}, {columns}) FROM STDIN").format(**rows.names)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for parent in parents * 3:
            copy.write_row((parent, *rows.example.child.values()))
    rows.assert_counts(dict.fromkeys(parents, 3))


def test_a_move_takes_from_one_parent_and_gives_to_the_other(rows: Rows) -> None:
    origin, destination = rows.parent(), rows.parent()
    rows.children(origin, 3)
    rows.child(destination)
    rows.sql(
        "UPDATE {child} SET {foreign_key} = {destination} WHERE {foreign_key} = {origin}",
        origin=origin,
        destination=destination,
    )
    rows.assert_counts({origin: 0, destination: 4})


def test_an_exchange_of_children_leaves_both_counts(rows: Rows) -> None:
    one, two = rows.parent(), rows.parent()
    rows.children(one, 2)
    rows.children(two, 2)
    rows.sql(
        "UPDATE {child} SET {foreign_key} = CASE {foreign_key} WHEN {one} THEN {two} ELSE {one} END"
        " WHERE {foreign_key} IN ({one}, {two})",
        one=one,
        two=two,
    )
    rows.assert_counts({one: 2, two: 2})


def test_a_change_of_the_condition_counts(conditional_rows: Rows) -> None:
    rows = conditional_rows
    parent = rows.parent()
    first, *_ = rows.children(parent, 3)
    [(column, uncounted)] = rows.example.uncounted.items()
    change = "UPDATE {child} SET {changed} = {value} WHERE {id} = {first}"
    rows.sql(change, changed=Identifier(column), value=uncounted, first=first)
    rows.assert_counts({parent: 2})
    rows.sql(change, changed=Identifier(column), value=rows.example.child[column], first=first)
    rows.assert_counts({parent: 3})


def test_a_child_outside_the_condition_does_not_count(conditional_rows: Rows) -> None:
    rows = conditional_rows
    parent, other = rows.parent(), rows.parent()
    child = rows.child(parent, **rows.example.uncounted)
    rows.assert_counts({parent: 0})
    rows.sql(
        "UPDATE {child} SET {foreign_key} = {other} WHERE {id} = {moved}", other=other, moved=child
    )
    rows.assert_counts({parent: 0, other: 0})
    rows.sql("DELETE FROM {child} WHERE {id} = {gone}", gone=child)
    rows.assert_counts({parent: 0, other: 0})


def test_an_update_of_something_else_counts_nothing(rows: Rows) -> None:
    parent = rows.parent()
    rows.children(parent, 3)
    [before] = rows.sql("SELECT xmin, ctid FROM {parent} WHERE {key} = {it}", it=parent)
    rows.sql("UPDATE {child} SET {text} = 'rewritten' WHERE {foreign_key} = {it}", it=parent)
    rows.assert_counts({parent: 3})
    [after] = rows.sql("SELECT xmin, ctid FROM {parent} WHERE {key} = {it}", it=parent)
    assert after == before, "the parent was written although its count stayed"


def test_statements_without_rows_count_nothing(rows: Rows) -> None:
    parent = rows.parent()
    rows.children(parent, 2)
    rows.sql(
        "INSERT INTO {child} ({foreign_key}, {columns}) SELECT {it}, {values} WHERE false",
        it=parent,
    )
    rows.sql("UPDATE {child} SET {foreign_key} = {it} WHERE false", it=parent)
    rows.sql("DELETE FROM {child} WHERE false")
    rows.assert_counts({parent: 2})


def test_one_deleted_child_counts_one_less(rows: Rows) -> None:
    parent = rows.parent()
    gone, *_ = rows.children(parent, 3)
    rows.sql("DELETE FROM {child} WHERE {id} = {gone}", gone=gone)
    rows.assert_counts({parent: 2})


def test_many_deleted_children_count_in_one_statement(rows: Rows) -> None:
    parents = [rows.parent() for _ in range(3)]
    children = child_keys(rows, parents * 3)
    rows.sql("DELETE FROM {child} WHERE {id} = ANY ({gone})", gone=array(children[:5]))
    rows.assert_counts(dict(zip(parents, (1, 1, 2), strict=True)))


def test_a_parent_deleted_by_the_orm_takes_its_children_along(rows: Rows) -> None:
    gone, kept = rows.parent(), rows.parent()
    rows.children(gone, 3)
    rows.children(kept, 2)
    rows.counter.parent._default_manager.get(pk=gone).delete()
    rows.assert_counts({kept: 2})


def test_truncate_leaves_every_count_at_zero(rows: Rows) -> None:
    parents = [rows.parent() for _ in range(2)]
    child_keys(rows, parents * 2)
    rows.sql("SET CONSTRAINTS ALL IMMEDIATE")
    rows.sql("TRUNCATE {child} CASCADE")
    rows.assert_counts(dict.fromkeys(parents, 0))


def test_an_upsert_counts_its_inserts_and_its_updates(rows: Rows) -> None:
    origin, destination = rows.parent(), rows.parent()
    moved, *_ = rows.children(origin, 2)
    rows.sql(
        "INSERT INTO {child} ({id}, {foreign_key}, {columns}) "
        "VALUES ({moved}, {destination}, {values}), ({new}, {destination}, {values}) "
        "ON CONFLICT ({id}) DO UPDATE SET {foreign_key} = EXCLUDED.{foreign_key}",
        moved=moved,
        new=moved + 1_000_000,
        destination=destination,
    )
    rows.assert_counts({origin: 1, destination: 2})


def test_an_upsert_that_does_nothing_counts_nothing(rows: Rows) -> None:
    parent = rows.parent()
    [child] = rows.children(parent, 1)
    rows.sql(
        "INSERT INTO {child} ({id}, {foreign_key}, {columns}) VALUES ({there}, {it}, {values}) "
        "ON CONFLICT DO NOTHING",
        there=child,
        it=parent,
    )
    rows.assert_counts({parent: 1})


def test_merge_counts_what_it_inserts_updates_and_deletes(rows: Rows) -> None:
    origin, destination = rows.parent(), rows.parent()
    moved, deleted, _ = rows.children(origin, 3)
    rows.sql(
        "MERGE INTO {child} USING (VALUES ({moved}, 'move'), ({deleted}, 'delete'), "
        "({new}, 'insert')) AS wish (id, kind) ON {child}.{id} = wish.id "
        "WHEN MATCHED AND wish.kind = 'delete' THEN DELETE "
        "WHEN MATCHED THEN UPDATE SET {foreign_key} = {destination} "
        "WHEN NOT MATCHED THEN INSERT ({id}, {foreign_key}, {columns}) "
        "VALUES (wish.id, {destination}, {values})",
        moved=moved,
        deleted=deleted,
        new=moved + 1_000_000,
        destination=destination,
    )
    rows.assert_counts({origin: 1, destination: 2})


def test_several_writes_in_one_statement_all_count(rows: Rows) -> None:
    one, two = rows.parent(), rows.parent()
    deleted, moved, _ = rows.children(one, 3)
    rows.sql(
        "WITH gone AS (DELETE FROM {child} WHERE {id} = {deleted}), "
        "moved AS (UPDATE {child} SET {foreign_key} = {two} WHERE {id} = {moved_id}), "
        "more AS (INSERT INTO {child} ({foreign_key}, {columns}) VALUES ({two}, {values})) "
        "INSERT INTO {child} ({foreign_key}, {columns}) "
        "SELECT parent, {values} FROM (VALUES ({one}), ({two})) AS new (parent)",
        deleted=deleted,
        moved_id=moved,
        one=one,
        two=two,
    )
    rows.assert_counts({one: 2, two: 3})


def test_a_parent_and_its_children_in_one_statement_count(rows: Rows) -> None:
    model = rows.parent()
    columns = [
        str(field.column)
        for field in rows.counter.parent._meta.concrete_fields
        if field.unique is False
    ]
    new_key = "'a new parent'" if rows.example.key else "1000000"
    rows.sql(
        "WITH added AS (INSERT INTO {parent} ({key}, {others}) SELECT {new_key}, {others}"
        " FROM {parent} WHERE {key} = {model} RETURNING {key})"
        " INSERT INTO {child} ({foreign_key}, {columns})"
        " SELECT added.{key}, {values} FROM added, generate_series(1, 3)",
        model=model,
        new_key=SQL(new_key),
        others=SQL(", ").join(map(Identifier, columns)),
    )
    new = "a new parent" if rows.example.key else 1_000_000
    rows.assert_counts({model: 0, new: 3})


def test_a_parent_and_its_children_go_in_one_statement(rows: Rows) -> None:
    gone, kept = rows.parent(), rows.parent()
    rows.children(gone, 2)
    rows.children(kept, 2)
    rows.sql(
        "WITH children AS (DELETE FROM {child} WHERE {foreign_key} = {gone})"
        " DELETE FROM {parent} WHERE {key} = {gone}",
        gone=gone,
    )
    rows.sql("SET CONSTRAINTS ALL IMMEDIATE")
    rows.assert_counts({kept: 2})


def test_a_savepoint_that_is_rolled_back_counts_nothing(rows: Rows) -> None:
    parent = rows.parent()
    rows.child(parent)

    with transaction.atomic():
        rows.children(parent, 3)
        transaction.set_rollback(True)
    rows.child(parent)
    rows.assert_counts({parent: 2})


def test_a_temporary_table_of_the_parents_name_swallows_no_count(rows: Rows) -> None:
    parent = rows.parent()
    rows.sql("CREATE TEMPORARY TABLE {parent} ON COMMIT DROP AS SELECT * FROM public.{parent}")
    rows.sql("INSERT INTO {child} ({foreign_key}, {columns}) VALUES ({it}, {values})", it=parent)
    rows.sql("DROP TABLE pg_temp.{parent}")
    rows.assert_counts({parent: 1})


def test_a_role_without_rights_on_the_parent_is_counted(rows: Rows) -> None:
    parent = rows.parent()
    rows.sql("SET CONSTRAINTS ALL IMMEDIATE")
    rows.sql("CREATE ROLE sentinel_stranger")
    rows.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON {child} TO sentinel_stranger")
    rows.sql("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO sentinel_stranger")
    rows.sql("SET LOCAL ROLE sentinel_stranger")
    first, *_ = rows.children(parent, 3)
    rows.sql("DELETE FROM {child} WHERE {id} = {first}", first=first)
    rows.sql("RESET ROLE")
    rows.assert_counts({parent: 2})


def foreign_key_name(rows: Rows) -> str:
    return next(
        field.attname
        for field in rows.counter.child._meta.concrete_fields
        if field.column == rows.counter.foreign_key
    )

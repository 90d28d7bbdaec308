"""Counters that follow from the row itself, for every declared one."""

from __future__ import annotations

import json

import pytest
from psycopg.sql import Composable, Identifier

from sentinel.counters import RowValue, audit_counter
from tests.examples import ROW_EXAMPLES
from tests.rows import execute, insert, literal

DOCUMENTS = [
    (name, document, value)
    for name, example in ROW_EXAMPLES.items()
    for document, value in example.values
]


def row(counter: RowValue, document: object, **columns: object) -> int:
    example = ROW_EXAMPLES[counter.name]
    key = insert(
        counter.parent._meta.db_table,
        {**example.row, **columns, example.document: wrapped(document)},
        returning=counter.key,
    )
    return int(key)


def wrapped(document: object) -> object:
    """JSON that the driver takes for JSON: scalars as text."""
    return document if isinstance(document, dict | list) else json.dumps(document)


def stored(counter: RowValue, key: int) -> int:
    [(value,)] = execute(
        "SELECT {column} FROM {table} WHERE {key} = {it}", **names(counter), it=literal(key)
    )
    return int(value)


def names(counter: RowValue) -> dict[str, Composable]:
    return {
        "column": Identifier(counter.column),
        "table": Identifier(counter.parent._meta.db_table),
        "key": Identifier(counter.key),
        "document": Identifier(ROW_EXAMPLES[counter.name].document),
    }


@pytest.mark.parametrize("number", range(12))
def test_every_document_has_its_value_at_insert_and_at_update(
    derived: RowValue, number: int
) -> None:
    documents = ROW_EXAMPLES[derived.name].values
    assert len(documents) == 12, "range() above goes over all documents of the examples"
    document, value = documents[number]
    key = row(derived, document)
    assert stored(derived, key) == value
    other, other_value = documents[0]
    update = "UPDATE {table} SET {document} = {new} WHERE {key} = {it}"
    execute(update, **names(derived), it=literal(key), new=literal(wrapped(other)))
    assert stored(derived, key) == other_value
    execute(update, **names(derived), it=literal(key), new=literal(wrapped(document)))
    assert stored(derived, key) == value
    assert audit_counter(derived).exact


@pytest.mark.parametrize("wrong", [99, -1, None])
def test_what_a_writer_puts_there_has_no_effect(derived: RowValue, wrong: int | None) -> None:
    document, value = ROW_EXAMPLES[derived.name].values[0]
    key = row(derived, document, **{derived.column: wrong})
    assert stored(derived, key) == value
    execute(
        "UPDATE {table} SET {column} = {wrong} WHERE {key} = {it}",
        **names(derived),
        it=literal(key),
        wrong=literal(wrong),
    )
    assert stored(derived, key) == value


def test_a_stale_save_leaves_the_value_true(derived: RowValue) -> None:
    (full, _), (empty, value) = ROW_EXAMPLES[derived.name].values[:2]
    key = row(derived, full)
    stale = derived.parent._default_manager.get(pk=key)
    setattr(stale, ROW_EXAMPLES[derived.name].document, empty)
    stale.save()
    assert stored(derived, key) == value


def test_a_change_by_another_trigger_is_seen(derived: RowValue) -> None:
    """Ours fires last: triggers of one kind fire in the order of their names."""
    (full, value), (empty, _) = ROW_EXAMPLES[derived.name].values[:2]
    execute(
        "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.{document} := {full}; RETURN NEW; END $$",
        **names(derived),
        full=literal(wrapped(full)),
    )
    execute(
        "CREATE TRIGGER zebra BEFORE INSERT OR UPDATE ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION fill()",
        **names(derived),
    )
    assert stored(derived, row(derived, empty)) == value


def test_a_repair_changes_nothing_but_the_value(derived: RowValue) -> None:
    document, value = ROW_EXAMPLES[derived.name].values[0]
    key = row(derived, document)
    columns = "SELECT to_jsonb(t) - {name} FROM {table} AS t WHERE {key} = {it}"
    words = names(derived) | {"it": literal(key), "name": literal(derived.column)}
    execute("SET LOCAL session_replication_role = replica")
    execute("UPDATE {table} SET {column} = 77 WHERE {key} = {it}", **words)
    execute("SET LOCAL session_replication_role = origin")
    before = execute(columns, **words)
    assert stored(derived, key) == 77
    execute("SET LOCAL sentinel.derive_alone = 'on'")
    execute("UPDATE {table} SET {column} = NULL WHERE {key} = {it}", **words)
    assert stored(derived, key) == value
    assert execute(columns, **words) == before

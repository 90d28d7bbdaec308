"""What a counter saves is shown on real rows, and an index that is wanting is named."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from psycopg.sql import SQL, Identifier, Literal

from sentinel.counters import declared_counters, explaining, find_counters
from sentinel.counters.explaining import UnknownRowError, explain_counter
from sentinel.counters.index_health import counted_rows
from tests.examples import ROW_EXAMPLES
from tests.rows import execute, insert, new_user

if TYPE_CHECKING:
    from sentinel.counters import BoundCounter, RowValue
    from tests.rows import Rows

COUNTERS = declared_counters()
THREADS = "chat_threads.thread_messages_count"
SHELVES = "library_shelf.books_count"
NO_INDEX_SCANS = """
    SET LOCAL enable_indexscan = off;
    SET LOCAL enable_indexonlyscan = off;
    SET LOCAL enable_bitmapscan = off;
"""


def run(*arguments: str) -> tuple[int, str]:
    """Run the command, and return its exit code and what it printed."""
    out = StringIO()
    try:
        call_command("explain_counters", *arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_the_largest_and_the_typical_row_are_found_by_the_counter_itself(rows: Rows) -> None:
    for number in (1, 2, 2, 6):
        rows.children(rows.parent(), number)
    rows.parent()  # counts nothing, and is no typical row
    found = explain_counter(rows.counter).comparisons
    assert [(comparison.row, comparison.value) for comparison in found] == [
        ("largest", 6),
        ("typical", 2),
    ]


def test_counting_reads_the_children_and_reading_reads_one_row(rows: Rows) -> None:
    parent = rows.parent()
    rows.children(parent, 3)
    [comparison] = explain_counter(rows.counter, keys=[str(parent)]).comparisons
    assert (comparison.row, comparison.key, comparison.value) == ("given", str(parent), 3)
    assert (comparison.counted.rows, comparison.read.rows) == (3, 1)
    assert "Aggregate" in comparison.counted.node
    assert "Aggregate" not in comparison.read.node
    assert comparison.counted.milliseconds > 0
    assert comparison.ratio == comparison.counted.milliseconds / comparison.read.milliseconds


def test_only_children_that_count_are_counted(conditional_rows: Rows) -> None:
    parent = conditional_rows.parent()
    conditional_rows.child(parent)
    conditional_rows.child(parent, **conditional_rows.example.uncounted)
    [comparison] = explain_counter(conditional_rows.counter).comparisons
    assert comparison.counted.rows == 1


def test_a_value_of_the_row_itself_is_computed_and_read(derived: RowValue) -> None:
    example = ROW_EXAMPLES[derived.name]
    document, value = example.values[0]
    key = insert(
        derived.parent._meta.db_table,
        example.row | {example.document: document},
        returning=derived.key,
    )
    [comparison] = explain_counter(derived).comparisons
    assert (comparison.key, comparison.value) == (str(key), value)
    assert (comparison.counted.rows, comparison.read.rows) == (1, 1)


@pytest.mark.django_db
@pytest.mark.parametrize("counter", COUNTERS, ids=lambda counter: counter.name)
def test_where_nothing_is_counted_yet_there_is_nothing_to_compare(counter: BoundCounter) -> None:
    explanation = explain_counter(counter)
    assert (explanation.comparisons, explanation.problems) == ((), ())
    assert f"{counter.parent._meta.db_table}" in {index.table for index in explanation.indexes}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "counter",
    [counter for counter in COUNTERS if counted_rows(counter)],
    ids=lambda counter: counter.name,
)
def test_a_missing_index_is_named(counter: BoundCounter) -> None:
    counted = counted_rows(counter)
    assert counted
    for (name,) in execute(
        "SELECT indexrelid::regclass::text FROM pg_index"
        " WHERE indrelid = {table}::regclass AND NOT indisunique",
        table=Literal(Identifier(counted[0]._meta.db_table).as_string(None)),
    ):
        execute(SQL(f"DROP INDEX {name}"))
    code, text = run("--counter", counter.name)
    assert code == 1
    assert "counters.index_missing" in text
    assert "CREATE INDEX CONCURRENTLY" in text


@pytest.mark.django_db
@pytest.mark.parametrize(("small", "wrong"), [(10**9, 0), (0, 1)])
def test_a_large_table_that_is_read_without_an_index_is_a_problem(
    small: int, wrong: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, "SMALL_TABLE", small)
    key = insert("library_shelf", {"name": "Travel"}, returning="id")
    execute(NO_INDEX_SCANS)
    code, text = run("--counter", SHELVES, "--key", str(key))
    assert code == wrong
    assert text.count("counters.read_without_index") == wrong


@pytest.mark.django_db
def test_a_query_that_would_write_is_refused() -> None:
    """EXPLAIN ANALYZE runs the query: a view in the table's place might do anything."""
    execute("ALTER TABLE library_shelf RENAME TO shelves")
    execute("INSERT INTO shelves (name) VALUES ('History')")
    execute(
        "CREATE FUNCTION write() RETURNS int LANGUAGE sql AS"
        " $$ INSERT INTO shelves (name) VALUES ('Travel') RETURNING 1 $$"
    )
    execute("CREATE VIEW library_shelf AS SELECT id, write() AS books_count FROM shelves")
    with pytest.raises(DatabaseError, match="read-only transaction"):
        explain_counter(find_counters([SHELVES])[0])


@pytest.mark.django_db
def test_json_has_plans_ratios_and_indexes() -> None:
    user = insert("users", {"email": "ada@example.org", "password_hash": ""}, returning="id")
    thread = insert("chat_threads", {"user_id": user, "title": "Lisbon"}, returning="id")
    insert("chat_messages", {"thread_id": thread, "role": "user", "content": "?"}, returning="id")
    code, text = run("--counter", THREADS, "--format", "json")
    [document] = json.loads(text)
    [comparison] = document["comparisons"]
    assert code == 0
    assert comparison["key"] == str(thread)
    assert comparison["ratio"] >= 0
    assert comparison["read"]["rows"] == 1
    assert {index["name"] for index in document["indexes"]} == {
        "chat_threads_pkey",
        "idx_chat_threads_messages_count",
        "idx_messages_thread",
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--counter", THREADS, "--key", "-1"), "chat_threads has no row with the key -1"),
        (("--counter", THREADS, "--key", "one"), "invalid input syntax for type integer"),
        (("--key", "1"), "--key needs one --counter"),
        (("--counter", "chat_threads.messages"), "Did you mean chat_threads.thread_messages"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message) as error:
        run(*arguments)
    assert error.value.returncode == 2


@pytest.mark.django_db
def test_the_key_of_a_ledger_is_a_json_array() -> None:
    [counter] = find_counters(["feature_usage.usage_count"])
    for key in ("5", "[5]", '{"user": 5}', "five"):
        with pytest.raises(UnknownRowError, match="write a JSON array of its user_id"):
            explain_counter(counter, keys=[key])


@pytest.mark.django_db
def test_the_total_of_a_ledger_is_summed_and_read() -> None:
    user = new_user()
    for _ in range(3):
        execute(f"SELECT increment_feature_usage_safe({user}, 'map_export', 2)")
    [counter] = find_counters(["feature_usage.usage_count"])
    [comparison] = explain_counter(counter).comparisons
    assert (comparison.row, comparison.value) == ("largest", 6)
    assert json.loads(comparison.key)[:2] == [str(user), "map_export"]
    assert (comparison.counted.rows, comparison.read.rows) == (3, 1)
    [given] = explain_counter(counter, keys=[comparison.key]).comparisons
    assert (given.row, given.key, given.value) == ("given", comparison.key, 6)

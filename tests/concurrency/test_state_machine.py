"""One connection, any sequence of writes: the counters agree with a model in Python."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from psycopg.sql import SQL, Composable, Identifier

from tests.rows import Rows, array

NUMBERS = st.integers(min_value=0, max_value=4)


def machine_of(rows: Rows) -> type[RuleBasedStateMachine]:
    """The machine that writes to the children of one counter."""

    class Machine(RuleBasedStateMachine):
        parents = Bundle("parents")

        def __init__(self) -> None:
            super().__init__()
            self.model: dict[Any, set[int]] = {}
            self.atomic = transaction.atomic()
            self.atomic.__enter__()

        def teardown(self) -> None:
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)

        def array(self, keys: list[int]) -> Composable:
            return SQL("{}::bigint[]").format(array(keys))  # it may be empty, and of no type

        def first(self, parent: Any, number: int) -> list[int]:
            return sorted(self.model[parent])[:number]

        @rule(target=parents, count=st.one_of(st.none(), NUMBERS))
        def add_parent(self, count: int | None) -> Any:
            parent = rows.parent(**({} if count is None else {rows.counter.column: count}))
            self.model[parent] = set()
            return parent

        @rule(one=parents, two=parents, number=NUMBERS)
        def insert(self, one: Any, two: Any, number: int) -> None:
            added = rows.sql(
                "INSERT INTO {child} ({foreign_key}, {columns}) SELECT parent, {values}"
                " FROM (VALUES ({one}), ({two})) AS pair (parent), generate_series(1, {number})"
                " RETURNING {foreign_key}, {id}",
                one=one,
                two=two,
                number=number,
            )
            for parent, child in added:
                self.model[parent].add(child)

        @rule(one=parents, two=parents, number=NUMBERS)
        def move(self, one: Any, two: Any, number: int) -> None:
            moved = self.first(one, number)
            rows.sql(
                "UPDATE {child} SET {foreign_key} = {two} WHERE {id} = ANY ({moved})",
                two=two,
                moved=self.array(moved),
            )
            self.model[one] -= set(moved)
            self.model[two] |= set(moved)

        @rule(one=parents, two=parents, number=NUMBERS)
        def delete(self, one: Any, two: Any, number: int) -> None:
            gone = {*self.first(one, number), *self.first(two, number)}
            rows.sql("DELETE FROM {child} WHERE {id} = ANY ({gone})", gone=self.array(list(gone)))
            self.model[one] -= gone
            self.model[two] -= gone

        @rule(one=parents, two=parents)
        def upsert(self, one: Any, two: Any) -> None:
            for child in self.first(one, 1):
                rows.sql(
                    "INSERT INTO {child} ({id}, {foreign_key}, {columns})"
                    " VALUES ({there}, {two}, {values})"
                    " ON CONFLICT ({id}) DO UPDATE SET {foreign_key} = EXCLUDED.{foreign_key}",
                    there=child,
                    two=two,
                )
                self.model[one].discard(child)
                self.model[two].add(child)

        @rule(parent=consumes(parents))
        def delete_parent(self, parent: Any) -> None:
            rows.sql("DELETE FROM {child} WHERE {foreign_key} = {it}", it=parent)
            rows.sql("DELETE FROM {parent} WHERE {key} = {it}", it=parent)
            del self.model[parent]

        @rule(target=parents, parent=parents, wrong=st.integers(-5, 500))
        def write_counter(self, parent: Any, wrong: int) -> Any:
            if parent in self.model:
                rows.sql(
                    "UPDATE {parent} SET {column} = {wrong} WHERE {key} = {it}",
                    it=parent,
                    wrong=wrong,
                )
            return multiple()

        @rule(parent=parents, wrong=st.one_of(st.none(), st.integers(-5, 500)))
        def write_mirrors(self, parent: Any, wrong: int | None) -> None:
            for mirror in rows.counter.mirrors:
                rows.sql(
                    "UPDATE {parent} SET {mirror} = {wrong} WHERE {key} = {it}",
                    it=parent,
                    mirror=Identifier(mirror),
                    wrong=wrong,
                )

        @rule(one=parents, two=parents)
        def write_children_and_counters_at_once(self, one: Any, two: Any) -> None:
            gone = self.first(one, 1)
            added = rows.sql(
                "WITH gone AS (DELETE FROM {child} WHERE {id} = ANY ({gone})),"
                " added AS (INSERT INTO {child} ({foreign_key}, {columns})"
                " VALUES ({two}, {values}) RETURNING {id}),"
                " written AS (UPDATE {parent} SET {column} = {column} + 1"
                " WHERE {key} IN ({one}, {two}))"
                " SELECT {id} FROM added",
                gone=self.array(gone),
                one=one,
                two=two,
            )
            self.model[one] -= set(gone)
            self.model[two] |= {child for (child,) in added}

        @rule(parent=parents, number=NUMBERS)
        def undo(self, parent: Any, number: int) -> None:
            with transaction.atomic():
                for _ in range(number):
                    rows.child(parent)
                rows.sql("UPDATE {parent} SET {column} = 9 WHERE {key} = {it}", it=parent)
                transaction.set_rollback(True)

        @rule()
        def truncate(self) -> None:
            rows.sql("SET CONSTRAINTS ALL IMMEDIATE")
            rows.sql("TRUNCATE {child} CASCADE")
            for children in self.model.values():
                children.clear()

        @invariant()
        def counters_agree_with_the_model(self) -> None:
            rows.assert_counts({parent: len(found) for parent, found in self.model.items()})

    return Machine


def test_any_sequence_of_writes_leaves_the_counters_true(rows: Rows) -> None:
    run_state_machine_as_test(
        machine_of(rows),
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )

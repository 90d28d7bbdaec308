"""What would stand in the way of Citus, told when asked and at no other time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.core.management import call_command
from django.db import models
from django.test.utils import isolate_apps

from sentinel.accounts.models import Plan, User
from sentinel.counters import Counter, declared_counters
from sentinel.counters.citus_checks import TAG, check_distribution, distribution_columns
from tests.library.models import Book
from threads.models import ChatMessage, ChatThread
from usage.models import FeatureUsage, FeatureUsageEvent

if TYPE_CHECKING:
    from django.core import checks


@pytest.fixture
def asked(settings) -> None:
    settings.SENTINEL_CITUS = True


def found(id_: str, subject: object) -> list[checks.CheckMessage]:
    return [
        message
        for message in check_distribution()
        if message.id == f"counters.{id_}" and message.obj is subject
    ]


def test_nobody_who_has_not_asked_hears_of_citus() -> None:
    assert check_distribution() == []


def test_the_tag_runs_it(asked: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("check", tags=[TAG])
    assert "counters.citus_unique" in capsys.readouterr().err


def test_parents_and_children_lie_together() -> None:
    columns = distribution_columns(declared_counters())
    assert columns[ChatThread] == "id"
    assert columns[ChatMessage] == "thread_id"
    assert columns[FeatureUsage] == columns[FeatureUsageEvent] == "user_id"


def test_a_primary_key_without_the_distribution_column_is_told_with_the_wider_one(
    asked: None,
) -> None:
    [message] = found("citus_unique", ChatMessage)
    assert "unique by (id), without thread_id" in message.msg
    assert message.hint == "Make it unique by (thread_id, id), or give the constraint up."


def test_a_unique_column_beside_the_key_is_told(asked: None) -> None:
    [message] = found("citus_unique", ChatThread)
    assert "(thread_uuid)" in message.msg


def test_a_constraint_that_holds_the_distribution_column_is_fine(asked: None) -> None:
    messages = " ".join(message.msg for message in found("citus_unique", FeatureUsage))
    assert "(id)" in messages
    assert "period_start" not in messages


def test_what_distributed_tables_refer_to_is_a_reference_table_and_so_on(asked: None) -> None:
    assert found("citus_reference", User)
    assert found("citus_reference", Plan), "users refer to plans"


def test_a_key_that_triggers_give_out_is_to_be_a_bigint(asked: None) -> None:
    assert found("citus_key", FeatureUsage)
    assert not found("citus_key", FeatureUsageEvent)


def test_a_table_that_two_parents_count_has_to_choose(asked: None) -> None:
    [message] = found("citus_contested", Book)
    assert "by reader_id and by shelf_id" in message.msg


def test_a_second_foreign_key_between_distributed_tables_is_told(asked: None) -> None:
    messages = [message for message in check_distribution() if message.obj == Book.shelf.field]
    assert [message.id for message in messages] == ["counters.citus_foreign_key"]


@isolate_apps("tests.library")
def test_a_key_of_several_columns_is_read_by_its_columns(asked: None, monkeypatch) -> None:
    class Box(models.Model):
        things_count = models.IntegerField(db_default=0)

        class Meta:
            app_label = "library"

    class Thing(models.Model):
        box = models.ForeignKey(Box, on_delete=models.CASCADE)
        number = models.IntegerField()

        class Meta:
            app_label = "library"
            constraints = (
                models.UniqueConstraint(fields=["box", "number"], name="thing_in_box"),
                models.UniqueConstraint(fields=["number"], name="thing"),
            )

    counter = Counter(column="things_count", foreign_key="box").bind(Thing)
    monkeypatch.setattr("sentinel.counters.citus_checks.declared_counters", lambda: [counter])
    told = [message.msg.partition(",")[0] for message in found("citus_unique", Thing)]
    assert told == ["library_thing is unique by (id)", "library_thing is unique by (number)"]

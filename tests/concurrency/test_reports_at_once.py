"""Reports are made, and days are counted, while others write."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from tests.archiving import archive
from tests.concurrency.writers import connect
from tests.ledger import use
from tests.rows import execute
from tests.usage_reports import MARCH, NOW, count, report, user_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["archive"]
pytestmark = pytest.mark.usefixtures("archive")


def test_the_figures_of_a_report_are_those_of_one_moment() -> None:
    ada = user_of("PRO")
    use(ada, 1)
    with connect() as other:

        def write_in_between(run: Callable[..., Any], *asked: Any) -> Any:
            came = run(*asked)
            other.execute(
                f"SELECT admit_feature_usage({ada}, 'map_export', 1, NULL,"
                " occurred_at => '2026-03-05 12:00Z')"
            )
            return came

        with connection.execute_wrapper(write_in_between):
            found = report()
    assert found.uses.current == found.users[0].uses == found.features[0].uses.current
    assert found.uses.current < report().uses.current


def test_a_report_leaves_the_session_as_it_was() -> None:
    before = execute("SHOW work_mem"), execute("SHOW transaction_read_only")
    report()
    assert (execute("SHOW work_mem"), execute("SHOW transaction_read_only")) == before


def test_two_who_count_the_same_month_at_once_wait_for_each_other() -> None:
    use(user_of("PRO"), 3)
    failed: list[BaseException] = []

    def count_again() -> None:
        try:
            for _ in range(5):
                count(MARCH)
        except BaseException as error:  # noqa: BLE001 (told below, by the thread that asserts)
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=count_again) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert execute("SELECT uses FROM feature_usage_days") == [(3,)]
    assert report().counted_at == NOW

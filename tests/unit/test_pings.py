"""A monitor is told how a job went, and never keeps it from its work."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from django.core.management import call_command

from sentinel.pings import pinged_job
from tests.rows import execute, insert, new_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django.fixtures import Settings


@contextmanager
def monitor(*, status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """A monitor on loopback: its address, and what it was asked for."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/key/", seen
        finally:
            server.shutdown()
            thread.join()


def test_a_job_that_succeeds_is_told_twice() -> None:
    with monitor() as (address, seen), pinged_job("archive", address=address):
        pass
    assert seen == ["/key/archive/start", "/key/archive"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_job_that_fails_is_told_as_failed_and_still_fails(error: type[BaseException]) -> None:
    with (
        monitor() as (address, seen),
        pytest.raises(error),
        pinged_job("archive", address=address),
    ):
        raise error
    assert seen == ["/key/archive/start", "/key/archive/fail"]


def test_a_job_that_finds_something_is_told_as_failed() -> None:
    with monitor() as (address, seen), pinged_job("audit", address=address) as job:
        job.found_something = True
    assert seen == ["/key/audit/start", "/key/audit/fail"]


@pytest.mark.django_db
def test_an_audit_that_finds_drift_is_told_as_failed(settings: Settings) -> None:
    insert("chat_threads", {"user_id": new_user(), "title": "Lisbon in May"}, returning="id")
    execute("SET LOCAL session_replication_role = replica")
    execute("UPDATE chat_threads SET thread_messages_count = 7")
    execute("SET LOCAL session_replication_role = origin")
    with monitor() as (address, seen):
        settings.SENTINEL_MONITOR_URL = address
        with pytest.raises(SystemExit):
            call_command("audit_counters", stdout=StringIO())
    assert seen == ["/key/audit-counters/start", "/key/audit-counters/fail"]


@pytest.mark.parametrize("status", [404, 500])
def test_a_monitor_that_refuses_fails_no_job(status: int, caplog: pytest.LogCaptureFixture) -> None:
    with monitor(status=status) as (address, _), pinged_job("archive", address=address):
        pass
    assert len(caplog.records) == 2
    assert caplog.records[0].levelno == logging.WARNING
    assert "key" not in caplog.text.replace("monitor", "")


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/key", "nowhere", "http://[", "ftp:///x"])
def test_a_monitor_that_cannot_be_reached_fails_no_job(address: str) -> None:
    done = []
    with pinged_job("archive", address=address):
        done.append(True)
    assert done == [True]


def test_without_an_address_nobody_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with pinged_job("archive"):
        pass
    assert caplog.records == []

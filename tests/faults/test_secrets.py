"""The database's password and SECRET_KEY: no command prints them and no log keeps them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import pytest

from tests.faults.server import own_server
from tests.scratch import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "pass%word/of ours@all"  # each of these has a meaning in an address
SECRET_KEY = "a-secret-key-that-is-long-enough-and-not-to-be-seen-0123456789"
TOLD = (PASSWORD, quote(PASSWORD, safe=""), urlencode({"": PASSWORD})[1:], SECRET_KEY)

GIVEN = urlencode({"user": "app", "password": PASSWORD})
IN_A_URL = f"app:{quote(PASSWORD, safe='')}"
CONNECTIONS = {
    "a wrong password": f"postgresql:///postgres?{GIVEN}&host={{folder}}",
    "no server": f"postgresql:///postgres?{GIVEN}&host={{folder}}/nothing",
    "an option that does not exist": f"postgresql:///postgres?{GIVEN}&host={{folder}}&ssl=maybe",
}
COMMANDS = {
    "audit_counters": (),
    "migrate": ("--no-input", "--traceback"),
    "check": ("--database", "default", "--fail-level", "WARNING"),
}
ADDRESSES = {
    "another kind of database": f"mysql://{IN_A_URL}@127.0.0.1/sentinel",
    "a port that is no number": f"postgresql://{IN_A_URL}@127.0.0.1:pg/sentinel",
    "no address": PASSWORD,
}


@pytest.fixture(scope="module")
def folder(django_db_setup: None, django_db_blocker) -> Iterator[str]:
    """Where a server's socket is that wants a password of everybody but its superuser."""
    with django_db_blocker.unblock(), own_server() as server:
        rules = server.path / "data/pg_hba.conf"
        rules.write_text("local all app scram-sha-256\n" + rules.read_text())
        server.database("postgres").run("CREATE ROLE app LOGIN PASSWORD 'another one'")
        server.database("postgres").run("SELECT pg_reload_conf()")
        yield str(server.path)


def run_and_read_all(
    address: str, logs: Path, *command: str
) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run manage.py in production, and return everything that it said and logged."""
    done = subprocess.run(  # noqa: S603 (our own command)
        [sys.executable, "manage.py", *command],
        cwd=PROJECT,
        env={
            "PATH": "",
            "DEBUG": "off",
            "DATABASE_URL": address,
            "SECRET_KEY": SECRET_KEY,
            "SENTINEL_LOG_FOLDER": str(logs),
            "DJANGO_SETTINGS_MODULE": "sentinel.settings",
            "ALLOWED_HOSTS": '["testserver"]',
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    logged = [path.read_text() for path in logs.rglob("*") if path.is_file()]
    return done, "\n".join([done.stdout, done.stderr, *logged])


def assert_it_fails_and_tells_no_secret(address: str, logs: Path, *command: str) -> None:
    done, said = run_and_read_all(address, logs, *command)
    assert done.returncode != 0, f"it was to fail:\n{said}"
    assert done.stderr, "it says what was wrong"
    assert [secret for secret in TOLD if secret in said] == []


@pytest.mark.parametrize("fault", CONNECTIONS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_cannot_connect_tells_no_secret(
    folder: str, tmp_path: Path, fault: str, command: str
) -> None:
    address = CONNECTIONS[fault].format(folder=folder)
    assert_it_fails_and_tells_no_secret(address, tmp_path, command, *COMMANDS[command])


@pytest.mark.parametrize("fault", ADDRESSES)
def test_an_address_that_cannot_be_understood_is_not_repeated(tmp_path: Path, fault: str) -> None:
    assert_it_fails_and_tells_no_secret(ADDRESSES[fault], tmp_path, "migrate", "--traceback")


A_REQUEST = """
from django.test import Client
client = Client(raise_request_exception=False)
answer = client.get("/admin/login/", secure=True), client.post(
    "/admin/login/", {"username": "ada@example.org", "password": "x"}, secure=True
)
print([one.status_code for one in answer], *(one.content.decode() for one in answer))
"""


def test_a_request_that_fails_tells_no_secret(folder: str, tmp_path: Path) -> None:
    """With its traceback in the log."""
    address = CONNECTIONS["a wrong password"].format(folder=folder)
    done, said = run_and_read_all(address, tmp_path, "shell", "-c", A_REQUEST)
    assert "500" in done.stdout
    assert "password authentication failed" in said
    assert "Traceback" in said
    assert [secret for secret in TOLD if secret in said] == []

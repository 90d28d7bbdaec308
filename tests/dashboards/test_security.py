"""What pages may load, who may try passwords, and what production asks of cookies."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import F
from django.test import RequestFactory
from django.urls import reverse
from werkzeug.security import generate_password_hash

from sentinel.accounts.models import User
from sentinel.web.addresses import client_address

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

ROOT = Path(__file__).parents[2]
LOGIN = "/admin/login/"
PASSWORD = "correct horse battery"
PRODUCTION = {
    "DEBUG": "off",
    "SECRET_KEY": "b1Zx8mQpL0vTnR4cYw7sKd2HgJ5fAe9UiOoPzXxCcVvBbNnMm-_3q6t",
    "DATABASE_URL": "postgresql://ada@db.example.org/trips",
    "ALLOWED_HOSTS": '["sentinel.example.org"]',
    "DJANGO_SETTINGS_MODULE": "sentinel.settings",
}


def policy(response: Any) -> dict[str, set[str]]:
    """The sources of a response's policy, by directive."""
    parts = (part.split() for part in response["Content-Security-Policy"].split(";"))
    return {name: set(sources) for name, *sources in parts}


def log_in(client: Client, password: str, *, email: str = "ada@example.org", **headers: str) -> int:
    """Send the form of the log-in page and return the status of the answer."""
    sent = {"username": email, "password": password, "next": "/admin/"}
    return client.post(LOGIN, sent, **headers).status_code  # type: ignore[arg-type]


@pytest.fixture
def staff(db: None, settings: Settings) -> User:
    """Somebody who may log in, after three wrong passwords at most; the hash is a quick one."""
    settings.AXES_FAILURE_LIMIT = 3
    password = generate_password_hash(PASSWORD, method="scrypt:1024:8:1")
    return User.objects.create(
        email="ada@example.org", password=password, is_staff=True, is_superuser=True
    )


# ----------------------------------------------------------------------------------- the policy


@pytest.mark.django_db
def test_a_page_loads_nothing_from_other_hosts_and_runs_no_inline_script(client: Client) -> None:
    directives = policy(client.get(LOGIN))
    assert directives["default-src"] == {"'none'"}
    assert directives["script-src"] == {"'self'", "'unsafe-eval'"}
    allowed = {"'self'", "'none'", "'unsafe-eval'", "'unsafe-inline'", "data:"}
    assert set().union(*directives.values()) <= allowed


@pytest.mark.django_db
def test_a_page_stands_in_no_frame_and_sends_its_forms_nowhere_else(client: Client) -> None:
    directives = policy(client.get(LOGIN))
    assert directives["frame-ancestors"] == {"'none'"}
    assert directives["form-action"] == {"'self'"}
    assert directives["base-uri"] == {"'none'"}


def test_the_api_has_the_policy_as_well(client: Client) -> None:
    assert policy(client.get("/api/openapi.json"))["default-src"] == {"'none'"}


# -------------------------------------------------------------------------------------- log-ins


def test_who_knows_the_password_is_logged_in(client: Client, staff: User) -> None:
    assert log_in(client, PASSWORD) == 302
    assert client.get(reverse("admin:index")).status_code == 200


def test_too_many_wrong_passwords_are_a_pause_for_the_right_one_as_well(
    client: Client, staff: User
) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT):
        last = log_in(client, "wrong")
    assert last == 429
    assert log_in(client, PASSWORD) == 429


def test_the_page_of_the_pause_says_how_long_it_is(client: Client, staff: User) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT):
        log_in(client, "wrong")
    answer = client.post(LOGIN, {"username": "ada@example.org", "password": PASSWORD})
    assert "15 minutes" in answer.content.decode()


def test_the_pause_ends(client: Client, staff: User) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT):
        log_in(client, "wrong")
    passed = settings.AXES_COOLOFF_TIME + timedelta(seconds=1)
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - passed)
    assert log_in(client, PASSWORD) == 302


def test_one_password_tried_on_many_accounts_is_counted_together(
    client: Client, staff: User
) -> None:
    for number in range(settings.AXES_FAILURE_LIMIT):
        last = log_in(client, "summer", email=f"somebody{number}@example.org")
    assert last == 429


def test_nobody_is_locked_out_by_what_others_try_on_the_account(
    client: Client, staff: User
) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT):
        log_in(client, "wrong", REMOTE_ADDR="203.0.113.9")
    assert log_in(client, PASSWORD, REMOTE_ADDR="198.51.100.7") == 302


def test_a_log_in_forgets_the_wrong_passwords_before_it(client: Client, staff: User) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT - 1):
        log_in(client, "wrong")
    log_in(client, PASSWORD)
    assert not AccessAttempt.objects.exists()


def test_no_password_is_kept_with_an_attempt(client: Client, staff: User) -> None:
    log_in(client, "nearly-my-password")
    attempt = AccessAttempt.objects.get()
    assert attempt.username == "ada@example.org"
    assert "nearly-my-password" not in str(vars(attempt))


# ------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "", "192.0.2.1"),
        (0, "203.0.113.9", "192.0.2.1"),  # anybody can say that
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "10.0.0.1, 203.0.113.9", "203.0.113.9"),  # the first was sent along
        (2, "10.0.0.1, 203.0.113.9, 172.16.0.1", "203.0.113.9"),
        (2, "203.0.113.9", "192.0.2.1"),  # it came around a proxy
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),  # one customer's network
        (1, "::ffff:203.0.113.9", "203.0.113.9"),
        (1, "<script>", None),
    ],
)
def test_the_address_of_a_request_is_what_a_proxy_of_ours_has_seen(
    settings: Settings, proxies: int, forwarded: str, address: str | None
) -> None:
    settings.SENTINEL_PROXIES = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = RequestFactory(REMOTE_ADDR="192.0.2.1").get("/", headers=headers)
    assert client_address(request) == address


# ----------------------------------------------------------------------------------- production


def test_the_check_of_a_deployment_finds_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "DEBUG"],
        cwd=ROOT,
        env=os.environ | PRODUCTION,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout + done.stderr


SHOW = """
from django.conf import settings
print(settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE, settings.SESSION_COOKIE_HTTPONLY,
      settings.SESSION_COOKIE_SAMESITE, settings.SESSION_COOKIE_AGE,
      getattr(settings, "SECURE_PROXY_SSL_HEADER", None))
"""


@pytest.mark.parametrize(
    ("proxies", "header"), [("0", "None"), ("1", "('HTTP_X_FORWARDED_PROTO', 'https')")]
)
def test_cookies_of_production_are_for_https_alone_and_last_a_working_day(
    proxies: str, header: str
) -> None:
    done = subprocess.run(  # noqa: S603 (a text of ours)
        [sys.executable, "-c", SHOW],
        cwd=ROOT,
        env=os.environ | PRODUCTION | {"SENTINEL_PROXIES": proxies},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == f"True True True Lax 43200 {header}"

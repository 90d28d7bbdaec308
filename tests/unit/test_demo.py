"""The demo: its data, its command, and its server in a process of its own."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from itineraries.models import TravelItinerary
from sentinel.accounts.models import User, UserUsage
from sentinel.counters import audit_counters, declared_counters
from sentinel.demo import serving
from sentinel.demo.seeding import demo_users, seed_demo
from sentinel.demo.serving import ServingError, admin_address, open_server
from tests.scratch import PROJECT, ScratchDatabase
from threads.models import ChatMessage, ChatThread

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django.fixtures import Settings

NOW = datetime(2026, 3, 14, 15, 9, tzinfo=UTC)
THREADS = 40


def all_exact() -> bool:
    return all(report.exact for report in audit_counters(declared_counters()))


def demo(*arguments: str) -> str:
    heard = io.StringIO()
    call_command("demo", "--threads", str(THREADS), *arguments, stdout=heard)
    return heard.getvalue()


def everything() -> list[list[tuple[Any, ...]]]:
    """What the demo has made, without keys and hashes."""
    return [
        list(User.objects.order_by("email").values_list("email", "name", "plan", "created_at")),
        list(
            ChatThread.objects.order_by("thread_uuid").values_list(
                "thread_uuid", "user__email", "title", "thread_messages_count", "updated_at"
            )
        ),
        list(
            ChatMessage.objects.order_by("thread__thread_uuid", "id").values_list(
                "role", "content", "timestamp"
            )
        ),
        list(
            TravelItinerary.objects.order_by("itinerary_uuid").values_list(
                "itinerary_uuid", "user__email", "title", "data", "destinations_count"
            )
        ),
    ]


@pytest.fixture
def demo_data(db: None) -> None:
    seed_demo(threads=THREADS, now=NOW)


@pytest.fixture
def development(settings: Settings) -> None:
    """Test runners switch DEBUG off."""
    settings.DEBUG = True


# ----------------------------------------------------------------------------------------- data


@pytest.mark.django_db
def test_the_demo_data_is_made_once_whatever_is_asked_for_later() -> None:
    made = seed_demo(threads=THREADS, now=NOW)
    assert made.added
    assert (made.threads, made.itineraries) == (THREADS, 16)
    assert made.uses > 12 * THREADS
    found = seed_demo(threads=THREADS + 5, seed=8, now=datetime.now(UTC))
    assert not found.added
    assert (found.users, found.threads, found.messages, found.itineraries) == (
        User.objects.count(),
        ChatThread.objects.count(),
        ChatMessage.objects.count(),
        TravelItinerary.objects.count(),
    )
    assert (found.users, found.messages) == (made.users, made.messages)


@pytest.mark.django_db
def test_one_seed_makes_the_same_data_each_time() -> None:
    made = []
    for seed in (5, 5, 6):
        seed_demo(threads=THREADS, seed=seed, now=NOW)
        made.append(everything())
        demo_users().delete()
    assert made[0] == made[1]
    assert made[0] != made[2]


@pytest.mark.django_db
@pytest.mark.parametrize("threads", [0, 1, 2, 13])
def test_few_threads_are_enough(threads: int) -> None:
    assert seed_demo(threads=threads, now=NOW).threads == threads
    assert all_exact()


def test_the_counters_are_exact_and_count_something(demo_data: None) -> None:
    assert all_exact()
    assert ChatThread.objects.filter(thread_messages_count__gt=2).exists()
    assert TravelItinerary.objects.filter(destinations_count__gt=2).exists()


def test_the_data_keeps_to_the_plans_and_to_the_past(demo_data: None) -> None:
    assert not ChatThread.objects.filter(user__plan="FREE", thread_messages_count__gt=3).exists()
    assert not TravelItinerary.objects.filter(user__plan="FREE").exists()
    assert not TravelItinerary.objects.filter(user__plan="PRO", destinations_count__gt=5).exists()
    assert not ChatMessage.objects.filter(created_at__gt=NOW).exists()
    assert not ChatThread.objects.filter(updated_at__gt=NOW).exists()
    for usage in UserUsage.objects.select_related("user__plan"):
        assert usage.user.plan
        assert usage.chat_messages_limit == usage.user.plan.chat_messages_per_month


def test_customers_of_others_are_left_alone(db: None) -> None:
    User.objects.create_user("ada@example.org")
    assert seed_demo(threads=THREADS, now=NOW).added
    assert not ChatThread.objects.filter(user__email="ada@example.org").exists()


# -------------------------------------------------------------------------------------- command


@pytest.mark.django_db
def test_the_printed_password_opens_the_admin(development: None, client: Client) -> None:
    told = demo("--no-serve")
    email = re.search(r"email +(\S+)", told)
    password = re.search(r"password +(\S+)", told)
    assert email
    assert password
    form = {"username": email[1], "password": password[1]}
    answer = client.post(reverse("admin:login"), form | {"next": reverse("admin:index")})
    assert answer.status_code == 302
    for page in ("threads_chatthread", "itineraries_travelitinerary", "accounts_user"):
        assert client.get(reverse(f"admin:{page}_changelist")).status_code == 200
    assert "manage.py runserver" in told
    assert "manage.py audit_counters" in told


@pytest.mark.django_db
def test_the_counters_are_shown_in_the_admin_and_cannot_be_written(
    development: None, admin_client: Client
) -> None:
    demo("--no-serve")
    for model, counters in (
        (ChatThread, {"thread_messages_count", "message_count"}),
        (TravelItinerary, {"destinations_count"}),
    ):
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        column = f"column-{next(iter(counters - {'message_count'}))}"
        assert column in admin_client.get(reverse(f"{name}_changelist")).content.decode()
        row = model.objects.all()[0]
        page = admin_client.get(reverse(f"{name}_change", args=[row.pk]))
        assert not counters & set(page.context["adminform"].form.fields)
        assert counters <= set(page.context["adminform"].readonly_fields)


@pytest.mark.django_db
def test_the_demo_runs_again_with_a_new_password(development: None) -> None:
    first, second = demo("--no-serve"), demo("--no-serve", "--seed", "9")
    passwords = [re.findall(r"password +(\S+)", told) for told in (first, second)]
    assert passwords[0] != passwords[1]
    assert "Nothing is added" in second
    assert ChatThread.objects.count() == THREADS
    assert User.objects.filter(is_superuser=True).count() == 1


@pytest.mark.django_db
def test_an_account_that_was_switched_off_is_opened_again(development: None) -> None:
    User.objects.create_user("demo@example.org", is_active=False)
    demo("--no-serve")
    account = User.objects.get(email="demo@example.org")
    assert account.is_active
    assert account.is_superuser


@pytest.mark.django_db
def test_the_demo_refuses_to_run_with_debug_off() -> None:
    with pytest.raises(CommandError, match="DEBUG is off") as refusal:
        demo("--no-serve")
    assert refusal.value.returncode == 2
    assert not User.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("host", ["db.example.org", "192.0.2.7"])
def test_the_demo_refuses_a_database_on_another_machine(
    development: None, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = connection.get_connection_params() | {"host": host}
    monkeypatch.setattr(connection, "get_connection_params", lambda: parameters)
    with pytest.raises(CommandError, match=f"The database is on {host}") as refusal:
        demo("--no-serve")
    assert refusal.value.returncode == 2
    assert not User.objects.exists()


@pytest.mark.django_db
def test_a_tour_that_fails_is_told_in_one_line(development: None) -> None:
    with pytest.raises(CommandError, match="no conversation to show") as failure:
        call_command("demo", "--no-serve", "--threads", "0", stdout=io.StringIO())
    assert failure.value.returncode == 2


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_what_is_no_port_is_refused(port: str) -> None:
    with pytest.raises(CommandError, match="--port"):
        call_command("demo", "--port", port)


# --------------------------------------------------------------------------------------- server


@pytest.fixture
def taken_port() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        yield somebody.getsockname()[1]


def test_a_port_that_is_taken_is_passed_over(taken_port: int) -> None:
    with open_server(taken_port) as server:
        assert server.server_port > taken_port
        assert admin_address(server) == f"http://127.0.0.1:{server.server_port}/admin/"


def test_no_free_port_is_told(taken_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "PORTS_TO_TRY", 1)
    with pytest.raises(ServingError, match="--port"):
        open_server(taken_port)


def test_the_admin_is_served_until_ctrl_c(
    scratch_database: ScratchDatabase, taken_port: int
) -> None:
    command = [sys.executable, "manage.py", "demo", "--threads", "20", "--port", str(taken_port)]
    with subprocess.Popen(  # noqa: S603 (our own command)
        command,
        cwd=PROJECT,
        env=scratch_database.environment | {"DEBUG": "on"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A shell that starts the tests in the background has them ignore it, and us as well.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    ) as process:
        try:
            assert process.stdout
            told = ""
            while "Ctrl-C" not in told and (line := process.stdout.readline()):
                told += line
            address = re.search(r"http://\S+", told)
            assert address, told
            with urlopen(f"{address[0]}login/") as page:  # noqa: S310 (our own address)
                assert page.status == 200
                assert "csrfmiddlewaretoken" in page.read().decode()
            root = address[0].removesuffix("admin/")
            with urlopen(f"{root}static/admin/css/base.css") as css:  # noqa: S310 (likewise)
                assert css.headers["Content-Type"] == "text/css"
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0, rest
    assert rest.strip() == "The demo has ended."
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # nobody of its group is left

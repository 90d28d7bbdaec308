"""Accounts: passwords that the existing application verifies, timestamps, and the admin."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import connection, models
from django.db.models.functions import TruncMonth
from django.forms import CheckboxInput
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from werkzeug.security import check_password_hash, generate_password_hash

from itineraries.models import TravelItinerary
from sentinel.accounts.models import Plan, User, UserUsage
from threads.models import ChatMessage, ChatThread

if TYPE_CHECKING:
    from django.test import Client

QUICK = "pbkdf2:sha256:1000"  # a method of Werkzeug's that a test need not wait for
REGISTERED = (Plan, User, UserUsage, ChatThread, ChatMessage, TravelItinerary)


def make_user(email: str = "ada@example.org", **values: Any) -> User:
    values.setdefault("password", generate_password_hash("correct horse", method=QUICK))
    return User.objects.create(email=email, **values)


def make_one_of_everything(email: str = "ada@example.org") -> dict[type[models.Model], Any]:
    user = make_user(email)
    thread = ChatThread.objects.create(user=user, title="Lisbon")
    message = ChatMessage.objects.create(thread=thread, role="user", content="Is it safe?")
    itinerary = TravelItinerary.objects.create(
        user=user, title="Porto", data={"waypoints": [{"name": "Café"}]}
    )
    usage, _ = UserUsage.objects.get_or_create(user=user)
    return {
        Plan: Plan.objects.get(name="FREE"),
        User: user,
        UserUsage: usage,
        ChatThread: thread,
        ChatMessage: message,
        TravelItinerary: itinerary,
    }


def page(model: type[models.Model], name: str, *arguments: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


@pytest.fixture
def staff(db: None, client: Client) -> Client:
    """A browser in which a superuser has logged in."""
    client.force_login(make_user("staff@example.org", is_staff=True, is_superuser=True))
    return client


# ------------------------------------------------------------------------------------ passwords


@pytest.mark.parametrize("method", ["scrypt", "scrypt:1024:8:1", QUICK])
def test_a_hash_that_werkzeug_made_is_verified(method: str) -> None:
    user = User(password=generate_password_hash("correct horse", method=method))
    assert user.check_password("correct horse")
    assert not user.check_password("wrong horse")
    assert asyncio.run(user.acheck_password("correct horse"))


def test_a_password_that_is_set_here_is_verified_by_werkzeug() -> None:
    user = User()
    user.set_password("correct horse")
    assert user.password.startswith("scrypt:")
    assert check_password_hash(user.password, "correct horse")
    assert user.check_password("correct horse")


@pytest.mark.django_db
def test_logging_in_never_rewrites_a_hash() -> None:
    user = make_user()
    request = RequestFactory().post("/")
    found = authenticate(request, username="ada@example.org", password="correct horse")
    assert found == user
    stored = User.objects.values_list("password", flat=True).get(pk=user.pk)
    assert stored == user.password, (
        "a log-in replaced the hash: the existing application may not know the new format"
    )


def test_an_unusable_password_is_nobodys_here_and_in_werkzeug() -> None:
    user = User()
    user.set_password(None)
    assert not user.has_usable_password()
    for attempt in ("", "!", user.password):
        assert not user.check_password(attempt)
        assert not check_password_hash(user.password, attempt)
    user.set_password("correct horse")
    assert user.has_usable_password()


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "correct horse",
        "$",
        "$$",
        "scrypt$salt$00",
        "scrypt:32768:8$salt$00",
        "scrypt:3:8:1$salt$00",
        "scrypt:-1:8:1$salt$00",
        "scrypt:99999999999999999999:8:1$salt$00",
        "pbkdf2:sha256:0$salt$00",
        "pbkdf2:sha256:99999999999999999999$salt$00",
        "pbkdf2:nothing:1000$salt$00",
        "pbkdf2:sha256:many$salt$00",
        "pbkdf2:sha256:1000$salt$größe",
        "pbkdf2_sha256$1000$salt$00",
        "md5$salt$00",
        "bcrypt:12$salt$00",
    ],
)
def test_a_malformed_hash_is_nobodys_and_no_error(stored: str) -> None:
    assert not User(password=stored).check_password("correct horse")


def test_no_password_is_never_right() -> None:
    assert not User(password=generate_password_hash("x", method=QUICK)).check_password(None)


# ---------------------------------------------------------------------------------------- users


@pytest.mark.django_db
def test_a_new_user_has_the_defaults_of_the_database() -> None:
    user = User.objects.create_user("Ada@EXAMPLE.org", "correct horse")
    assert user.email == "Ada@example.org"
    assert (user.plan_id, user.is_active, user.is_trial, user.extra_details) == (
        "FREE",
        True,
        False,
        {},
    )
    assert (user.is_staff, user.is_superuser) == (False, False)
    assert user.created_at is not None


@pytest.mark.django_db
def test_a_superuser_is_no_administrator_of_the_existing_application() -> None:
    user = User.objects.create_superuser("root@example.org", "correct horse")
    assert (user.is_staff, user.is_superuser, user.is_admin) == (True, True, None)


def test_a_user_without_an_email_is_refused() -> None:
    with pytest.raises(ValueError, match="needs an email"):
        User.objects.create_user("")


@pytest.mark.django_db
def test_a_user_is_found_as_written_and_else_with_the_domain_in_lower_case() -> None:
    lower, upper = make_user("ada@example.org"), make_user("ada@EXAMPLE.org")
    assert User.objects.get_by_natural_key("ada@EXAMPLE.org") == upper
    assert User.objects.get_by_natural_key("ada@Example.Org") == lower
    with pytest.raises(User.DoesNotExist):
        User.objects.get_by_natural_key("Ada@example.org")


@pytest.mark.django_db
def test_the_existing_application_inserts_a_user_by_email_and_hash_alone() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO users (email, password_hash) VALUES ('ada@example.org', 'x')")
    user = User.objects.get(email="ada@example.org")
    assert (user.is_staff, user.is_superuser, user.last_login) == (False, False, None)


@pytest.mark.django_db
def test_the_existing_application_deletes_a_user_who_worked_in_the_admin() -> None:
    user = make_user(is_staff=True)
    user.groups.add(Group.objects.create(name="support"))
    user.user_permissions.add(Permission.objects.all()[0])
    LogEntry.objects.create(user=user, action_flag=ADDITION, object_repr="something")
    make_one_of_everything("other@example.org")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM users")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what the commit would check
    assert not LogEntry.objects.exists()


# ----------------------------------------------------------------------------------- timestamps

NOON = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


@pytest.mark.django_db
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/Los_Angeles"])
def test_a_timestamp_is_utc_whatever_the_time_zone_of_the_session(zone: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('TimeZone', %s, true)", [zone])
        user = make_user(trial_ends_at=NOON)
        cursor.execute("SELECT trial_ends_at::text FROM users WHERE id = %s", [user.pk])
        assert cursor.fetchone() == ("2026-05-01 12:00:00",), "the column holds UTC, without zone"
    assert User.objects.get(pk=user.pk).trial_ends_at == NOON
    assert User.objects.filter(trial_ends_at=NOON).exists()
    assert User.objects.filter(trial_ends_at__range=(NOON, NOON)).exists()
    assert not User.objects.filter(trial_ends_at__lt=NOON).exists()
    assert User.objects.aggregate(latest=models.Max("trial_ends_at")) == {"latest": NOON}


@pytest.mark.django_db
def test_a_timestamp_in_another_zone_is_stored_as_the_same_moment() -> None:
    elsewhere = datetime.fromisoformat("2026-05-01T14:00:00+02:00")
    user = make_user(trial_ends_at=elsewhere)
    User.objects.bulk_create(
        [User(email=f"{name}@c.org", password="x", trial_ends_at=elsewhere) for name in "bc"]
    )
    user.refresh_from_db()
    assert user.trial_ends_at == NOON
    assert User.objects.filter(trial_ends_at=NOON).count() == 3


@pytest.mark.django_db
def test_months_and_days_of_a_timestamp_are_those_of_utc() -> None:
    make_user(trial_ends_at=datetime(2026, 4, 30, 23, 30, tzinfo=UTC))
    assert User.objects.filter(trial_ends_at__month=4, trial_ends_at__date="2026-04-30").exists()
    assert list(User.objects.values_list(TruncMonth("trial_ends_at"), flat=True)) == [
        datetime(2026, 4, 1, tzinfo=UTC)
    ]


@pytest.mark.django_db
def test_a_timestamp_that_the_database_sets_is_now() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    user = make_user()
    assert user.created_at is not None
    assert abs((user.created_at - before).total_seconds()) < 60


# ---------------------------------------------------------------------------------------- admin


@pytest.mark.django_db
def test_staff_log_in_with_email_and_password(client: Client) -> None:
    make_user(is_staff=True, is_superuser=True)
    credentials = {"username": "ada@example.org", "password": "correct horse"}
    client.post(reverse("admin:login"), credentials)
    answer = client.get(reverse("admin:index"))
    assert answer.status_code == 200, "the log-in was refused"
    assert answer.context["user"].email == "ada@example.org"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "password"),
    [
        ({"is_staff": True}, "wrong horse"),
        ({"is_staff": False}, "correct horse"),
        ({"is_staff": True, "is_active": False}, "correct horse"),
        ({"is_staff": False, "is_admin": True}, "correct horse"),
    ],
    ids=["wrong password", "no staff", "not active", "administrator of the other application"],
)
def test_others_do_not_log_in(client: Client, values: dict[str, Any], password: str) -> None:
    make_user(**values)
    answer = client.post(
        reverse("admin:login"), {"username": "ada@example.org", "password": password}
    )
    assert answer.status_code == 200
    assert "enter the correct email and password" in answer.content.decode()


def test_every_model_of_ours_is_in_the_admin() -> None:
    assert set(REGISTERED) <= set(admin.site._registry)


@pytest.mark.parametrize("model", REGISTERED)
def test_the_pages_of_every_model_answer(model: type[models.Model], staff: Client) -> None:
    record = make_one_of_everything()[model]
    addresses = [
        page(model, "changelist"),
        page(model, "changelist") + "?q=Lisbon+%27",
        page(model, "add"),
        page(model, "change", record.pk),
        page(model, "history", record.pk),
        page(model, "delete", record.pk),
    ]
    for address in addresses:
        assert staff.get(address).status_code == 200, f"{address} does not answer"


@pytest.mark.parametrize("model", REGISTERED)
def test_a_list_takes_as_many_queries_for_one_row_as_for_many(
    model: type[models.Model], staff: Client
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            staff.get(page(model, "changelist"))
        return len(captured)

    make_one_of_everything()
    queries()  # fills what Django keeps for the process
    one = queries()
    for number in range(5):
        make_one_of_everything(f"user{number}@example.org")
    assert queries() == one, "a column of the list asks once a row: name it in list_select_related"


def test_a_list_of_itineraries_leaves_the_documents_in_the_database(staff: Client) -> None:
    make_one_of_everything()
    with CaptureQueriesContext(connection) as captured:
        staff.get(page(TravelItinerary, "changelist"))
    assert not [query for query in captured if '"travel_itineraries"."data"' in query["sql"]]


def test_threads_and_itineraries_are_found_by_uuid_and_owner(staff: Client) -> None:
    records = make_one_of_everything()
    make_one_of_everything("other@example.org")
    for model, column in ((ChatThread, "thread_uuid"), (TravelItinerary, "itinerary_uuid")):
        for term in (getattr(records[model], column), "ada@example.org"):
            answer = staff.get(page(model, "changelist"), {"q": term})
            assert list(answer.context["cl"].queryset) == [records[model]]


def test_the_page_of_a_user_tells_whether_a_password_is_set_and_no_more(staff: Client) -> None:
    user = make_user()
    shown = staff.get(page(User, "change", user.pk)).content.decode()
    assert "<strong>Set</strong>" in shown
    assert "Invalid password format" not in shown
    assert user.password not in shown

    user.set_unusable_password()
    user.save()
    shown = staff.get(page(User, "change", user.pk)).content.decode()
    assert "<strong>Not set</strong>" in shown


@pytest.mark.django_db
def test_staff_who_may_only_look_see_no_hash(client: Client) -> None:
    clerk = make_user("clerk@example.org", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_user"))
    client.force_login(clerk)
    user = make_user()
    shown = client.get(page(User, "change", user.pk)).content.decode()
    assert user.password not in shown


@pytest.mark.django_db
@pytest.mark.parametrize("permission", ["view_emails", "change_user", "view_userusage"])
def test_emails_are_for_those_who_may_see_or_change_them(client: Client, permission: str) -> None:
    clerk = make_user("clerk@example.net", is_staff=True)
    looking = {"view_user", "view_userusage", permission}
    clerk.user_permissions.set(Permission.objects.filter(codename__in=looking))
    client.force_login(clerk)
    user = make_user()
    UserUsage.objects.create(user=user, email=user.email)
    for address in (
        page(User, "changelist"),
        page(User, "change", user.pk),
        page(UserUsage, "change", user.pk),
    ):
        shown = "ada@example.org" in client.get(address).content.decode()
        assert shown == (permission != "view_userusage"), address


@pytest.mark.django_db
def test_staff_change_their_own_password_and_stay_logged_in(client: Client) -> None:
    user = make_user(is_staff=True)
    client.force_login(user)
    client.post(
        reverse("admin:password_change"),
        {
            "old_password": "correct horse",
            "new_password1": "battery staple",
            "new_password2": "battery staple",
        },
    )
    user.refresh_from_db()
    assert check_password_hash(user.password, "battery staple")
    assert client.get(reverse("admin:index")).status_code == 200


@pytest.mark.django_db
def test_the_command_makes_a_superuser_by_email(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "correct horse")
    call_command("createsuperuser", interactive=False, email="root@example.org", verbosity=0)
    user = User.objects.get(email="root@example.org")
    assert user.is_superuser
    assert check_password_hash(user.password, "correct horse")


def test_the_admin_changes_a_password_in_werkzeugs_format_and_nothing_else(staff: Client) -> None:
    user = make_user()
    address = reverse("admin:auth_user_password_change", args=[user.pk])
    assert staff.get(address).status_code == 200
    with CaptureQueriesContext(connection) as captured:
        answer = staff.post(
            address,
            {
                "usable_password": "true",
                "password1": "battery staple",
                "password2": "battery staple",
                "set-password": "Change password",
            },
        )
    assert answer.status_code == 302, "the form was refused"
    [update] = [query["sql"] for query in captured if query["sql"].startswith('UPDATE "users"')]
    assert update.count(" = ") == 2, f"more than the hash was written: {update}"
    user.refresh_from_db()
    assert check_password_hash(user.password, "battery staple")


def test_the_admin_takes_a_password_away(staff: Client) -> None:
    user = make_user()
    staff.post(
        reverse("admin:auth_user_password_change", args=[user.pk]),
        {"usable_password": "false", "unset-password": "Disable password-based authentication"},
    )
    user.refresh_from_db()
    assert not user.has_usable_password()


def test_the_admin_adds_a_user_with_the_defaults_of_the_database(staff: Client) -> None:
    answer = staff.post(
        page(User, "add"),
        {
            "email": "new@example.org",
            "usable_password": "true",
            "password1": "battery staple",
            "password2": "battery staple",
        },
    )
    assert answer.status_code == 302, answer.context["errors"]
    user = User.objects.get(email="new@example.org")
    assert check_password_hash(user.password, "battery staple")
    assert (user.plan_id, user.is_active, user.is_staff, user.name) == ("FREE", True, False, None)


def test_the_admin_refuses_an_email_that_is_taken_or_none(staff: Client) -> None:
    make_user()
    for email, message in (("ada@example.org", "already exists"), ("ada", "valid email")):
        answer = staff.post(
            page(User, "add"),
            {
                "email": email,
                "usable_password": "true",
                "password1": "battery staple",
                "password2": "battery staple",
            },
        )
        assert message in answer.content.decode()


def filled_in(client: Client, address: str) -> dict[str, object]:
    """Return what a browser would send back, were the form submitted as it is shown."""
    form = client.get(address).context["adminform"].form
    sent: dict[str, object] = {}
    for bound in form:
        value = bound.value()
        if bound.field.disabled or value is None:
            continue
        if isinstance(bound.field.widget, CheckboxInput) and not value:
            continue  # a browser does not send what is not ticked
        if isinstance(value, datetime):
            sent[f"{bound.html_name}_0"] = value.date().isoformat()
            sent[f"{bound.html_name}_1"] = value.time().isoformat()
        else:
            sent[bound.html_name] = getattr(value, "pk", value)
    return sent


@pytest.mark.parametrize("model", REGISTERED)
def test_saving_a_page_unchanged_writes_nothing(model: type[models.Model], staff: Client) -> None:
    record = make_one_of_everything()[model]
    before = type(record).objects.filter(pk=record.pk).values().get()
    address = page(model, "change", record.pk)
    with CaptureQueriesContext(connection) as captured:
        answer = staff.post(address, filled_in(staff, address))
    assert answer.status_code == 302, answer.context["errors"]
    assert type(record).objects.filter(pk=record.pk).values().get() == before
    table = f'UPDATE "{model._meta.db_table}"'
    assert not [query for query in captured if query["sql"].startswith(table)]


def test_the_admin_writes_only_what_was_changed(staff: Client) -> None:
    user = make_user(name="Ada")
    address = page(User, "change", user.pk)
    with CaptureQueriesContext(connection) as captured:
        answer = staff.post(address, filled_in(staff, address) | {"employer": "Analytical Engines"})
    assert answer.status_code == 302, answer.context["errors"]
    [update] = [query["sql"] for query in captured if query["sql"].startswith('UPDATE "users"')]
    assert update.startswith('UPDATE "users" SET "employer" = '), (
        "saving the whole row puts back what the existing application wrote meanwhile"
    )
    assert update.count(" = ") == 2, f"more than the employer was written: {update}"


def test_the_admin_adds_threads_messages_and_itineraries(staff: Client) -> None:
    user = make_user()
    forms: list[tuple[type[models.Model], dict[str, object]]] = [
        (ChatThread, {"user": user.pk, "title": "Lisbon"}),
        (TravelItinerary, {"user": user.pk, "title": "Porto", "data": '{"waypoints": []}'}),
        (UserUsage, {"user": user.pk}),
        (Plan, {"name": "TEAM", "price_cents": 1, "chat_messages_per_month": 1}),
    ]
    for model, values in forms:
        answer = staff.post(page(model, "add"), values)
        assert answer.status_code == 302, answer.context["errors"]
    thread = ChatThread.objects.get(user=user)
    assert thread.thread_uuid is not None
    assert (thread.is_archived, thread.is_deleted) == (False, False)
    assert UserUsage.objects.get(user=user).email is None

    answer = staff.post(
        page(ChatMessage, "add"), {"thread": thread.pk, "role": "user", "content": "Is it safe?"}
    )
    assert answer.status_code == 302
    thread.refresh_from_db()
    assert thread.message_count == 1


@pytest.mark.parametrize("document", ["{}", "[]", '"nowhere"', "7"])
def test_an_itinerary_with_any_document_can_be_saved(document: str, staff: Client) -> None:
    record = make_one_of_everything()[TravelItinerary]
    address = page(TravelItinerary, "change", record.pk)
    answer = staff.post(address, filled_in(staff, address) | {"data": document})
    assert answer.status_code == 302, answer.context["errors"]


@pytest.mark.parametrize("document", ["", "null", "{"])
def test_an_itinerary_without_a_document_is_refused(document: str, staff: Client) -> None:
    record = make_one_of_everything()[TravelItinerary]
    address = page(TravelItinerary, "change", record.pk)
    answer = staff.post(address, filled_in(staff, address) | {"data": document})
    assert answer.status_code == 200
    assert answer.context["errors"]


def test_a_document_is_shown_one_entry_a_line(staff: Client) -> None:
    record = make_one_of_everything()[TravelItinerary]
    form = staff.get(page(TravelItinerary, "change", record.pk)).context["adminform"].form
    assert '\n  "waypoints": [\n' in form["data"].value()
    assert "Café" in form["data"].value()


def test_the_key_of_a_plan_or_of_usage_cannot_be_changed(staff: Client) -> None:
    records = make_one_of_everything()
    for model, field in ((Plan, "name"), (UserUsage, "user")):
        shown = staff.get(page(model, "change", records[model].pk))
        assert field not in shown.context["adminform"].form.fields

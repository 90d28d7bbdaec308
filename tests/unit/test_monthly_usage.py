"""`user_usage.chat_messages_used` is kept as the legacy trigger kept it."""

from __future__ import annotations

import pytest
from psycopg.sql import SQL, Literal

from tests.rows import execute, insert, new_user

# What user_usage holds before, as SQL values of (chat_messages_used, last_reset); None for no row.
BEFORE = {
    "no row": None,
    "this month": (4, "now()"),
    "the first of this month": (4, "date_trunc('month', now())"),
    "last month": (4, "now() - interval '1 month'"),
    "a year ago": (4, "now() - interval '1 year'"),
    "a month to come": (4, "now() + interval '1 month'"),
    "never reset": (4, "NULL"),
    "a count that is NULL": ("NULL", "now()"),
}


def usage_after(before: tuple[object, str] | None, *, messages: int) -> list[tuple[object, ...]]:
    """Write messages in one statement, and return what user_usage holds then."""
    user = new_user()
    thread = insert("chat_threads", {"user_id": user, "title": "Rome"}, returning="id")
    if before is not None:
        used, last_reset = before
        execute(
            "INSERT INTO user_usage (user_id, chat_messages_used, last_reset)"
            " VALUES ({user}, {used}, {last_reset})",
            user=Literal(user),
            used=SQL(str(used)),
            last_reset=SQL(last_reset),
        )
    execute(
        "INSERT INTO chat_messages (thread_id, role, content)"
        " SELECT {thread}, 'user', 'Hello' FROM generate_series(1, {messages})",
        thread=Literal(thread),
        messages=Literal(messages),
    )
    return execute(
        "SELECT chat_messages_used, last_reset, chat_messages_limit"
        " FROM user_usage WHERE user_id = {user}",
        user=Literal(user),
    )


def bring_the_legacy_trigger_back() -> None:
    [(ours,)] = execute(
        "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'pgtrigger_user_usage_on_insert%'"
    )
    execute(f"DROP TRIGGER {ours} ON chat_messages")
    execute(
        "CREATE TRIGGER thread_message_added AFTER INSERT ON chat_messages"
        " FOR EACH ROW EXECUTE FUNCTION update_thread_stats()"
    )


@pytest.mark.django_db
@pytest.mark.parametrize("messages", [0, 1, 3])
@pytest.mark.parametrize("before", BEFORE)
def test_the_month_is_counted_as_the_legacy_trigger_counts_it(before: str, messages: int) -> None:
    ours = usage_after(BEFORE[before], messages=messages)
    bring_the_legacy_trigger_back()
    assert ours == usage_after(BEFORE[before], messages=messages)


@pytest.mark.django_db
def test_messages_of_several_users_are_counted_for_each() -> None:
    users = [new_user() for _ in range(3)]
    for number, user in enumerate(users, start=1):
        for _ in range(number):
            insert("chat_threads", {"user_id": user, "title": "Oslo"}, returning="id")
    execute(
        "INSERT INTO chat_messages (thread_id, role, content)"
        " SELECT id, 'user', 'Hello' FROM chat_threads, generate_series(1, 2)"
    )
    assert execute("SELECT user_id, chat_messages_used FROM user_usage ORDER BY user_id") == [
        (user, 2 * number) for number, user in enumerate(users, start=1)
    ]


@pytest.mark.django_db
def test_the_chat_endpoints_own_count_is_added_to() -> None:
    """The existing application counts too; the trigger goes on from what it finds."""
    assert usage_after((10, "now()"), messages=2)[0][0] == 12

"""Changes of threads, within the limits of the user's plan.

Each is one transaction, and locks in this order: the user's row, the month's row of their usage,
the thread. Whoever changes two of these elsewhere must keep to it. The existing application does
not, and may meet us in a deadlock: the services then begin again.

A limit holds however many requests come at once, because all of them lock the row that it is
compared under: the user's for active threads and for messages in a lifetime, the month's for
messages of the month, the thread's for its own. That takes READ COMMITTED, Django's default, where
what is counted after the lock includes what was committed before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from sentinel.accounts.models import User
from sentinel.retries import retry_transaction
from sentinel.service_errors import ConflictError, NotFoundError
from threads.active_threads import count_active_threads
from threads.models import ChatMessage, ChatThread
from threads.records import (
    AddedMessages,
    NewMessage,
    Role,
    ThreadRecord,
    message_record,
    thread_record,
)
from usage import UnknownUserError, feature_required
from usage.gating import require_use

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


@retry_transaction
@transaction.atomic
def create_thread(
    *, user_id: int, title: str, topic: str | None = None, now: datetime | None = None
) -> ThreadRecord:
    """Begin a thread, if the plan has room for one more active thread.

    Args:
        user_id: whose.
        title: a line.
        topic: what it is about.
        now: the moment at which the plan counts, with a time zone; None for the transaction's.

    Raises:
        FeatureDeniedError: the user has as many active threads as the plan allows.
        UnknownUserError: there is no such user.
    """
    _lock_user(user_id)
    _require_room_for_active_thread(user_id=user_id, now=now)
    thread = ChatThread.objects.create(user_id=user_id, title=title, investigation_topic=topic)
    return thread_record(thread)


@retry_transaction
@transaction.atomic
def add_messages(
    *,
    user_id: int,
    thread_id: int,
    messages: Sequence[NewMessage],
    now: datetime | None = None,
) -> AddedMessages:
    """Add messages to a thread, all of them or none.

    Those of the customer are uses of `chat_messages_monthly`, taken in the same transaction: what
    is not stored is not used. All of them count for the thread.

    Args:
        user_id: whose thread it is.
        thread_id: the thread.
        messages: in the order of the conversation.
        now: the moment that counts, with a time zone; None for the transaction's.

    Raises:
        ValueError: there are no messages.
        FeatureDeniedError: the month or lifetime has no such number of messages left, or the
            thread would become longer than the plan allows.
        NotFoundError: the user has no such thread, or it is deleted.
        ConflictError: the thread is archived.
        UnknownUserError: there is no such user.
    """
    if not messages:
        raise ValueError("No messages: give at least one.")
    asked = sum(message.role == Role.USER for message in messages)
    if asked:
        require_use(user_id=user_id, feature="chat_messages_monthly", quantity=asked, now=now)
    thread = _lock_thread(user_id=user_id, thread_id=thread_id)
    if thread.is_archived:
        raise ConflictError(
            f"Thread {thread_id} is archived: restore it before you add messages to it."
        )
    length = thread.thread_messages_count + len(messages)
    require_use(
        user_id=user_id, feature="messages_per_thread", provided=length, track=False, now=now
    )
    added = ChatMessage.objects.bulk_create(
        [
            ChatMessage(thread=thread, role=message.role, content=message.content)
            for message in messages
        ]
    )
    return AddedMessages(
        messages=tuple(message_record(message) for message in added), thread_messages=length
    )


@feature_required("can_archive_threads", track_usage=False)  # no limit: before the transaction
@retry_transaction
@transaction.atomic
def archive_thread(*, user_id: int, thread_id: int, now: datetime | None = None) -> ThreadRecord:
    """Put a thread away, if the plan has archives. One that is there already stays as it is.

    Args:
        user_id: whose thread it is.
        thread_id: the thread.
        now: the moment of it, with a time zone; None for the present.

    Raises:
        FeatureDeniedError: the plan has no archives.
        NotFoundError: the user has no such thread, or it is deleted.
    """
    thread = _lock_thread(user_id=user_id, thread_id=thread_id)
    if not thread.is_archived:
        thread.is_archived = True
        thread.archived_at = now or timezone.now()
        thread.save(update_fields=["is_archived", "archived_at"])
    return thread_record(thread)


@retry_transaction
@transaction.atomic
def restore_thread(*, user_id: int, thread_id: int, now: datetime | None = None) -> ThreadRecord:
    """Make an archived or deleted thread active again, if the plan has room for it.

    One that is active stays as it is, whatever the plan.

    Args:
        user_id: whose thread it is.
        thread_id: the thread.
        now: the moment at which the plan counts, with a time zone; None for the transaction's.

    Raises:
        FeatureDeniedError: the user has as many active threads as the plan allows.
        NotFoundError: the user never had such a thread.
        UnknownUserError: there is no such user.
    """
    _lock_user(user_id)
    thread = _lock_thread(user_id=user_id, thread_id=thread_id, deleted=True)
    if thread.is_archived or thread.is_deleted:
        _require_room_for_active_thread(user_id=user_id, now=now)
        thread.is_archived = thread.is_deleted = False
        thread.archived_at = None
        thread.save(update_fields=["is_archived", "is_deleted", "archived_at"])
    return thread_record(thread)


@retry_transaction
@transaction.atomic
def delete_thread(*, user_id: int, thread_id: int) -> None:
    """Delete a thread so that it can be restored. Its messages stay, and what they used is used.

    Raises:
        NotFoundError: the user has no such thread, or it is deleted already.
    """
    thread = _lock_thread(user_id=user_id, thread_id=thread_id)
    thread.is_deleted = True
    thread.save(update_fields=["is_deleted"])


def _lock_user(user_id: int) -> None:
    locked = User.objects.select_for_update(no_key=True).filter(pk=user_id)
    if not locked.values_list("pk").first():
        raise UnknownUserError(f"There is no user {user_id}.")


def _lock_thread(*, user_id: int, thread_id: int, deleted: bool = False) -> ChatThread:
    """Lock a thread of the user's; with `deleted` also one that is deleted."""
    threads = ChatThread.objects.select_for_update(no_key=True)
    if not deleted:
        threads = threads.exclude(is_deleted=True)
    thread = threads.filter(pk=thread_id, user_id=user_id).first()
    if thread is None:
        raise NotFoundError(f"You have no thread {thread_id}.")
    return thread


def _require_room_for_active_thread(*, user_id: int, now: datetime | None) -> None:
    """Compare with the limit. The user's row is locked: what is counted cannot grow meanwhile."""
    active = count_active_threads(user_id=user_id, now=now)
    require_use(
        user_id=user_id,
        feature="conversation_threads",
        provided=active + 1,
        track=False,
        now=now,
    )

"""Threads and messages of a user, read in pages."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from django.db.models import Q

from sentinel.service_errors import NotFoundError
from sentinel.web.pages import Page, read_page
from threads.models import ChatMessage, ChatThread
from threads.records import MessageRecord, ThreadRecord, message_record, thread_record

if TYPE_CHECKING:
    from django.db.models import QuerySet


class ThreadState(StrEnum):
    """Which threads are listed."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    DELETED = "deleted"


# A column that holds NULL says no.
_IN_STATE = {
    ThreadState.ACTIVE: ~Q(is_deleted=True) & ~Q(is_archived=True),
    ThreadState.ARCHIVED: ~Q(is_deleted=True) & Q(is_archived=True),
    ThreadState.DELETED: Q(is_deleted=True),
}


def list_threads(
    *, user_id: int, state: ThreadState, before: int | None, limit: int
) -> Page[ThreadRecord]:
    """Return a page of the user's threads, the newest first.

    Args:
        user_id: whose.
        state: which.
        before: the `next` of the page before; None for the first.
        limit: how many at most.
    """
    threads = ChatThread.objects.filter(_IN_STATE[state], user_id=user_id).order_by("-id")
    if before is not None:
        threads = threads.filter(pk__lt=before)
    return read_page(threads, limit=limit, record=thread_record)


def get_thread(*, user_id: int, thread_id: int) -> ThreadRecord:
    """Return a thread of the user's.

    Raises:
        NotFoundError: the user has no such thread, or it is deleted.
    """
    return thread_record(_find_thread(user_id=user_id, thread_id=thread_id))


def list_messages(
    *, user_id: int, thread_id: int, after: int | None, limit: int
) -> tuple[Page[MessageRecord], int]:
    """Return a page of a thread's messages, the oldest first, and how many the thread has.

    The number is the counter's: nothing is counted.

    Args:
        user_id: whose thread it is.
        thread_id: the thread.
        after: the `next` of the page before; None for the first.
        limit: how many at most.

    Raises:
        NotFoundError: the user has no such thread, or it is deleted.
    """
    thread = _find_thread(user_id=user_id, thread_id=thread_id)
    messages: QuerySet[ChatMessage] = ChatMessage.objects.filter(thread=thread).order_by("id")
    if after is not None:
        messages = messages.filter(pk__gt=after)
    page = read_page(messages, limit=limit, record=message_record)
    return page, thread.thread_messages_count


def _find_thread(*, user_id: int, thread_id: int) -> ChatThread:
    threads = ChatThread.objects.exclude(is_deleted=True)
    thread = threads.filter(pk=thread_id, user_id=user_id).first()
    if thread is None:
        raise NotFoundError(f"You have no thread {thread_id}.")
    return thread

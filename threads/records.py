"""Threads and messages as services return them: what was true in their transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from threads.models import ChatMessage, ChatThread

Role = ChatMessage.Role


@dataclass(frozen=True, kw_only=True)
class ThreadRecord:
    """A thread.

    Attributes:
        id, uuid, title, topic: as stored. Threads of the existing application may have no uuid.
        messages: how many, from the counter.
        archived: whether it was put away. It is then only read, and no active thread.
        archived_at, created_at, updated_at: None where the existing application stored none.
    """

    id: int
    uuid: UUID | None
    title: str
    topic: str | None
    messages: int
    archived: bool
    archived_at: datetime | None
    created_at: datetime | None
    updated_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class NewMessage:
    """A message that is to be added."""

    role: Role
    content: str


@dataclass(frozen=True, kw_only=True)
class MessageRecord:
    """A message of a thread."""

    id: int
    role: Role
    content: str
    created_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class AddedMessages:
    """What came of adding messages.

    Attributes:
        messages: the new ones, in their order.
        thread_messages: how many the thread has now.
    """

    messages: Sequence[MessageRecord]
    thread_messages: int


def thread_record(thread: ChatThread) -> ThreadRecord:
    """Return what a row says."""
    return ThreadRecord(
        id=thread.pk,
        uuid=thread.thread_uuid,
        title=thread.title,
        topic=thread.investigation_topic,
        messages=thread.thread_messages_count,
        archived=bool(thread.is_archived),
        archived_at=thread.archived_at,
        created_at=thread.created_at,
        updated_at=thread.updated_at,
    )


def message_record(message: ChatMessage) -> MessageRecord:
    """Return what a row says."""
    return MessageRecord(
        id=message.pk,
        role=Role(message.role),
        content=message.content,
        created_at=message.created_at,
    )

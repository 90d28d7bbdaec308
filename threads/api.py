"""Threads and messages over HTTP."""

from typing import Any

from ninja import Router, Schema, Status
from pydantic import Field

from sentinel.web.answers import ALWAYS, WITH_BODY, Problem
from sentinel.web.fields import IntegerKey, Line, Text
from sentinel.web.pages import USUAL_ROWS, Page, PageSize
from sentinel.web.requests import CustomerRequest
from threads import reading, services
from threads.reading import ThreadState
from threads.records import AddedMessages, MessageRecord, NewMessage, Role, ThreadRecord
from usage.answers import Refused

router = Router(tags=["threads"])

MISSING: dict[int, Any] = {404: Problem}
REFUSED: dict[int, Any] = WITH_BODY | {403: Refused | Problem}
MOST_MESSAGES = 100  # of one request: as many as a page shows


class ThreadBody(Schema):
    """A thread that is to begin."""

    title: Line
    topic: Line | None = None


class MessageBody(Schema):
    """What the customer says. The assistant's words come from the application, not from here."""

    content: Text


class MessagesBody(Schema):
    """What the customer says, all of it or nothing."""

    messages: list[MessageBody] = Field(min_length=1, max_length=MOST_MESSAGES)


class ThreadPage(Schema):
    """A page of threads, the newest first; `next` is the `before` of the page that follows."""

    items: list[ThreadRecord]
    next: int | None


class MessagePage(Schema):
    """A page of messages, the oldest first; `next` is the `after` of the page that follows."""

    items: list[MessageRecord]
    next: int | None
    total: int = Field(description="How many the thread has, from its counter.")


@router.get("", response={200: ThreadPage} | ALWAYS, operation_id="list_threads")
def list_threads(
    request: CustomerRequest,
    state: ThreadState = ThreadState.ACTIVE,
    before: IntegerKey | None = None,
    limit: PageSize = USUAL_ROWS,
) -> Page[ThreadRecord]:
    """List your threads: those that are active, archived or deleted."""
    return reading.list_threads(user_id=request.user.pk, state=state, before=before, limit=limit)


@router.post("", response={201: ThreadRecord} | REFUSED, operation_id="create_thread")
def create_thread(request: CustomerRequest, body: ThreadBody) -> Status[ThreadRecord]:
    """Begin a thread, if your plan has room for one more active thread."""
    made = services.create_thread(user_id=request.user.pk, title=body.title, topic=body.topic)
    return Status(201, made)


@router.get(
    "/{thread_id}", response={200: ThreadRecord} | ALWAYS | MISSING, operation_id="get_thread"
)
def get_thread(request: CustomerRequest, thread_id: IntegerKey) -> ThreadRecord:
    """Read a thread of yours."""
    return reading.get_thread(user_id=request.user.pk, thread_id=thread_id)


@router.post(
    "/{thread_id}/archive",
    response={200: ThreadRecord} | REFUSED | MISSING,
    operation_id="archive_thread",
)
def archive_thread(request: CustomerRequest, thread_id: IntegerKey) -> ThreadRecord:
    """Put a thread away, if your plan has archives. It can then only be read."""
    return services.archive_thread(user_id=request.user.pk, thread_id=thread_id)


@router.post(
    "/{thread_id}/restore",
    response={200: ThreadRecord} | REFUSED | MISSING,
    operation_id="restore_thread",
)
def restore_thread(request: CustomerRequest, thread_id: IntegerKey) -> ThreadRecord:
    """Make an archived or deleted thread active again, if your plan has room for it."""
    return services.restore_thread(user_id=request.user.pk, thread_id=thread_id)


@router.delete(
    "/{thread_id}", response={204: None} | WITH_BODY | MISSING, operation_id="delete_thread"
)
def delete_thread(request: CustomerRequest, thread_id: IntegerKey) -> Status[None]:
    """Delete a thread. It can be restored."""
    services.delete_thread(user_id=request.user.pk, thread_id=thread_id)
    return Status(204, None)


@router.get(
    "/{thread_id}/messages",
    response={200: MessagePage} | ALWAYS | MISSING,
    operation_id="list_messages",
)
def list_messages(
    request: CustomerRequest,
    thread_id: IntegerKey,
    after: IntegerKey | None = None,
    limit: PageSize = USUAL_ROWS,
) -> dict[str, Any]:
    """List the messages of a thread of yours."""
    page, total = reading.list_messages(
        user_id=request.user.pk, thread_id=thread_id, after=after, limit=limit
    )
    return {"items": page.items, "next": page.next, "total": total}


@router.post(
    "/{thread_id}/messages",
    response={201: AddedMessages} | REFUSED | MISSING | {409: Problem},
    operation_id="add_messages",
)
def add_messages(
    request: CustomerRequest, thread_id: IntegerKey, body: MessagesBody
) -> Status[AddedMessages]:
    """Say something in a thread of yours, if your plan has messages left for it."""
    made = services.add_messages(
        user_id=request.user.pk,
        thread_id=thread_id,
        messages=[NewMessage(role=Role.USER, content=message.content) for message in body.messages],
    )
    return Status(201, made)

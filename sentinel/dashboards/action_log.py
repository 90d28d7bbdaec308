"""What people do on the dashboards stands in the log of the admin, as what they do elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType

from sentinel.dashboards.models import Dashboards

if TYPE_CHECKING:
    from django.http import HttpRequest

    from sentinel.accounts.models import User

LONGEST_SUBJECT = 200  # of the log's column


def record_action(request: HttpRequest, *, subject: str, message: str) -> None:
    """Write that the user of a request did something.

    Args:
        request: of whoever did it.
        subject: what it was done to, such as "chat_threads.thread_messages_count".
        message: what was done, in a sentence.
    """
    LogEntry.objects.create(
        user=cast("User", request.user),  # the admin lets nobody else in
        content_type=ContentType.objects.get_for_model(Dashboards),
        object_repr=subject[:LONGEST_SUBJECT],
        action_flag=CHANGE,
        change_message=message,
    )

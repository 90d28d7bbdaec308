"""A counter by Django's signals, as tutorials show it."""

from __future__ import annotations

from typing import Any

from django.db.models import F
from django.db.models.signals import post_delete, post_save


def connect_signals() -> None:
    """Have the receivers called for the messages of this peer."""
    from tests.benchmarks.orm.models import SignalMessage

    post_save.connect(count_new, sender=SignalMessage)
    post_delete.connect(count_deleted, sender=SignalMessage)


def count_new(instance: Any, *, created: bool, **_: Any) -> None:
    """Add one for a new message."""
    if created:
        _add(instance, 1)


def count_deleted(instance: Any, **_: Any) -> None:
    """Take one away for a deleted message."""
    _add(instance, -1)


def _add(message: Any, number: int) -> None:
    from tests.benchmarks.orm.models import SignalThread

    SignalThread._default_manager.filter(pk=message.thread_id).update(
        thread_messages_count=F("thread_messages_count") + number
    )

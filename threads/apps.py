"""The app `threads`."""

from __future__ import annotations

from django.apps import AppConfig


class ThreadsConfig(AppConfig):
    """Conversations, on the tables `chat_threads` and `chat_messages`."""

    name = "threads"
    verbose_name = "Chat threads"

"""The app `threads`."""

from __future__ import annotations

from django.apps import AppConfig


class ThreadsConfig(AppConfig):
    """Conversations, on the tables `chat_threads` and `chat_messages`."""

    name = "threads"
    verbose_name = "Chat threads"

    def ready(self) -> None:
        """Tell usage how active threads are counted."""
        from threads.active_threads import ACTIVE_THREADS
        from usage import register_count

        register_count(feature="conversation_threads", sql=ACTIVE_THREADS)

"""The admin's pages of chat threads and messages."""

from __future__ import annotations

from django.contrib import admin
from django.utils.text import Truncator

from sentinel.accounts.admin import ONE_LINE, RecordAdmin
from threads.models import ChatMessage, ChatThread


@admin.register(ChatThread)
class ChatThreadAdmin(RecordAdmin):
    """Threads, with the number of their messages."""

    list_display = (
        "title",
        "thread_messages_count",
        "user",
        "is_archived",
        "is_deleted",
        "created_at",
    )
    list_select_related = ("user",)
    list_filter = ("is_archived", "is_deleted", "created_at")
    search_fields = ("title", "user__email", "thread_uuid__exact")
    autocomplete_fields = ("user",)
    readonly_fields = (
        "thread_messages_count",
        "message_count",
        "thread_uuid",
        "created_at",
        "updated_at",
    )
    add_fields = ("user", "title", "investigation_topic")
    formfield_overrides = RecordAdmin.formfield_overrides | ONE_LINE


@admin.register(ChatMessage)
class ChatMessageAdmin(RecordAdmin):
    """Messages, the newest first."""

    list_display = ("id", "role", "beginning", "thread_title", "created_at")
    list_select_related = ("thread",)
    list_filter = ("role", "created_at")
    search_fields = ("thread__title", "content")
    raw_id_fields = ("thread",)
    readonly_fields = ("timestamp", "created_at")
    add_fields = ("thread", "role", "content")
    ordering = ("-id",)

    @admin.display(description="content")
    def beginning(self, message: ChatMessage) -> str:
        """Return as much of the message as fits into a row."""
        return Truncator(message.content).chars(80)

    @admin.display(description="thread")
    def thread_title(self, message: ChatMessage) -> str:
        """Return the thread's title, which may be broken into lines: a relation is not."""
        return message.thread.title

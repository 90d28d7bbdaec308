"""Conversations, on the tables of the deployed system, column by column."""

from __future__ import annotations

from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models.functions import Now

from sentinel.accounts.models import User
from sentinel.counters import Counter
from threads.monthly_usage import COUNT_MONTHLY_MESSAGES


class ChatThread(models.Model):
    """A conversation of a customer."""

    id = models.AutoField(primary_key=True)
    user = models.ForeignKey(
        User,
        on_delete=models.CASCADE,
        db_index=False,  # idx_threads_user, below
        related_name="chat_threads",
    )
    thread_uuid = models.UUIDField(unique=True, null=True, blank=True, db_default=RandomUUID())
    title = models.TextField()
    investigation_topic = models.TextField(null=True, blank=True)
    message_count = models.IntegerField(null=True, blank=True, db_default=0)
    thread_messages_count = models.IntegerField("messages", blank=True, db_default=0)
    is_archived = models.BooleanField("archived", null=True, blank=True, db_default=False)
    is_deleted = models.BooleanField("deleted", null=True, blank=True, db_default=False)
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(null=True, blank=True, db_default=Now())
    updated_at = models.DateTimeField(null=True, blank=True, db_default=Now())

    class Meta:
        db_table = "chat_threads"
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["user", "-created_at"], name="idx_threads_user"),
            models.Index(
                fields=["user", "is_archived", "is_deleted", "-created_at"],
                name="idx_threads_active",
            ),
            models.Index(fields=["thread_uuid"], name="idx_threads_uuid"),
            # and idx_chat_threads_messages_count, in migration 0002: too long for Django
        )

    def __str__(self) -> str:
        return self.title


class ChatMessage(models.Model):
    """What was said in a thread, by the customer, the assistant or the system."""

    class Role(models.TextChoices):
        """Who speaks."""

        USER = "user"
        ASSISTANT = "assistant"
        SYSTEM = "system"

    id = models.AutoField(primary_key=True)
    thread = models.ForeignKey(
        ChatThread,
        on_delete=models.CASCADE,
        db_index=False,  # idx_messages_thread, below
        related_name="messages",
    )
    role = models.CharField(max_length=20, choices=Role)
    content = models.TextField()
    timestamp = models.DateTimeField(null=True, blank=True, db_default=Now())
    created_at = models.DateTimeField(null=True, blank=True, db_default=Now())

    class Meta:
        db_table = "chat_messages"
        ordering = ("id",)
        indexes = (models.Index(fields=["thread", "created_at"], name="idx_messages_thread"),)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(role__in=["user", "assistant", "system"]),
                name="chat_messages_role_check",
            ),
        )
        triggers = (
            *Counter(
                column="thread_messages_count",
                foreign_key="thread",
                mirrors=("message_count",),
                touches=("updated_at",),
            ).triggers(),
            COUNT_MONTHLY_MESSAGES,
        )

    def __str__(self) -> str:
        return f"{self.role} message {self.pk}"

from pathlib import Path

import django.db.models.deletion
from django.conf import settings
from django.contrib.postgres.functions import RandomUUID
from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Now

from sentinel.migrating import AddConstraint, BuildIndex

ROOT = Path(__file__).parents[2]
NO_WAY_BACK = "/* These tables were there before us and hold production data. */ SELECT 1"


def step(*names: str) -> str:
    """A transaction of its own, in which the functions of the check are at hand."""
    files = (
        ROOT / "sentinel/accounts/migrations/sql/legacy_check.sql",
        *(Path(__file__).with_name("sql") / name for name in ("0001_expected.sql", *names)),
    )
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


class Migration(migrations.Migration):
    """The tables as they stand, completed in steps as in accounts 0001."""

    atomic = False
    initial = True

    dependencies = [("accounts", "0001_legacy")]

    operations = [
        migrations.RunSQL(NO_WAY_BACK),  # first, as in accounts 0001, which gives the reason
        migrations.RunSQL(
            sql=step() + "\nSELECT pg_temp.refuse_contradictions();",
            state_operations=[
                migrations.CreateModel(
                    name="ChatThread",
                    fields=[
                        ("id", models.AutoField(primary_key=True, serialize=False)),
                        (
                            "user",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="chat_threads",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "thread_uuid",
                            models.UUIDField(
                                blank=True, db_default=RandomUUID(), null=True, unique=True
                            ),
                        ),
                        ("title", models.TextField()),
                        ("investigation_topic", models.TextField(blank=True, null=True)),
                        (
                            "message_count",
                            models.IntegerField(blank=True, db_default=0, null=True),
                        ),
                        (
                            "is_archived",
                            models.BooleanField(
                                blank=True, db_default=False, null=True, verbose_name="archived"
                            ),
                        ),
                        (
                            "is_deleted",
                            models.BooleanField(
                                blank=True, db_default=False, null=True, verbose_name="deleted"
                            ),
                        ),
                        ("archived_at", models.DateTimeField(blank=True, null=True)),
                        (
                            "created_at",
                            models.DateTimeField(blank=True, db_default=Now(), null=True),
                        ),
                        (
                            "updated_at",
                            models.DateTimeField(blank=True, db_default=Now(), null=True),
                        ),
                    ],
                    options={
                        "db_table": "chat_threads",
                        "ordering": ("-id",),
                        "indexes": [
                            models.Index(fields=["user", "-created_at"], name="idx_threads_user"),
                            models.Index(
                                fields=["user", "is_archived", "is_deleted", "-created_at"],
                                name="idx_threads_active",
                            ),
                            models.Index(fields=["thread_uuid"], name="idx_threads_uuid"),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="ChatMessage",
                    fields=[
                        ("id", models.AutoField(primary_key=True, serialize=False)),
                        (
                            "thread",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="messages",
                                to="threads.chatthread",
                            ),
                        ),
                        (
                            "role",
                            models.CharField(
                                choices=[
                                    ("user", "User"),
                                    ("assistant", "Assistant"),
                                    ("system", "System"),
                                ],
                                max_length=20,
                            ),
                        ),
                        ("content", models.TextField()),
                        (
                            "timestamp",
                            models.DateTimeField(blank=True, db_default=Now(), null=True),
                        ),
                        (
                            "created_at",
                            models.DateTimeField(blank=True, db_default=Now(), null=True),
                        ),
                    ],
                    options={
                        "db_table": "chat_messages",
                        "ordering": ("id",),
                        "indexes": [
                            models.Index(
                                fields=["thread", "created_at"], name="idx_messages_thread"
                            )
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=Q(role__in=["user", "assistant", "system"]),
                                name="chat_messages_role_check",
                            )
                        ],
                    },
                ),
            ],
        ),
        migrations.RunSQL(sql=step("0001_chat_threads.sql")),
        migrations.RunSQL(
            sql=(Path(__file__).with_name("sql") / "0001_thread_uuid.sql").read_text("utf-8")
        ),
        AddConstraint(
            table="chat_threads",
            name="chat_threads_user_id_fkey",
            columns=["user_id"],
            foreign_key="REFERENCES users ON DELETE CASCADE",
        ),
        AddConstraint(
            table="chat_threads", name="chat_threads_thread_uuid_key", columns=["thread_uuid"]
        ),
        BuildIndex(
            name="idx_threads_user", on="chat_threads (user_id, created_at DESC)", removed=False
        ),
        BuildIndex(
            name="idx_threads_active",
            on="chat_threads (user_id, is_archived, is_deleted, created_at DESC)",
            removed=False,
        ),
        BuildIndex(name="idx_threads_uuid", on="chat_threads (thread_uuid)", removed=False),
        migrations.RunSQL(sql=step("0001_chat_messages.sql")),
        AddConstraint(
            table="chat_messages",
            name="chat_messages_thread_id_fkey",
            columns=["thread_id"],
            foreign_key="REFERENCES chat_threads ON DELETE CASCADE",
        ),
        AddConstraint(
            table="chat_messages",
            name="chat_messages_role_check",
            columns=["role"],
            check="role IN ('user', 'assistant', 'system')",
        ),
        BuildIndex(
            name="idx_messages_thread", on="chat_messages (thread_id, created_at)", removed=False
        ),
    ]

"""The peers' tables as models. Each peer has them in a schema of its own."""

from __future__ import annotations

from django.apps import apps
from django.db import models

if apps.is_installed("computedfields"):
    import tests.benchmarks.orm.computed  # noqa: F401 (so that Django finds them)


class Thread(models.Model):
    """The columns that a peer reads and writes; the others have defaults in the database."""

    id = models.AutoField(primary_key=True)
    user_id = models.IntegerField()
    title = models.TextField()
    thread_messages_count = models.IntegerField(default=0)

    class Meta:
        abstract = True


class Message(models.Model):
    id = models.AutoField(primary_key=True)
    role = models.CharField(max_length=20)
    content = models.TextField()

    class Meta:
        abstract = True


class PlainThread(Thread):
    class Meta:
        managed = False
        db_table = '"plain"."chat_threads"'


class PlainMessage(Message):
    thread = models.ForeignKey(PlainThread, on_delete=models.CASCADE, related_name="messages")

    class Meta:
        managed = False
        db_table = '"plain"."chat_messages"'


class CountedThread(Thread):
    class Meta:
        managed = False
        db_table = '"counter"."chat_threads"'


class CountedMessage(Message):
    thread = models.ForeignKey(CountedThread, on_delete=models.CASCADE, related_name="messages")

    class Meta:
        managed = False
        db_table = '"counter"."chat_messages"'


class FThread(Thread):
    class Meta:
        managed = False
        db_table = '"f_expression"."chat_threads"'


class FMessage(Message):
    thread = models.ForeignKey(FThread, on_delete=models.CASCADE, related_name="messages")

    class Meta:
        managed = False
        db_table = '"f_expression"."chat_messages"'


class SignalThread(Thread):
    class Meta:
        managed = False
        db_table = '"signals"."chat_threads"'


class SignalMessage(Message):
    thread = models.ForeignKey(SignalThread, on_delete=models.CASCADE, related_name="messages")

    class Meta:
        managed = False
        db_table = '"signals"."chat_messages"'

"""The tables as models of django-computedfields."""

from __future__ import annotations

from computedfields.models import (  # type: ignore[import-untyped]  # it has no types
    ComputedFieldsModel,
    computed,
)
from django.db import models


class ComputedThread(ComputedFieldsModel):  # type: ignore[misc]  # nor has this
    """A thread whose count is a computed field."""

    id = models.AutoField(primary_key=True)
    user_id = models.IntegerField()
    title = models.TextField()

    class Meta:
        managed = False
        app_label = "bench_peers"
        db_table = '"computed_fields"."chat_threads"'

    @computed(  # type: ignore[untyped-decorator]  # nor has this
        models.IntegerField(default=0), depends=[("messages", ["thread"])]
    )
    def thread_messages_count(self) -> int:
        """As its documentation counts what refers to a row."""
        return self.messages.count() if self.pk else 0


class ComputedMessage(ComputedFieldsModel):  # type: ignore[misc]  # nor has this
    id = models.AutoField(primary_key=True)
    thread = models.ForeignKey(ComputedThread, on_delete=models.CASCADE, related_name="messages")
    role = models.CharField(max_length=20)
    content = models.TextField()

    class Meta:
        managed = False
        app_label = "bench_peers"
        db_table = '"computed_fields"."chat_messages"'

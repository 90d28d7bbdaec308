"""What the tests of `verify_deployment` have in common."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from sentinel.deployment.findings import Deployment, State
from tests.rows import insert, new_user

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase


def deployment(**options: Any) -> Deployment:
    return Deployment(now=timezone.now(), **options)


def thread(messages: int) -> int:
    """Insert a thread of a new user and return its key."""
    key: int = insert("chat_threads", {"user_id": new_user(), "title": "Oslo"}, returning="id")
    for _ in range(messages):
        insert("chat_messages", {"thread_id": key, "role": "user", "content": "?"}, returning="id")
    return key


def verify(database: ScratchDatabase, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run the command, and return its exit code and the findings by their names."""
    done = database.manage("verify_deployment", *arguments, "--format", "json")
    assert done.returncode in {0, 1}, done.stderr
    document = json.loads(done.stdout)
    assert (document["state"] == State.FAILED) is bool(done.returncode)
    return done.returncode, {finding["id"]: finding for finding in document["findings"]}

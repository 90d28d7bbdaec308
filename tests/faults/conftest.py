"""Fixtures of the faults: a story's subject in a database whose commits are real."""

from __future__ import annotations

import pytest

from tests.concurrency.conftest import committed, seed
from tests.faults.subject import Subject
from tests.rows import insert, new_user

__all__ = ["committed", "seed"]


@pytest.fixture
def subject(committed: None) -> Subject:
    """A user with one empty thread and no uses, committed."""
    user = new_user()
    thread = insert("chat_threads", {"user_id": user, "title": "Oslo"}, returning="id")
    return Subject(user=user, thread=thread)

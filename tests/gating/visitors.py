"""Customers at the gates, and what the ledger and the log say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connection
from django.test import AsyncClient, Client

from sentinel.accounts.factories import UserFactory

if TYPE_CHECKING:
    import logging

    from sentinel.accounts.models import User


def make_user(plan: str = "FREE", **values: Any) -> User:
    return UserFactory.create(plan_id=plan, **values)


def sign_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def sign_in_async(user: User) -> AsyncClient:
    client = AsyncClient()
    client.force_login(user)
    return client


def query(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def quantities() -> list[int]:
    """What the ledger holds, in order."""
    rows = query("SELECT quantity FROM feature_usage_events ORDER BY id")
    return [quantity for (quantity,) in rows]


def reasons() -> list[str]:
    """Why uses were given back."""
    found = query("SELECT reason FROM feature_usage_events WHERE quantity < 0 ORDER BY id")
    return [reason for (reason,) in found]


def lines(log: list[logging.LogRecord], message: str) -> list[dict[str, Any]]:
    """The fields of a log's lines with this message."""
    return [vars(record) for record in log if record.getMessage() == message]

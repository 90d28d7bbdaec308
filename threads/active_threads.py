"""Counts the active threads of a user: those neither archived nor deleted, where NULL is no."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connection

if TYPE_CHECKING:
    from datetime import datetime

# Four ranges of idx_threads_active, one after the other. As one condition with OR or IS NOT TRUE
# they would be a scan of all that the user has ever archived.
RANGES = """
    SELECT FROM public.chat_threads
     WHERE user_id = %(user_id)s AND is_archived = false AND is_deleted = false
    UNION ALL
    SELECT FROM public.chat_threads
     WHERE user_id = %(user_id)s AND is_archived = false AND is_deleted IS NULL
    UNION ALL
    SELECT FROM public.chat_threads
     WHERE user_id = %(user_id)s AND is_archived IS NULL AND is_deleted = false
    UNION ALL
    SELECT FROM public.chat_threads
     WHERE user_id = %(user_id)s AND is_archived IS NULL AND is_deleted IS NULL
"""

# How many there are, however many: for `usage_for`.
ACTIVE_THREADS = "SELECT count(*) FROM (" + RANGES + ") AS active"  # noqa: S608 (two constants)

# As many as the limit, to compare with it. Where there is no limit, nothing is read.
ACTIVE_THREADS_UP_TO_LIMIT = (
    "SELECT count(*) FROM ("  # noqa: S608 (constants)
    + RANGES
    + """
     LIMIT (SELECT coalesce(usage_limit, 0)
              FROM public.feature_limit(
                       %(user_id)s::integer, 'conversation_threads',
                       coalesce(%(now)s::timestamptz, now())))
    ) AS active
"""
)


def count_active_threads(*, user_id: int, now: datetime | None) -> int:
    """Return how many active threads a user has, the limit of their plan at most.

    It is 0 where the plan has no limit. Only under the lock of the user's row does the number hold
    until the transaction ends.
    """
    with connection.cursor() as cursor:
        cursor.execute(ACTIVE_THREADS_UP_TO_LIMIT, {"user_id": user_id, "now": now})
        [(number,)] = cursor.fetchall()
    return int(number)

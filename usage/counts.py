"""What a user holds at any one time, as the apps that keep it count it.

Active threads are counted where threads are. Usage only reads the number, and knows of no app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured
from psycopg.sql import SQL, Composable, Literal

from usage.features import Per, find_feature

if TYPE_CHECKING:
    from typing import LiteralString

_COUNTS: dict[str, Composable] = {}
NOTHING = SQL("SELECT NULL::text, NULL::bigint WHERE false")


def register_count(*, feature: str, sql: LiteralString) -> None:
    """Say how to count what a user holds of a feature, for `usage_for`. For `AppConfig.ready`.

    Args:
        feature: one with a limit for the account.
        sql: a query of one number, with `%(user_id)s` for the user and tables with their schema.
            It becomes a part of one query with all others, so it should read an index.

    Raises:
        UnknownFeatureError: no feature of that name is declared.
        ImproperlyConfigured: the feature's limit is no limit of the account, or somebody else
            counts it already.
    """
    if find_feature(feature).per is not Per.ACCOUNT:
        raise ImproperlyConfigured(f"{feature!r} is not limited by account: nothing to count.")
    query = SQL(sql)
    if _COUNTS.setdefault(feature, query) != query:
        raise ImproperlyConfigured(f"{feature!r} is counted by two queries: register one of them.")


def registered_counts() -> Composable:
    """Return the query of all that is registered: feature, number."""
    counts = [
        SQL("SELECT {}::text, ({})::bigint").format(Literal(feature), query)
        for feature, query in _COUNTS.items()
    ]
    return SQL(" UNION ALL ").join(counts) if counts else NOTHING

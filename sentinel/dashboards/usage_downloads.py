"""The tables of the page of usage as files: all lines, with the numbers of the accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sentinel.dashboards.tables import Column, values_of
from sentinel.dashboards.usage_tables import LIMITS, USERS, limit_cells, user_cells
from usage.reporting import iterate_limits, iterate_users, report_month

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sentinel.dashboards.people import Naming
    from sentinel.dashboards.tables import Cell, Value
    from sentinel.dashboards.usage_tables import UsageTables
    from usage.reporting import LimitLine, UserLine

# In the place of the page's one column. The number of an account is no quantity: it is written as
# it is.
ACCOUNT = (Column(title="User"), Column(title="Name"))
EMAIL = Column(title="Email")
SLUGS = frozenset({"features", "days", "users", "limits", "refusals"})


class Contents(NamedTuple):
    """What a file holds: its heading, and the values of each line, asked for as it is written."""

    columns: Sequence[Column]
    rows: Iterable[Sequence[Value]]


def read_contents(slug: str, *, tables: UsageTables, now: datetime) -> Contents:
    """Return what the file of a table holds.

    Args:
        slug: the table's, one of `SLUGS`.
        tables: of the choice and for whoever asks.
        now: the time.
    """
    chosen = tables.chosen
    if slug == "users":
        users = iterate_users(month=chosen.month, plan=chosen.plan, now=now)
        rows = (_account(line, user_cells(line), naming=tables.naming) for line in users)
        return Contents(_columns(USERS, naming=tables.naming), rows)
    if slug == "limits":
        limits = iterate_limits(month=chosen.month, plan=chosen.plan, now=now)
        rows = (_account(line, limit_cells(line), naming=tables.naming) for line in limits)
        return Contents(_columns(LIMITS, naming=tables.naming), rows)
    report = report_month(month=chosen.month, plan=chosen.plan, now=now)
    table = {"features": tables.features, "days": tables.days, "refusals": tables.refusals}[slug](
        report
    )
    return Contents(table.columns, values_of(table.rows))


def _columns(columns: Sequence[Column], *, naming: Naming) -> Sequence[Column]:
    return (*ACCOUNT, *((EMAIL,) if naming.with_emails else ()), *columns)


def _account(
    line: UserLine | LimitLine, cells: Sequence[Cell], *, naming: Naming
) -> Sequence[Value]:
    email = (line.email,) if naming.with_emails else ()
    return (line.user_id, line.name, *email, *(cell.value for cell in cells))

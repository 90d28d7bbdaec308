"""What the page of usage is narrowed down to: everything on it obeys, downloads as well."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from sentinel.accounts.models import Plan
from usage.reporting import find_months

if TYPE_CHECKING:
    from collections.abc import Mapping

LISTED = (
    10,
    100,
    1000,
)  # lines of a table: at a glance, to look through, the most that a page bears


@dataclass(frozen=True, kw_only=True)
class UsageFilter:
    """A month, a plan, and how long the tables are.

    Attributes:
        month: its first day.
        plan: a plan's name; None for all.
        listed: how many lines the longer tables have.
        months: which there are, the latest first.
        plans: the names of the plans, the cheapest first.
        problems: what was asked for and is not there, in sentences.
    """

    month: date
    plan: str | None
    listed: int
    months: tuple[date, ...]
    plans: tuple[str, ...]
    problems: tuple[str, ...] = ()

    @property
    def query(self) -> str:
        """The same choice in an address."""
        return self.query_with()

    def query_with(self, *, month: date | None = None, listed: int | None = None) -> str:
        """Return the choice in an address, with another month or length."""
        chosen = {"month": f"{month or self.month:%Y-%m}"}
        if self.plan:
            chosen["plan"] = self.plan
        if listed:
            chosen["listed"] = str(listed)
        return urlencode(chosen)

    @property
    def file_name(self) -> str:
        """How a download of it is called, before the name of the table."""
        plan = "".join(letter for letter in self.plan or "" if letter.isalnum()).lower()
        return "-".join(filter(None, ("usage", f"{self.month:%Y-%m}", plan)))


def read_usage_filter(given: Mapping[str, str], *, now: datetime) -> UsageFilter:
    """Read the choice from an address. What is not there is replaced by the default, and told.

    Args:
        given: the address's parameters `month` (as 2026-11), `plan` and `listed`.
        now: the time.
    """
    months = find_months(now=now)
    plans = tuple(Plan.objects.values_list("name", flat=True))  # ordered by price
    problems = []
    month = months[0]
    if wanted := given.get("month"):
        try:
            month = datetime.strptime(wanted, "%Y-%m").date()  # noqa: DTZ007 (a month has no zone)
        except ValueError:
            problems.append(f"“{wanted}” is no month: write it as {months[0]:%Y-%m}.")
        else:
            if month > months[0]:
                problems.append(f"{month:%B %Y} is yet to come.")
                month = months[0]
    plan = given.get("plan") or None
    if plan and plan not in plans:
        problems.append(f"There is no plan “{plan}”.")
        plan = None
    listed = next((number for number in LISTED if str(number) == given.get("listed")), LISTED[0])
    if month not in months:
        months = tuple(sorted({*months, month}, reverse=True))
    return UsageFilter(
        month=month,
        plan=plan,
        listed=listed,
        months=months,
        plans=plans,
        problems=tuple(f"{problem} Shown is what there is." for problem in problems),
    )

"""The tables of the page of usage, for the page and for downloads: the same columns and rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.urls import reverse

from sentinel.dashboards.exports import Format
from sentinel.dashboards.figures import Tone
from sentinel.dashboards.formats import show_day, show_number
from sentinel.dashboards.rows_behind import months_behind, refusals_behind
from sentinel.dashboards.tables import Cell, Column, Kind, More, Table, cells
from sentinel.dashboards.usage_filters import LISTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentinel.dashboards.people import Naming
    from sentinel.dashboards.usage_filters import UsageFilter
    from usage.reporting import FeatureLine, LimitLine, MonthReport, RefusalLine, UserLine

FEATURES = (
    Column(title="Feature"),
    Column(title="Uses", kind=Kind.NUMBER),
    Column(title="Share", kind=Kind.PERCENT, hint="Of all uses of the month"),
    Column(title="Change", kind=Kind.CHANGE, hint="Against the same days of the month before"),
    Column(title="Before", kind=Kind.NUMBER, hint="Uses on the same days of the month before"),
    Column(title="Users", kind=Kind.NUMBER, hint="Who used it in the month"),
)
DAYS = (
    Column(title="Day"),
    Column(title="Uses", kind=Kind.NUMBER),
    Column(title="Month before", kind=Kind.NUMBER),
)
USER = Column(title="User")
USERS = (
    Column(title="Plan"),
    Column(title="Uses", kind=Kind.NUMBER),
    Column(title="Share", kind=Kind.PERCENT, hint="Of all uses of the month"),
    Column(title="Features", kind=Kind.NUMBER, hint="How many different ones"),
    Column(title="Last use", kind=Kind.MOMENT),
)
LIMITS = (
    Column(title="Plan"),
    Column(title="Feature"),
    Column(title="Used", kind=Kind.NUMBER),
    Column(title="Limit", kind=Kind.NUMBER),
    Column(title="Of the limit", kind=Kind.PERCENT),
    Column(
        title="Pace",
        kind=Kind.RATIO,
        hint="The part of the limit that is used, by the part of the month that is over: "
        "1 is just enough, 2 is used up at half time",
    ),
)
REFUSALS = (
    Column(title="Feature"),
    Column(title="Plan"),
    Column(title="Refusals", kind=Kind.NUMBER),
    Column(title="Users", kind=Kind.NUMBER, hint="How many were refused"),
    Column(title="Last", kind=Kind.MOMENT),
)


@dataclass(frozen=True, kw_only=True)
class UsageTables:
    """Makes the tables of a choice for whoever looks.

    Attributes:
        chosen: month and plan.
        naming: how customers are named.
        with_downloads: whether they may download.
    """

    chosen: UsageFilter
    naming: Naming
    with_downloads: bool

    def features(self, report: MonthReport) -> Table:
        """Return uses by feature."""
        return Table(
            slug="features",
            title="Uses by feature",
            columns=FEATURES,
            rows=[self._feature_row(line, archived=report.archived) for line in report.features],
            empty=f"Nothing was used in {self.chosen.month:%B %Y}.",
            downloads=self._downloads("features"),
        )

    def days(self, report: MonthReport) -> Table:
        """Return uses by day, which the page shows as a chart."""
        return Table(
            slug="days",
            title="Uses by day",
            columns=DAYS,
            rows=[cells(line.number, line.uses, line.before) for line in report.days],
            downloads=self._downloads("days"),
        )

    def users(self, report: MonthReport) -> Table:
        """Return the most active users."""
        return Table(
            slug="users",
            title="Most active users",
            columns=(USER, *USERS),
            rows=[(self._name_cell(line), *user_cells(line)) for line in report.users],
            empty=f"Nobody has used anything in {self.chosen.month:%B %Y}.",
            more=self._more("users", shown=len(report.users), of=report.active_users.current),
            downloads=self._downloads("users"),
        )

    def limits(self, report: MonthReport) -> Table:
        """Return who is near or at a limit."""
        return Table(
            slug="limits",
            title="Near or at a limit",
            columns=(USER, *LIMITS),
            rows=[(self._name_cell(line), *limit_cells(line)) for line in report.limits],
            note="Who has used 80 % or more of a limit of the month, by the plans and limits of "
            "today. At a pace above 1, the limit will not last until the end of the month.",
            empty="Nobody has used 80 % of a limit.",
            more=self._more("limits", shown=len(report.limits), of=report.limits_total),
            downloads=self._downloads("limits"),
        )

    def refusals(self, report: MonthReport) -> Table:
        """Return what was refused, by feature and plan."""
        since = report.refusals_since
        note = "Who wanted more than the plan of that moment allows: they may pay for more."
        if since is not None and since > report.span.month:
            note += f" Counted since {show_day(since)}."
        return Table(
            slug="refusals",
            title="Refusals by feature and plan",
            columns=REFUSALS,
            rows=[self._refusal_row(line) for line in report.refused],
            note=note,
            empty="Nobody was refused anything.",
            downloads=self._downloads("refusals"),
        )

    def _feature_row(self, line: FeatureLine, *, archived: bool) -> Sequence[Cell]:
        behind = months_behind(
            month=self.chosen.month, archived=archived, feature=line.feature, plan=self.chosen.plan
        )
        return cells(
            Cell(value=line.title, href=behind if line.users else ""),
            line.uses.current,
            Cell(value=line.share, share=line.share),
            line.uses.change,
            line.uses.before,
            line.users,
        )

    def _refusal_row(self, line: RefusalLine) -> Sequence[Cell]:
        behind = refusals_behind(month=self.chosen.month, feature=line.feature, plan=line.plan)
        return cells(
            Cell(value=line.title, href=behind),
            line.plan,
            line.refusals,
            line.users,
            line.last_at,
        )

    def _name_cell(self, line: UserLine | LimitLine) -> Cell:
        """Return the cell that leads to the page of a user, where the account is there still."""
        user_id, name, email = line.user_id, line.name, line.email
        there = line.plan is not None  # rows without an account are in the archive, or nobody's
        return Cell(
            value=self.naming.name(user_id=user_id, name=name, email=email),
            note=self.naming.detail(user_id=user_id, name=name, email=email),
            href=reverse("dashboards:user", args=[user_id]) if there else "",
        )

    def _more(self, slug: str, *, shown: int, of: int) -> More | None:
        if of <= shown:
            return None
        longer = next((number for number in LISTED if number > shown), None)
        text = f"{show_number(shown)} of {show_number(of)} lines."
        if longer is None:
            return More(text=f"{text} A download has all of them.")
        address = f"?{self.chosen.query_with(listed=longer)}#{slug}"
        return More(text=text, action=f"Show {show_number(min(longer, of))}", href=address)

    def _downloads(self, slug: str) -> dict[str, str]:
        if not self.with_downloads:
            return {}
        return {
            file_format.upper(): reverse("dashboards:usage_download", args=[slug, file_format])
            + f"?{self.chosen.query}"
            for file_format in Format
        }


def user_cells(line: UserLine) -> Sequence[Cell]:
    """Return the row of a user, but for the name."""
    return cells(
        line.plan or "account deleted",
        line.uses,
        Cell(value=line.share, share=line.share),
        line.features,
        line.last_at,
    )


def limit_cells(line: LimitLine) -> Sequence[Cell]:
    """Return the row of a user and a limit, but for the name."""
    return cells(
        line.plan,
        Cell(value=line.title, note="a limit of their own" if line.overridden else ""),
        line.used,
        line.limit,
        Cell(
            value=line.ratio,
            tone=Tone.BAD if line.at_limit else Tone.WARNING,
            share=min(1.0, line.ratio),
        ),
        line.pace,
    )

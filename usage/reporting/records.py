"""What the reports of usage say: plain records, for pages and exports alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date, datetime

    from usage.limit_models import LimitOverride
    from usage.limits import FeatureStanding


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A figure beside that of the month before.

    Attributes:
        current: of the month, up to its last day or today.
        before: of the month before, up to the same day; None where that was never counted.
    """

    current: int
    before: int | None

    @property
    def difference(self) -> int | None:
        """How many more than before; None where that is not known."""
        return None if self.before is None else self.current - self.before

    @property
    def change(self) -> float | None:
        """The difference as a part of what was before; None where that was 0 or is not known."""
        return (self.current - self.before) / self.before if self.before else None


@dataclass(frozen=True, kw_only=True)
class Span:
    """Which days a report is about.

    Attributes:
        month: the first day of the month, in UTC.
        through: the last day that is in it: today in this month, else the month's last.
        days: how many days the month has.
        elapsed: the part of the month that is over, 0 to 1, to the second.
        previous: the first day of the month before.
        previous_through: the same day of the month before, or its last where it has no such day.
            For a month that is over it is the last one: whole months are compared.
        current: whether it is this month.
    """

    month: date
    through: date
    days: int
    elapsed: float
    previous: date
    previous_through: date
    current: bool


@dataclass(frozen=True, kw_only=True)
class FeatureLine:
    """Uses of a feature in the month.

    Attributes:
        feature: its name.
        title: as people read it; the name where the feature is not declared any more.
        uses: against the month before.
        users: how many used it; one is in as many lines as features were used.
        share: of all uses of the month, 0 to 1.
    """

    feature: str
    title: str
    uses: Comparison
    users: int
    share: float


@dataclass(frozen=True, kw_only=True)
class DayLine:
    """Uses on a day of the month, beside the same day of the month before. As of the last count.

    Attributes:
        number: 1 to 31. The days of the longer month are all there.
        uses: None on days to come, and on those that the month does not have.
        before: None on days that the month before does not have, or where it was never counted.
    """

    number: int
    uses: int | None
    before: int | None


@dataclass(frozen=True, kw_only=True)
class UserLine:
    """What a user has used in the month.

    Attributes:
        user_id: the account's number.
        name: may be empty, and whatever the customer wrote.
        email: for those who may see it; None where the account is gone.
        plan: the plan of today, FREE after a trial; None where the account is gone.
        uses: of all features.
        share: of all uses of the month, 0 to 1.
        features: how many features.
        last_at: when it was last written to.
    """

    user_id: int
    name: str
    email: str | None
    plan: str | None
    uses: int
    share: float
    features: int
    last_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class LimitLine:
    """A user who has used 80 % or more of a limit of the month.

    Attributes:
        user_id: the account's number.
        name: may be empty.
        email: for those who may see it.
        plan: the plan of today, FREE after a trial.
        feature: the feature's name.
        title: as people read it.
        used: in the month.
        limit: the limit of today.
        overridden: whether the limit is the user's own.
        pace: the part of the limit that is used, divided by the part of the month that is over. 1
            is just enough for the month; 2 is used up at half time.
    """

    user_id: int
    name: str
    email: str | None
    plan: str
    feature: str
    title: str
    used: int
    limit: int
    overridden: bool
    pace: float

    @property
    def ratio(self) -> float:
        """The part of the limit that is used: 1 is all, more than 1 is over it."""
        return self.used / self.limit

    @property
    def at_limit(self) -> bool:
        """Whether nothing is left."""
        return self.used >= self.limit


@dataclass(frozen=True, kw_only=True)
class RefusalLine:
    """Uses of a feature that were refused to users of a plan in the month.

    Attributes:
        feature: the feature's name.
        title: as people read it.
        plan: the plan that the user had then.
        refusals: how many.
        users: to how many users.
        last_at: the last one.
    """

    feature: str
    title: str
    plan: str
    refusals: int
    users: int
    last_at: datetime


@dataclass(frozen=True, kw_only=True)
class MonthReport:
    """How features were used in a month, by all users or by those of one plan.

    Rows without a user, which the production schema allows, are nobody's usage and left out.
    Plans and limits are those of today, also for months that are over: the past ones are not kept.
    Refusals alone have the plan of their time.

    Attributes:
        span: which days.
        plan: whose; None for all.
        uses: of all features.
        active_users: who used anything.
        refusals: uses that a plan or a limit did not admit.
        near_limit: users who have used 80 % or more of a limit of the month, and all of none.
        at_limit: users who have used all of a limit of the month, or more.
        features: by uses, the most first; those that were used in the month before alone come last.
        days: one for each day, for the line.
        users: those who used most, `listed` at most.
        limits: who is near or at a limit, the largest part used first, `listed` at most.
        limits_total: how many lines there are.
        refused: by refusals, the most first.
        listed: how many lines `users` and `limits` have at most.
        archived: whether a part of the month is in the archive. It is in all figures.
        counted_at: as of when `days` and everything from `before` is; None: never counted.
        refusals_since: the first day of which a refusal is kept; None where there is none.
    """

    span: Span
    plan: str | None
    uses: Comparison
    active_users: Comparison
    refusals: Comparison
    near_limit: Comparison
    at_limit: Comparison
    features: tuple[FeatureLine, ...]
    days: tuple[DayLine, ...]
    users: tuple[UserLine, ...]
    limits: tuple[LimitLine, ...]
    limits_total: int
    refused: tuple[RefusalLine, ...]
    listed: int
    archived: bool
    counted_at: datetime | None
    refusals_since: date | None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show: no feature was touched, and nothing was refused."""
        return not (self.features or self.refused)


@dataclass(frozen=True, kw_only=True)
class UserMonth:
    """What a user has used of a feature in a month.

    Attributes:
        month: its first day.
        feature: the feature's name.
        title: as people read it.
        uses: in that month.
        archived: whether a part of it is in the archive.
    """

    month: date
    feature: str
    title: str
    uses: int
    archived: bool


@dataclass(frozen=True, kw_only=True)
class UserEvent:
    """An event of the ledger.

    Attributes:
        event_id: its id.
        month: in which it counts.
        feature: the feature's name.
        title: as people read it.
        quantity: negative where something was given back.
        occurred_at: when.
        source: where from.
        reason: why, of a correction.
        adopted: whether somebody else wrote it into the month.
    """

    event_id: int
    month: date
    feature: str
    title: str
    quantity: int
    occurred_at: datetime
    source: str
    reason: str | None
    adopted: bool


@dataclass(frozen=True, kw_only=True)
class UserReport:
    """What a user is allowed and has used.

    Attributes:
        user_id: the account's number.
        standings: of every feature, in the price list's order.
        history: by month, the latest first, and feature.
        overrides: the user's own limits, with those that have ended.
        events: the last ones of the last two months that have any, the latest first.
        refused: uses that were refused in the last three months, by feature and plan.
    """

    user_id: int
    standings: tuple[FeatureStanding, ...]
    history: tuple[UserMonth, ...]
    overrides: tuple[LimitOverride, ...]
    events: tuple[UserEvent, ...]
    refused: tuple[RefusalLine, ...]

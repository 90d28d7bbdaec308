"""The features that plans differ by, declared once. Their limits are rows: see `limit_models`."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum

from usage.errors import UnknownFeatureError


class Kind(StrEnum):
    """What a plan says about a feature."""

    BOOLEAN = "boolean"  # it is there or not
    METERED = "metered"  # a number
    TIERED = "tiered"  # a word


class Per(StrEnum):
    """What the limit of a metered feature holds for.

    Uses in a month or in a lifetime are counted by the ledger. What an object or an account holds
    is known where it is kept, and is compared with the limit as it is told.
    """

    MONTH = "month"  # a calendar month in UTC
    LIFETIME = "lifetime"  # of the user's account, whatever plans it had
    OBJECT = "object"  # each thread, itinerary or view by itself
    ACCOUNT = "account"  # what the user has at any one time


COUNTED = frozenset({Per.MONTH, Per.LIFETIME})


@dataclass(frozen=True, kw_only=True)
class Feature:
    """Something that a plan allows, limits or leaves out.

    Attributes:
        name: as in the database, 50 characters at most.
        title: as people read it, in the plural where something is counted.
        kind: boolean, metered or tiered.
        one: what one use, or one of what is limited, is called.
        many: the plural of it.
        per: what a metered limit holds for, unless the plan says otherwise; None for the others.
        of: what the object is, where the limit is one for each object.
        tiers: the words of a tiered feature, the least first.
        tracked: whether it is one of the features whose uses the existing system records.
        lifetime_column: the column of `users` that counts it over all plans and months.
    """

    name: str
    title: str
    kind: Kind = Kind.BOOLEAN
    one: str = "use"
    many: str = "uses"
    per: Per | None = None
    of: str = ""
    tiers: tuple[str, ...] = ()
    tracked: bool = False
    lifetime_column: str | None = None

    @property
    def possible_per(self) -> tuple[Per, ...]:
        """What a limit of this feature can hold for: empty where nothing is counted."""
        if self.per is None:
            return ()
        return (self.per, Per.LIFETIME) if self.lifetime_column else (self.per,)


def _boolean(name: str, title: str, *, tracked: bool = False) -> Feature:
    return Feature(name=name, title=title, tracked=tracked)


def _tiered(name: str, title: str, *tiers: str, tracked: bool = False) -> Feature:
    return Feature(name=name, title=title, kind=Kind.TIERED, tiers=tiers, tracked=tracked)


def _metered(
    name: str,
    title: str,
    *,
    per: Per,
    one: str,
    many: str,
    of: str = "",
    tracked: bool = False,
    lifetime_column: str | None = None,
) -> Feature:
    return Feature(
        name=name,
        title=title,
        kind=Kind.METERED,
        per=per,
        one=one,
        many=many,
        of=of,
        tracked=tracked,
        lifetime_column=lifetime_column,
    )


# In the order of the price list.
FEATURES: tuple[Feature, ...] = (
    _metered(
        "chat_messages_monthly",
        "Chat messages",
        per=Per.MONTH,
        one="message",
        many="messages",
        tracked=True,
        lifetime_column="lifetime_chat_messages",
    ),
    _metered(
        "conversation_threads",
        "Active threads",
        per=Per.ACCOUNT,
        one="active thread",
        many="active threads",
    ),
    _metered(
        "messages_per_thread",
        "Messages of a thread",
        per=Per.OBJECT,
        of="thread",
        one="message",
        many="messages",
    ),
    _boolean("can_archive_threads", "Archiving threads"),
    _metered(
        "trip_planner_destinations",
        "Destinations of a trip",
        per=Per.OBJECT,
        of="itinerary",
        one="destination",
        many="destinations",
        tracked=True,
    ),
    _metered(
        "saved_searches",
        "Saved searches",
        per=Per.ACCOUNT,
        one="saved search",
        many="saved searches",
        tracked=True,
    ),
    _boolean("chat_export_pdf", "Chat export to PDF", tracked=True),
    _metered("pdf_exports_monthly", "PDF exports", per=Per.MONTH, one="export", many="exports"),
    _metered(
        "travel_assessments_monthly",
        "Travel assessments",
        per=Per.MONTH,
        one="assessment",
        many="assessments",
        tracked=True,
        lifetime_column="lifetime_travel_assessments",
    ),
    _metered(
        "weekly_digest_schedules",
        "Weekly digests",
        per=Per.ACCOUNT,
        one="schedule",
        many="schedules",
    ),
    _metered(
        "map_access_days", "Days on the map", per=Per.OBJECT, of="view", one="day", many="days"
    ),
    _metered(
        "timeline_days", "Days on the timeline", per=Per.OBJECT, of="view", one="day", many="days"
    ),
    _boolean("email_alerts", "Alerts by email"),
    _boolean("timeline_access", "Timeline"),
    _boolean("weekly_trends", "Weekly trends"),
    _boolean("map_filters", "Map filters"),
    _boolean("sms_alerts", "Alerts by SMS"),
    _boolean("geofenced_alerts", "Geofenced alerts"),
    _boolean("map_custom_filters", "Custom map filters"),
    _boolean("map_historical_playback", "Historical playback of the map"),
    _boolean("map_comparison_mode", "Comparison of maps"),
    _tiered("support_level", "Support", "email_48h", "email_24h", "priority_24h", "analyst_4h"),
    _boolean("route_analysis", "Route analysis", tracked=True),
    _boolean("safe_zones_overlay", "Safe zones on the map", tracked=True),
    _boolean("briefing_packages", "Briefing packages", tracked=True),
    _tiered("map_export", "Map export", "csv", "all", tracked=True),
    _metered(
        "team_users",
        "Team members",
        per=Per.ACCOUNT,
        one="team member",
        many="team members",
        tracked=True,
    ),
    _tiered("statistics_dashboard", "Statistics", "basic", "advanced", "custom"),
    _boolean("custom_reports", "Custom reports", tracked=True),
    _boolean("api_access", "API access", tracked=True),
    _boolean("analyst_access", "Access to an analyst", tracked=True),
    _boolean("monthly_briefing", "Monthly briefing", tracked=True),
)

_BY_NAME = {feature.name: feature for feature in FEATURES}


def find_feature(name: str) -> Feature:
    """Return the feature of this name.

    Raises:
        UnknownFeatureError: there is none; the message names the closest, or all.
    """
    try:
        return _BY_NAME[name]
    except (KeyError, TypeError):
        raise UnknownFeatureError(_unknown(name)) from None


def _unknown(name: object) -> str:
    close = difflib.get_close_matches(str(name), _BY_NAME, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(_BY_NAME)}."
    return f"No feature is called {name!r}. {hint} Features are declared in usage/features.py."

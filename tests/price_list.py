"""The price list, as the company wrote it, for tests to compare with."""

from __future__ import annotations

from dataclasses import dataclass

from usage import Kind, Per, find_feature

PLANS = ("FREE", "PRO", "BUSINESS", "ENTERPRISE")

PRICE_LIST = """
| chat_messages_monthly | 3 in a lifetime | 500 | 1,000 | 2,500 |
| conversation_threads (active) | 5 | 50 | 100 | unlimited |
| messages_per_thread | 3 | 50 | 100 | unlimited |
| can_archive_threads | no | yes | yes | yes |
| trip_planner_destinations (per itinerary) | 0 | 5 | 10 | unlimited |
| saved_searches | 0 | 3 | 10 | unlimited |
| chat_export_pdf | no | yes | yes | yes |
| pdf_exports_monthly | 1 | 10 | unlimited | unlimited |
| travel_assessments_monthly | 1 in a lifetime | unlimited | unlimited | unlimited |
| weekly_digest_schedules | 0 | 1 | 3 | unlimited |
| map_access_days | 2 | 30 | 90 | 365 |
| timeline_days | 0 | 30 | 90 | 365 |
| email_alerts, timeline_access, weekly_trends, map_filters | no | yes | yes | yes |
| sms_alerts, geofenced_alerts, map_custom_filters | no | no | yes | yes |
| map_historical_playback, map_comparison_mode | no | no | yes | yes |
| support_level | email_48h | email_24h | priority_24h | analyst_4h |
| route_analysis, safe_zones_overlay | no | no | yes | yes |
| briefing_packages | no | yes | yes | yes |
| map_export | no | csv | all | all |
| team_users | 0 | 0 | 3 | unlimited |
| statistics_dashboard | no | basic | advanced | custom |
| custom_reports, api_access, analyst_access, monthly_briefing | no | no | no | yes |
"""

LIMITS: dict[str, int | None] = {"no": 0, "yes": None, "unlimited": None}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one plan says of one feature."""

    feature: str
    plan: str
    limit: int | None
    per: Per | None
    tier: str | None

    def __str__(self) -> str:
        return f"{self.feature} of {self.plan}"


def read_cell(name: str, plan: str, written: str) -> Cell:
    """Return what a cell of the list means."""
    feature = find_feature(name)
    number = written.removesuffix(" in a lifetime").replace(",", "")
    is_word = feature.kind is Kind.TIERED and written != "no"
    return Cell(
        feature=name,
        plan=plan,
        limit=None if is_word else LIMITS[number] if number in LIMITS else int(number),
        per=Per.LIFETIME if written.endswith("in a lifetime") else feature.per,
        tier=written if is_word else None,
    )


def read_list() -> list[Cell]:
    """Return every cell of the list."""
    found = []
    for line in PRICE_LIST.strip().splitlines():
        names, *cells = (part.strip() for part in line.strip("|").split("|"))
        for name in names.split(", "):
            for plan, written in zip(PLANS, cells, strict=True):
                found.append(read_cell(name.split(" (")[0], plan, written))
    return found


CELLS = read_list()

"""Reports of usage, for pages and exports: each reads indexed rows, and never scans the ledger."""

from usage.reporting.lists import iterate_limits, iterate_users
from usage.reporting.months import ReportError, find_months
from usage.reporting.records import (
    Comparison,
    DayLine,
    FeatureLine,
    LimitLine,
    MonthReport,
    RefusalLine,
    Span,
    UserEvent,
    UserLine,
    UserMonth,
    UserReport,
)
from usage.reporting.report import report_month
from usage.reporting.user import report_user

__all__ = [
    "Comparison",
    "DayLine",
    "FeatureLine",
    "LimitLine",
    "MonthReport",
    "RefusalLine",
    "ReportError",
    "Span",
    "UserEvent",
    "UserLine",
    "UserMonth",
    "UserReport",
    "find_months",
    "iterate_limits",
    "iterate_users",
    "report_month",
    "report_user",
]

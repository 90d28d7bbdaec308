"""The navigation of the admin: the dashboards first, then the pages of the models by topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.urls import reverse

from sentinel.dashboards.permissions import Permission

if TYPE_CHECKING:
    from django.http import HttpRequest

# Title, icon (of Material Symbols), name of the address, permission, what it shows.
DASHBOARDS = (
    (
        "Usage",
        "bar_chart",
        "dashboards:usage",
        Permission.VIEW_USAGE,
        "What customers use in a month, who is near a limit, and who would pay for more.",
    ),
    (
        "Counter health",
        "verified",
        "dashboards:health",
        Permission.VIEW_HEALTH,
        "Whether every counter is exact, when that was last proved, and what was repaired.",
    ),
)
# Title, icon, model: every model of the admin is in one of them.
TOPICS = (
    (
        "Customers",
        (
            ("Users", "person", "accounts.user"),
            ("Threads", "forum", "threads.chatthread"),
            ("Messages", "chat", "threads.chatmessage"),
            ("Itineraries", "route", "itineraries.travelitinerary"),
        ),
    ),
    (
        "Metering",
        (
            ("Months", "calendar_month", "usage.featureusage"),
            ("Events", "receipt_long", "usage.featureusageevent"),
            ("Refusals", "block", "usage.featurerefusal"),
            ("Archived months", "inventory_2", "usage.featureusagearchive"),
            ("Archived events", "inventory", "usage.featureusageeventarchive"),
            ("Archive runs", "archive", "usage.archiverun"),
            ("Chat usage", "speed", "accounts.userusage"),
        ),
    ),
    (
        "Plans and limits",
        (
            ("Plans", "sell", "accounts.plan"),
            ("Limits of the plans", "tune", "usage.planlimit"),
            ("Limits of users", "person_alert", "usage.limitoverride"),
            ("Trials", "hourglass_top", "usage.plantrial"),
        ),
    ),
    (
        "Counters",
        (
            ("Audits", "fact_check", "counters.counteraudit"),
            ("Repair runs", "build", "counters.counterrepairrun"),
            ("Repaired rows", "healing", "counters.counterrepair"),
            ("Jobs", "pending_actions", "dashboards.counterjob"),
        ),
    ),
    ("Access", (("Groups", "group", "auth.group"),)),
)


def sidebar_groups(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups of the sidebar, for unfold: what the user of a request may see.

    A group that nothing is left of is not shown.
    """
    registered = {model._meta.label_lower: page for model, page in admin.site._registry.items()}
    dashboards = [
        {"title": title, "icon": icon, "link": reverse(address), "description": description}
        for title, icon, address, permission, description in DASHBOARDS
        if permission.is_held_by(request)
    ]
    return [
        {"title": None, "items": dashboards},
        *(
            {
                "title": topic,
                "separator": True,
                "items": [
                    {"title": title, "icon": icon, "link": _list_of(label)}
                    for title, icon, label in models
                    if registered[label].has_view_or_change_permission(request)
                ],
            }
            for topic, models in TOPICS
        ),
    ]


def _list_of(label: str) -> str:
    app, model = label.split(".")
    return reverse(f"admin:{app}_{model}_changelist")

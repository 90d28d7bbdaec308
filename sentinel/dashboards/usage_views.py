"""The page of usage, and its downloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils import timezone

from sentinel.dashboards.action_log import record_action
from sentinel.dashboards.exports import Format, download
from sentinel.dashboards.pages import admin_page, render_page
from sentinel.dashboards.people import naming_for
from sentinel.dashboards.permissions import Permission
from sentinel.dashboards.rows_behind import months_behind
from sentinel.dashboards.usage_downloads import SLUGS, read_contents
from sentinel.dashboards.usage_filters import read_usage_filter
from sentinel.dashboards.usage_page import describe_days, draw_days, summarise
from sentinel.dashboards.usage_tables import UsageTables
from usage.reporting import report_month

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, HttpResponseBase

    from sentinel.dashboards.usage_filters import UsageFilter


@admin_page(Permission.VIEW_USAGE)
def show_usage(request: HttpRequest) -> HttpResponse:
    """Show what was used in a month, by all users or those of a plan."""
    now = timezone.now()
    chosen = read_usage_filter(request.GET, now=now)
    report = report_month(month=chosen.month, plan=chosen.plan, listed=chosen.listed, now=now)
    tables = _tables_for(request, chosen=chosen)
    context = {
        "chosen": chosen,
        "report": report,
        "days": describe_days(report.span),
        "figures": summarise(report),
        "chart": draw_days(report, downloads=tables.days(report).downloads),
        "features": tables.features(report),
        "users": tables.users(report),
        "limits": tables.limits(report),
        "refusals": tables.refusals(report),
        "archive": months_behind(month=chosen.month, archived=True),
    }
    return render_page(request, "dashboards/usage.html", context, title="Usage")


@admin_page(Permission.VIEW_USAGE)
def download_usage(request: HttpRequest, slug: str, file_format: str) -> HttpResponseBase:
    """Send a table of the page as a file, with all of its lines."""
    if not Permission.EXPORT_USAGE.is_held_by(request):
        raise PermissionDenied
    if slug not in SLUGS or file_format not in set(Format):
        raise Http404(f"There is no table {slug}.{file_format}.")
    now = timezone.now()
    chosen = read_usage_filter(request.GET, now=now)
    columns, rows = read_contents(slug, tables=_tables_for(request, chosen=chosen), now=now)
    name = f"{chosen.file_name}-{slug}"
    record_action(request, subject=f"{name}.{file_format}", message="Downloaded.")
    return download(name=name, columns=columns, rows=rows, file_format=Format(file_format))


def _tables_for(request: HttpRequest, *, chosen: UsageFilter) -> UsageTables:
    return UsageTables(
        chosen=chosen,
        naming=naming_for(request),
        with_downloads=Permission.EXPORT_USAGE.is_held_by(request),
    )

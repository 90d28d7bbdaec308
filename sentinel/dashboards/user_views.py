"""The page of a user, and its downloads."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from sentinel.accounts.models import User
from sentinel.dashboards.action_log import record_action
from sentinel.dashboards.exports import Format, download
from sentinel.dashboards.pages import admin_page, render_page
from sentinel.dashboards.people import naming_for
from sentinel.dashboards.permissions import Permission
from sentinel.dashboards.tables import values_of
from sentinel.dashboards.user_holdings import find_holdings
from sentinel.dashboards.user_page import describe_user, draw_history
from sentinel.dashboards.user_tables import user_tables
from usage.reporting import report_user

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, HttpResponseBase


@admin_page(Permission.VIEW_USAGE)
def show_user(request: HttpRequest, user_id: int) -> HttpResponse:
    """Show what a user is allowed, has used, and has."""
    now = timezone.now()
    user = get_object_or_404(User, pk=user_id)
    naming = naming_for(request)
    report = report_user(user_id=user.pk, now=now)
    holdings = find_holdings(user_id=user.pk)
    may_edit = request.user.has_perm("accounts.view_user")
    context = {
        "person": user,
        "name": naming.name(user_id=user.pk, name=user.name, email=user.email),
        "email": naming.email(user.email),
        "account_href": reverse("admin:accounts_user_change", args=[user.pk]) if may_edit else "",
        "facts": describe_user(user, report=report, holdings=holdings),
        "chart": draw_history(report, now=now.astimezone(UTC)),
        "tables": user_tables(
            report,
            holdings=holdings,
            now=now,
            with_downloads=Permission.EXPORT_USAGE.is_held_by(request),
        ),
    }
    return render_page(request, "dashboards/user.html", context, title="Usage of a user")


@admin_page(Permission.VIEW_USAGE)
def download_user(
    request: HttpRequest, user_id: int, slug: str, file_format: str
) -> HttpResponseBase:
    """Send a table of the page as a file."""
    if not Permission.EXPORT_USAGE.is_held_by(request):
        raise PermissionDenied
    now = timezone.now()
    user = get_object_or_404(User, pk=user_id)
    tables = user_tables(
        report_user(user_id=user.pk, now=now),
        holdings=find_holdings(user_id=user.pk),
        now=now,
        with_downloads=False,
    )
    if slug not in tables or file_format not in set(Format):
        raise Http404(f"There is no table {slug}.{file_format}.")
    name = f"user-{user.pk}-{slug}"
    record_action(request, subject=f"{name}.{file_format}", message="Downloaded.")
    return download(
        name=name,
        columns=tables[slug].columns,
        rows=values_of(tables[slug].rows),
        file_format=Format(file_format),
    )

"""What stands before every page of the dashboards: log-in, permission, a bound on its time."""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db import OperationalError, connection, transaction
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.http import HttpRequest, HttpResponse, HttpResponseBase

    from sentinel.dashboards.permissions import Permission

    View = Callable[..., HttpResponseBase]

# Of one statement. A page takes well under a second; whoever has waited this long reloads, and
# the server would go on for nobody.
STATEMENT_SECONDS = 10
RETRY_SECONDS = "30"  # told to clients: long enough for a lock or a backup to be over


def admin_page(permission: Permission, *, one_snapshot: bool = True) -> Callable[[View], View]:
    """Make a view a page of the admin, for staff with a permission.

    It reads one snapshot, each statement for `STATEMENT_SECONDS` at most. Where the database does
    not answer, the page says so (503). So the view must render before it returns, as `render_page`
    does.

    Args:
        permission: without which the page is refused.
        one_snapshot: False where a row has to be read again, to see what became of it.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not permission.is_held_by(request):
                return _refuse(request)
            try:
                with _bounded_transaction(one_snapshot=one_snapshot):
                    return view(request, *args, **kwargs)
            except OperationalError:
                return _apologise(request)

        return admin.site.admin_view(require_safe(guarded))

    return decorate


def admin_action(permission: Permission) -> Callable[[View], View]:
    """Make a view something that staff with a permission may have done: POST, with a CSRF token.

    It has no transaction but those that it opens.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not permission.is_held_by(request):
                return _refuse(request)
            return view(request, *args, **kwargs)

        return admin.site.admin_view(require_POST(guarded))

    return decorate


def render_page(
    request: HttpRequest,
    template: str,
    context: dict[str, Any] | None = None,
    *,
    title: str,
    status: int = 200,
) -> HttpResponse:
    """Render a page of the admin, with its navigation.

    Args:
        request: of whoever looks.
        template: one that extends `dashboards/base.html`.
        context: what the template needs beside what all pages have.
        title: of the page; its only `h1`.
        status: of HTTP.
    """
    everywhere = admin.site.each_context(request)
    return render(request, template, everywhere | {"title": title} | (context or {}), status=status)


@contextmanager
def _bounded_transaction(*, one_snapshot: bool) -> Iterator[None]:
    is_outermost = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if one_snapshot and is_outermost:  # it must come before any query
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        bound = f"{STATEMENT_SECONDS}s"
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [bound])
        yield


def _refuse(request: HttpRequest) -> HttpResponse:
    return render_page(request, "dashboards/forbidden.html", title="Not for you", status=403)


def _apologise(request: HttpRequest) -> HttpResponse:
    answer = render_page(request, "dashboards/busy.html", title="The database is busy", status=503)
    answer["Retry-After"] = RETRY_SECONDS
    return answer

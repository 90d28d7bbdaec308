"""A gated view against the bare view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connection as django_connection
from django.http import HttpResponse
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from sentinel.accounts.models import User
from tests.benchmarks.measuring import milliseconds
from tests.benchmarks.peers import SENTINEL
from usage import feature_limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

    from tests.benchmarks.bench import Bench
    from tests.benchmarks.measuring import Way

BARE_QUERIES = 1  # the view asks the database for one thing, as most views do


def bare(_: HttpRequest) -> HttpResponse:
    """Read one row and answer."""
    with django_connection.cursor() as cursor:
        cursor.execute("SELECT email FROM users WHERE id = 1")
        cursor.fetchall()
    return HttpResponse("fine")


def measure(bench: Bench) -> None:
    """Call both views, and count their round trips."""
    gated = feature_limit("pdf_exports_monthly")(bare)
    with bench.database.connect() as connection:
        bench.create(connection, SENTINEL)
    user = User.objects.get(pk=1)

    def ask(view: Callable[[HttpRequest], HttpResponse]) -> None:
        request = RequestFactory().get("/")
        request.user = user
        response = view(request)
        assert response.status_code == 200, response.content

    def asking(view: Callable[[HttpRequest], HttpResponse]) -> Way:
        number = bench.sizes.uses
        return lambda: milliseconds(lambda: ask(view), times=number)

    trips = {}
    for name, view in (("bare", bare), ("gated", gated)):
        with CaptureQueriesContext(django_connection) as queries:
            ask(view)
        trips[name] = len(queries)
    bench.keep("gated view, round trips", "more", trips["gated"] - trips["bare"], unit="more")
    bench.compare("gated view", {"bare": asking(bare), "gated": asking(gated)})

"""Addresses with gates, for tests: one for every feature, and one for every kind of view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View

from usage import FEATURES, Feature, Kind, feature_limit, feature_required, feature_tier

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase

FINE = {"fine": True}


class ViewError(Exception):
    """What a view raises here."""


def read_amount(request: HttpRequest, *_: Any, **__: Any) -> int:
    return int(request.GET.get("asks", 1))


async def read_amount_async(request: HttpRequest) -> int:
    return read_amount(request)


def lose_connection(_: HttpRequest) -> int:
    """What an administrator, a failover or a stopped server does to a session."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [(session,)] = cursor.fetchall()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [session])
    other.close()
    return 1


def count_users() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM users")
        return cursor.fetchall()[0][0]


def gated_view(feature: Feature) -> Any:
    def view(_: HttpRequest) -> HttpResponse:
        return JsonResponse(FINE)

    if feature.kind is Kind.BOOLEAN:
        return feature_required(feature.name)(view)
    if feature.kind is Kind.METERED:
        return feature_limit(feature.name, usage_getter=read_amount)(view)
    return feature_tier(feature.name)(view)


@feature_limit("pdf_exports_monthly", usage_getter=read_amount)
def export(request: HttpRequest) -> HttpResponseBase:
    """Answers and fails as it is told to."""
    match request.GET.get("then"):
        case "raise":
            raise ViewError
        case "break the transaction":
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 / 0")
        case "roll back":
            transaction.set_rollback(True)
            return HttpResponse(status=500)
        case "lose the connection":
            lose_connection(request)
            return HttpResponse(status=500)
        case "stream":
            return StreamingHttpResponse(iter([b"a", b"b"]))
        case "stream an error":
            return StreamingHttpResponse(iter([b"a"]), status=502)
    return HttpResponse(status=int(request.GET.get("status", 200)))


@feature_limit("pdf_exports_monthly", usage_getter=read_amount)
async def export_async(request: HttpRequest) -> HttpResponse:
    if request.GET.get("then") == "raise":
        raise ViewError
    return HttpResponse(status=int(request.GET.get("status", 200)))


class Methods(View):
    """Only what changes something is gated."""

    def get(self, _: HttpRequest) -> HttpResponse:
        return JsonResponse(FINE)

    @feature_limit("pdf_exports_monthly")
    def post(self, _: HttpRequest) -> HttpResponse:
        return JsonResponse(FINE)


@method_decorator(feature_limit("pdf_exports_monthly"), name="post")
class DecoratedMethod(Methods):
    """Its method has two gates: of a limit of 1 it takes 2, and gives the outer one back."""


@feature_limit("pdf_exports_monthly")
class Whole(View):
    def get(self, _: HttpRequest) -> HttpResponse:
        return JsonResponse(FINE)


@feature_limit("pdf_exports_monthly")
class WholeAsync(View):
    async def get(self, _: HttpRequest) -> HttpResponse:
        return JsonResponse(FINE)


@method_decorator(feature_limit("pdf_exports_monthly"), name="dispatch")
class DecoratedDispatch(View):
    async def get(self, _: HttpRequest) -> HttpResponse:
        return JsonResponse(FINE)


@feature_tier("map_export", allow_values=("all",))
def export_everything(_: HttpRequest) -> HttpResponse:
    return JsonResponse(FINE)


@feature_required("api_access", required_plan="PRO")
def call_api(_: HttpRequest) -> HttpResponse:
    return JsonResponse(FINE)


@feature_required("route_analysis", required_plan="ENTERPRISE")
def analyse_route(_: HttpRequest) -> HttpResponse:
    return JsonResponse(FINE)


@feature_limit(
    "trip_planner_destinations",
    usage_getter=read_amount,
    allow_zero_usage=False,
    disabled_message="Trips are planned on paid plans.",
    limit_message_template="{provided} of {limit} {many}: take {required_plan}.",
)
def plan_trip(_: HttpRequest) -> HttpResponse:
    return JsonResponse(FINE)


@feature_limit("pdf_exports_monthly", usage_getter=read_amount_async)
async def export_many(_: HttpRequest) -> HttpResponse:
    return JsonResponse(FINE)


@feature_required("chat_export_pdf")
@feature_limit("pdf_exports_monthly")
def export_chat(_: HttpRequest) -> HttpResponse:
    return JsonResponse(FINE)


@feature_limit("pdf_exports_monthly", track_usage=False)
def preview(_: HttpRequest) -> HttpResponse:
    return JsonResponse(FINE)


@feature_required("email_alerts")
def count(_: HttpRequest) -> HttpResponse:
    return JsonResponse({"users": count_users()})


@feature_limit("pdf_exports_monthly", usage_getter=lose_connection)
def count_after_loss(_: HttpRequest) -> HttpResponse:
    return JsonResponse({"users": count_users()})


@feature_limit("pdf_exports_monthly")
def export_by_service(request: HttpRequest) -> HttpResponse:
    make_report(user=request.user)
    return JsonResponse(FINE)


@feature_required("custom_reports")
def make_report(*, user: Any) -> str:
    return f"report of {user.pk}"


def report(request: HttpRequest) -> HttpResponse:
    return HttpResponse(make_report(user=request.user))


urlpatterns = [
    *(path(f"features/{feature.name}", gated_view(feature)) for feature in FEATURES),
    path("export", export),
    path("export-async", export_async),
    path("methods", Methods.as_view()),
    path("decorated-method", DecoratedMethod.as_view()),
    path("whole", Whole.as_view()),
    path("whole-async", WholeAsync.as_view()),
    path("decorated-dispatch", DecoratedDispatch.as_view()),
    path("everything", export_everything),
    path("call-api", call_api),
    path("analyse-route", analyse_route),
    path("plan-trip", plan_trip),
    path("export-many", export_many),
    path("export-chat", export_chat),
    path("preview", preview),
    path("count", count),
    path("count-after-loss", count_after_loss),
    path("export-by-service", export_by_service),
    path("report", report),
]

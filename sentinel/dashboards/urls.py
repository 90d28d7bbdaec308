"""Addresses of the dashboards."""

from __future__ import annotations

from django.urls import path

from sentinel.dashboards import health_views, job_views, usage_views, user_views

app_name = "dashboards"
urlpatterns = [
    path("usage/", usage_views.show_usage, name="usage"),
    path("usage/<slug:slug>.<slug:file_format>", usage_views.download_usage, name="usage_download"),
    path("usage/users/<int:user_id>/", user_views.show_user, name="user"),
    path(
        "usage/users/<int:user_id>/<slug:slug>.<slug:file_format>",
        user_views.download_user,
        name="user_download",
    ),
    path("counters/", health_views.show_health, name="health"),
    path("counters/audit/", job_views.confirm_audit, name="confirm-audit"),
    path("counters/audit/start/", job_views.start_audit, name="start-audit"),
    path("counters/repair/", job_views.confirm_repair, name="confirm-repair"),
    path("counters/repair/start/", job_views.start_repair, name="start-repair"),
    path("counters/jobs/<int:number>/", job_views.show_job, name="job"),
    path("counters/jobs/<int:number>/state/", job_views.tell_job, name="job-state"),
]

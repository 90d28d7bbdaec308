"""Addresses: the API, the admin, and the way there."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from sentinel.api import api

admin.site.index_title = "Counters, and what they count"
admin.site.index_template = "dashboards/index.html"

urlpatterns = [
    path("api/", api.urls),
    path("admin/dashboards/", include("sentinel.dashboards.urls")),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]

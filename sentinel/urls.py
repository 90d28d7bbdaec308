"""Addresses: the API, the admin, and the way there."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from sentinel.api import api

admin.site.site_header = admin.site.site_title = "Sentinel"
admin.site.index_title = "Counters, and what they count"

urlpatterns = [
    path("api/", api.urls),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]

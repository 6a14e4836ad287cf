"""Addresses: the admin with RQ's own pages in it, and the endpoints that jobs call."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from schedules.views.dashboard import dashboard
from schedules.views.health import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("health", health, name="health"),
    path("admin/schedules/", admin.site.admin_view(dashboard), name="dashboard"),
    path("admin/", admin.site.urls),
    path("v1/jobs/", include("schedules.router.urls")),
]

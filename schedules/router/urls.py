"""The endpoints' addresses: `path("v1/jobs/", include("schedules.router.urls"))`.

Modules named `job_endpoints` of the installed apps are imported, so that their functions are known.
"""

from __future__ import annotations

from django.urls import path
from django.utils.module_loading import autodiscover_modules

from schedules.router.views import job_view

app_name = "schedules_router"
urlpatterns = [path("<path:name>", job_view, name="job")]

autodiscover_modules("job_endpoints")

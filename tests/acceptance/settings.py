"""Settings of the processes that acceptance tests start: the project's own, and one more app with jobs."""

from __future__ import annotations

from scheduler_project.settings import *  # noqa: F403
from scheduler_project.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.acceptance.newsroom"]
# The slow ones cost most of a log-in's time.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

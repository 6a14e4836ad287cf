"""The demo backend: what the schedule `breaking-news` calls over HTTP."""

from __future__ import annotations

from django.utils import timezone

from schedules.router import job_endpoint


@job_endpoint("breaking-news")
def breaking_news() -> dict[str, str]:
    """Answer with the time."""
    return {"news": "Nothing is broken.", "at": timezone.now().isoformat()}

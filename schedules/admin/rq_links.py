"""Links to django-rq's pages, which show what RQ knows of a job for as long as RQ keeps it."""

from __future__ import annotations

from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_rq.settings import get_queues_map

from schedules.validators import visible_text


def job_link(queue: str, job_id: str) -> str | SafeString:
    """Return the job's id, linked to its page where that exists. Asks nobody: RQ may have dropped the job."""
    index = get_queues_map().get(queue)
    shown = visible_text(job_id)
    if index is None or not job_id:
        return shown
    try:
        address = reverse("admin:django_rq_job_detail", args=[index, job_id])
    except NoReverseMatch:  # RQ_SHOW_ADMIN_LINK = False
        return shown
    return format_html('<a href="{}">{}</a>', address, shown)

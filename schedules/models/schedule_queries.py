"""Questions to the schedules, as a queryset."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import connections, models
from django.db.models import Q, Value
from django.db.models.functions import Cast, StrIndex

from schedules import validators

if TYPE_CHECKING:
    from schedules.models.schedule import Schedule  # noqa: F401 - named in an annotation only


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    """Questions to the schedules."""

    def wanted(self) -> ScheduleQuerySet:
        """Those that Redis should hold, as far as the database can tell: see `Schedule.wanted`."""
        return self.filter(enabled=True).exclude(paused_at__isnull=False, paused_until__isnull=True)

    def paused(self, now: datetime) -> ScheduleQuerySet:
        """Those that are paused at `now`."""
        return self.filter(Q(paused_until__isnull=True) | Q(paused_until__gt=now), paused_at__isnull=False)

    def tagged(self, tag: str) -> ScheduleQuerySet:
        """Those with exactly this tag."""
        if self.db_vendor == "postgresql":
            return self.filter(tags__contains=[tag])
        # SQLite has no containment of JSON, and its LIKE takes "Shop" for "shop".
        place = StrIndex(Cast("tags", models.TextField()), Value(validators.json_text(tag)))
        return self.alias(_tag_place=place).filter(_tag_place__gt=0)

    @property
    def db_vendor(self) -> str:
        """The kind of database behind this query."""
        return connections[self.db].vendor

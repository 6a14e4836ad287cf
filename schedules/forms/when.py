"""The fields that say when: shared by the form and by its preview, so that both read the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from schedules.forms.fields import IntervalField, MomentField, aware
from schedules.models import Kind, Schedule
from schedules.timing import TimingError, check_timezone

MOMENTS: Final = ("run_at", "starts_at", "ends_at")
WHEN: Final = ("kind", "interval", "cron", "timezone", *MOMENTS, "max_runs", "jitter")
KINDS: Final = ((Kind.CRON, _("Cron")), (Kind.INTERVAL, _("Every")), (Kind.ONCE, _("Once")))
LONGEST_INPUT: Final = 255

if TYPE_CHECKING:
    Mixin = forms.BaseForm
else:
    Mixin = object


class WhenMixin(Mixin):
    """Puts the moments of a form on the clock of the zone that was entered beside them."""

    def set_zones(self, name: str) -> None:
        """Show stored moments on the clock of this zone."""
        zone = known_zone(name)
        for field in MOMENTS:
            if field in self.fields:
                self.fields[field].zone = zone or UTC  # type: ignore[attr-defined]

    def place_moments(self, cleaned: dict[str, Any], *, stored: Schedule | None = None) -> None:
        """Make the moments of `cleaned` aware; one that was left as it was stays to the microsecond."""
        zone = known_zone(cleaned.get("timezone") or "")
        if zone is None:
            return  # told at its own field
        for name in MOMENTS:
            moment = cleaned.get(name)
            if not isinstance(moment, datetime):
                continue
            before = getattr(stored, name) if stored is not None else None
            if before is not None and stored is not None and str(stored.timezone) == str(zone):
                shown = before.astimezone(zone).replace(tzinfo=None, microsecond=0)
                if moment == shown:
                    cleaned[name] = before
                    continue
            try:
                cleaned[name] = aware(moment, zone)
            except ValidationError as error:
                self.add_error(name, error)


class WhenForm(WhenMixin, forms.Form):
    """The part of the form that a preview needs, from a query or from a whole form."""

    kind = forms.ChoiceField(choices=KINDS)
    interval = IntervalField(required=False)
    cron = forms.CharField(required=False, max_length=LONGEST_INPUT)
    timezone = forms.CharField(max_length=64)
    run_at = MomentField(required=False)
    starts_at = MomentField(required=False)
    ends_at = MomentField(required=False)
    max_runs = forms.IntegerField(required=False)
    jitter = forms.IntegerField(required=False)

    def clean(self) -> dict[str, Any]:
        """Place the moments."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        self.place_moments(cleaned)
        return cleaned


def known_zone(name: str) -> tzinfo | None:
    """Return the zone of that name; None: there is none."""
    try:
        check_timezone(name)
        return ZoneInfo(name)
    except (TimingError, KeyError, ValueError, OSError):
        return None


def when_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of When out of a query or a form, for `WhenForm`; the rest is not looked at."""
    names = [*WHEN, *(f"{name}_{part}" for name in MOMENTS for part in (0, 1))]
    return {name: str(data.get(name) or "")[: LONGEST_INPUT + 1] for name in names if name in data}

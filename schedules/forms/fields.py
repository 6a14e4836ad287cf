"""Fields that read what people write: intervals, tags, and moments on the clock of the schedule's zone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _

from schedules.timing import TimingError, parse_interval
from schedules.translating import translated

LONGEST: Final = 255
"""Characters of one line that are read; what is longer is refused by its own rule."""


class IntervalField(forms.Field):
    """Seconds, as a number or as people say it: `90`, `15m`, `1h 30m`. Zero or less means not scheduled."""

    widget = forms.TextInput

    def to_python(self, value: Any) -> int | None:
        """Read seconds.

        Raises:
            ValidationError: it is none.
        """
        if value in self.empty_values:
            return None
        if isinstance(value, int):
            return value
        text = str(value).strip()[:LONGEST]
        if text.lstrip("+-").isdecimal() and len(text) < 20:
            return int(text)
        try:
            return parse_interval(text)
        except TimingError as error:
            raise ValidationError(translated(error)) from None


class TagsField(forms.Field):
    """Texts, separated by commas; a JSON list is read as well."""

    widget = forms.TextInput

    def prepare_value(self, value: Any) -> Any:
        """Show a list as people write it; what a comma would break stays JSON."""
        if not isinstance(value, list):
            return value
        if all(isinstance(tag, str) and "," not in tag and not tag.startswith("[") for tag in value):
            return ", ".join(value)
        return json.dumps(value, ensure_ascii=False)

    def to_python(self, value: Any) -> Any:
        """Read the tags; the model says what is wrong with one."""
        if value in self.empty_values:
            return []
        if isinstance(value, list):
            return value
        text = str(value).strip()
        if text.startswith(("[", "{")):
            try:
                return json.loads(text)
            except (ValueError, RecursionError):
                raise ValidationError(_("Give texts, separated by commas.")) from None
        return [tag.strip() for tag in text.split(",") if tag.strip()]


class MomentInput(forms.DateTimeInput):
    """A date and a time in one input; what the admin's pair of inputs sends is read as well."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(attrs={"step": "1"})

    def format_value(self, value: Any) -> str | None:
        """Show the text as it is: `MomentField.prepare_value` has made it."""
        return None if value in (None, "") else str(value)

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        """Read `name`, or else the date and the time apart."""
        if data.get(name):
            return data.get(name)
        parts = [str(data.get(f"{name}_{part}") or "").strip() for part in (0, 1)]
        return " ".join(part for part in parts if part)

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        """Whether neither form of it was sent."""
        return name not in data and f"{name}_0" not in data


class MomentField(forms.Field):
    """A moment on the clock of `zone`: naive until the form knows the zone that was entered beside it."""

    widget = MomentInput
    zone: tzinfo = UTC

    def prepare_value(self, value: Any) -> Any:
        """Show a stored moment as the clock of the zone has it."""
        if not isinstance(value, datetime):
            return value
        local = value.astimezone(self.zone) if value.tzinfo is not None else value
        return local.replace(tzinfo=None, microsecond=0).isoformat()

    def to_python(self, value: Any) -> datetime | None:
        """Read a moment; with an offset in it, it is aware.

        Raises:
            ValidationError: it is none.
        """
        if value in self.empty_values:
            return None
        if isinstance(value, datetime):
            return value
        text = str(value).strip()[:LONGEST]
        try:
            moment = parse_datetime(text)
        except ValueError:
            moment = None
        if moment is None:
            raise ValidationError(
                _("%(value)s is not a date with a time; give for example 2030-01-31 09:00."),
                params={"value": ascii(text[:60])},
            )
        return moment

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare what is shown, which has no fractions of a second."""
        return str(self.prepare_value(initial) or "") != str(data or "")


def aware(moment: datetime, zone: tzinfo) -> datetime:
    """Return the moment at which the clocks of `zone` show `moment`; of two, the first.

    Raises:
        ValidationError: they never show it.
    """
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    found = moment.replace(tzinfo=zone).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) != moment:
        raise ValidationError(
            _("%(moment)s does not exist in %(zone)s: the clocks go forward then."),
            params={"moment": moment.isoformat(sep=" "), "zone": str(zone)},
        )
    return found

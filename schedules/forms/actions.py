"""The forms of the questions that are asked before something is done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from schedules.forms.errors import VisibleErrors
from schedules.forms.fields import MomentField, aware
from schedules.forms.when import known_zone
from schedules.validators import check_plain_text


class RunForm(forms.Form):
    """Arguments for one run."""

    def __init__(self, data: Any = None, *, initial: Any = None) -> None:
        super().__init__(data, initial=initial, error_class=VisibleErrors)

    args = forms.JSONField(
        label=gettext_lazy("Positional arguments"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "cols": 60, "spellcheck": "false"}),
    )
    kwargs = forms.JSONField(
        label=gettext_lazy("Named arguments"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "cols": 60, "spellcheck": "false"}),
    )

    def clean_args(self) -> Any:
        """An emptied field is an empty list."""
        value = self.cleaned_data["args"]
        return [] if value is None else value

    def clean_kwargs(self) -> Any:
        """An emptied field is an empty object."""
        value = self.cleaned_data["kwargs"]
        return {} if value is None else value


class PauseForm(forms.Form):
    """Why, and until when."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=500,
        required=False,
        validators=[check_plain_text],
        widget=forms.TextInput(attrs={"size": 60}),
    )
    until = MomentField(
        label=gettext_lazy("Until"),
        required=False,
        help_text=gettext_lazy("Empty: until somebody resumes it."),
    )

    def __init__(self, data: Any = None, *, zone_name: str, reason_required: bool = False) -> None:
        super().__init__(data, error_class=VisibleErrors)
        self.zone = known_zone(zone_name) or UTC
        self.fields["reason"].required = reason_required
        self.fields["until"].help_text = _("On the clock of %(zone)s. Empty: until somebody resumes it.") % {
            "zone": str(self.zone)
        }

    @property
    def is_counted(self) -> bool:
        """Whether it was sent to see what a pause would leave out, and not to pause."""
        return self.is_bound and "_count" in self.data

    @property
    def end(self) -> datetime | None:
        """The end that was entered, as far as it can be read."""
        if not self.is_bound:
            return None
        self.is_valid()
        moment: datetime | None = self.cleaned_data.get("until")
        return moment

    def clean_until(self) -> datetime | None:
        """Read the moment in the zone; it lies ahead."""
        moment: datetime | None = self.cleaned_data["until"]
        if moment is None:
            return None
        until = aware(moment, self.zone)
        if until <= timezone.now():
            raise ValidationError(_("This is in the past; give a moment that lies ahead."))
        return until

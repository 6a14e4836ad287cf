"""Add or change a schedule: a function or an HTTP request, when, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from schedules.conf import conf
from schedules.forms.errors import VisibleErrors
from schedules.forms.fields import IntervalField, MomentField, TagsField
from schedules.forms.http_request import (
    DEFAULTS,
    JOB_REQUEST,
    REQUEST_FIELDS,
    RequestForm,
    arguments_of,
    fields_of,
    request_of,
)
from schedules.forms.stale import differences
from schedules.forms.when import KINDS, WhenMixin
from schedules.models import Schedule
from schedules.targets import Target, registered_targets
from schedules.validators import visible_text

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Schedule]
else:  # generic for the type checker alone
    ModelForm = forms.ModelForm

FUNCTION: Final = "function"
REQUEST: Final = "request"
TARGET_FIELDS: Final = ("func", "args", "kwargs")


class FunctionSelect(forms.Select):
    """A select whose options carry what is known of the function, for the hint beside it."""

    targets: ClassVar[dict[str, Target]] = {}

    def create_option(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Add docstring, signature and proposed queue."""
        option = super().create_option(*args, **kwargs)
        target = self.targets.get(str(option["value"]))
        if target is not None:
            option["attrs"] |= {
                "data-doc": target.doc,
                "data-signature": target.signature_text,
                "data-queue": target.queue,
            }
        return option


class ScheduleForm(WhenMixin, RequestForm, ModelForm):
    """Add or change a schedule; `Schedule.full_clean` decides, so that code and form are told the same."""

    free_targets: ClassVar[bool] = False
    """Whether this user may type a function that is not in the list."""
    is_preview: ClassVar[bool] = False
    """Whether it was sent to be looked at, and not to be saved."""

    what = forms.ChoiceField(
        label=pgettext_lazy("what it runs", "Runs"),
        choices=((FUNCTION, gettext_lazy("A function")), (REQUEST, gettext_lazy("An HTTP request"))),
        widget=forms.RadioSelect,
        required=False,
    )
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    kind = forms.ChoiceField(label=gettext_lazy("Kind"), choices=KINDS, widget=forms.RadioSelect)
    interval = IntervalField(
        label=gettext_lazy("Every"),
        required=False,
        help_text=gettext_lazy("Seconds, or 15m, 1h 30m, 2d. Zero or less: not scheduled."),
    )
    tags = TagsField(
        label=gettext_lazy("Tags"), required=False, help_text=gettext_lazy("Separated by commas.")
    )
    run_at = MomentField(label=gettext_lazy("Run at"), required=False)
    starts_at = MomentField(
        label=gettext_lazy("Starts"), required=False, help_text=gettext_lazy("Empty: at once.")
    )
    ends_at = MomentField(
        label=gettext_lazy("Ends"), required=False, help_text=gettext_lazy("Empty: never. Not included.")
    )

    class Meta:
        model = Schedule
        # Every field that is editable; the admin's fieldsets say which and in what order.
        fields = "__all__"
        widgets: ClassVar[dict[str, Any]] = {
            "name": forms.TextInput(attrs={"size": 50}),
            "description": forms.Textarea(attrs={"rows": 2, "cols": 70}),
            "args": forms.Textarea(attrs={"rows": 2, "cols": 70, "spellcheck": "false"}),
            "kwargs": forms.Textarea(attrs={"rows": 2, "cols": 70, "spellcheck": "false"}),
            "cron": forms.TextInput(
                attrs={"size": 30, "list": "sch-crons", "spellcheck": "false", "autocomplete": "off"}
            ),
            "timezone": forms.TextInput(attrs={"size": 30, "list": "sch-zones", "autocomplete": "off"}),
            "notify_email": forms.Textarea(attrs={"rows": 2, "cols": 70}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"error_class": VisibleErrors, **kwargs})
        self.before: dict[str, Any] = {}
        """The stored values, by name of the field; empty for a new schedule."""
        if not self.instance._state.adding:
            self.before = {
                field.attname: getattr(self.instance, field.attname)
                for field in Schedule._meta.concrete_fields
                if field.editable
            }
            self.initial["version"] = self.instance.version
        self.set_zones(str(self.initial.get("timezone") or self.instance.timezone))
        self._set_up_request()
        if "queue" in self.fields:
            self._choose("queue", [(name, name) for name in conf.queues])
        if "func" in self.fields and not (self.free_targets and conf.free_targets):
            self.targets = {target.path: target for target in registered_targets()}
            self._choose("func", [("", _("Choose a function")), *self._functions()])
            widget = FunctionSelect(choices=cast("Any", self.fields["func"]).choices)
            widget.targets = self.targets  # type: ignore[misc]
            self.fields["func"].widget = widget
            self.fields["func"].help_text = ""
        for name in ("cron", "interval", "run_at"):
            if name in self.fields:
                # Which of the three is needed depends on the kind: the model says so, at the field.
                self.fields[name].required = False

    @property
    def sends_request(self) -> bool:
        """Whether it was filled in as an HTTP request."""
        return self.is_bound and "what" in self.fields and self["what"].value() == REQUEST

    def is_valid(self) -> bool:
        """Whether it is to be saved: nothing is wrong, and it was not sent for a preview alone."""
        return super().is_valid() and not self.is_preview

    def clean(self) -> dict[str, Any]:
        """Read the request where one was filled in, place the moments, and see that nobody was faster."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.sends_request:
            request, problems = request_of(cleaned)
            for field, texts in problems.items():
                if field not in self.errors:
                    self.add_error(field, texts)
            cleaned["func"] = JOB_REQUEST
            cleaned["args"], cleaned["kwargs"] = arguments_of(
                request, before=self.instance.kwargs if self.instance.func == JOB_REQUEST else None
            )
        stored = None if self.instance._state.adding else self.instance
        self.place_moments(cleaned, stored=stored)
        if stored is not None:
            self._check_version(cleaned)
        return cleaned

    def add_error(self, field: str | None, error: Any) -> None:
        """Keep errors of fields that this user does not see: told at the top, under the field's name."""
        if field is None and isinstance(error, ValidationError) and hasattr(error, "error_dict"):
            told: dict[str, list[ValidationError]] = {}
            for name, problems in error.error_dict.items():
                if self.sends_request and name in TARGET_FIELDS:
                    # The parts of the request have been asked one by one: this is the same again.
                    if not any(part in self.errors for part in REQUEST_FIELDS):
                        told.setdefault("request_url", []).extend(problems)
                elif name == NON_FIELD_ERRORS or name in self.fields:
                    told.setdefault(name, []).extend(problems)
                else:
                    label = Schedule._meta.get_field(name).verbose_name  # type: ignore[union-attr]
                    told.setdefault(NON_FIELD_ERRORS, []).extend(
                        ValidationError(f"{label}: {message}")
                        for each in problems
                        for message in each.messages
                    )
            error = ValidationError(told)
        super().add_error(field, error)

    def _check_version(self, cleaned: dict[str, Any]) -> None:
        """Refuse to overwrite what somebody saved after this form was opened, and say what differs."""
        seen = cleaned.get("version")
        if seen is None or seen == self.instance.version:
            return
        for text in differences(self, cleaned):
            self.add_error(None, text)
        # Sent again, knowing all this, it is saved.
        data: Any = self.data.copy()  # type: ignore[attr-defined]
        data[self.add_prefix("version")] = str(self.instance.version)
        self.data = data

    def _set_up_request(self) -> None:
        if "what" not in self.fields:
            return
        if not all(name in self.fields for name in TARGET_FIELDS):
            # Whoever may not see or change the function and its arguments has no other way to them either.
            for name in ("what", *REQUEST_FIELDS):
                self.fields.pop(name, None)
            return
        values = None
        if (self.initial.get("func") or self.instance.func) == JOB_REQUEST:
            values = fields_of(
                self.initial.get("args") or self.instance.args or [],
                self.initial.get("kwargs") or self.instance.kwargs or {},
            )
        self.initial.setdefault("what", FUNCTION if values is None else REQUEST)
        for name, value in (values or DEFAULTS).items():
            self.initial.setdefault(name, value)
        if self.sends_request:
            for name in TARGET_FIELDS:
                self.fields[name].required = False

    def _functions(self) -> list[tuple[str, str]]:
        return [
            (target.path, target.path if target.label == target.path else f"{target.label} ({target.path})")
            for target in self.targets.values()
        ]

    def _choose(self, name: str, choices: list[tuple[str, Any]]) -> None:
        """Make a text field a select; a value that has gone from the list stays, so that the model can say why."""
        bound = self.data.get(self.add_prefix(name)) if self.is_bound else None
        present = {value for value, _label in choices}
        for value in (self.initial.get(name), bound):
            if value and value not in present:
                choices.append((value, _("%(value)s (not found)") % {"value": visible_text(str(value))}))
                present.add(value)
        old = self.fields[name]
        self.fields[name] = forms.ChoiceField(
            choices=choices,
            label=old.label,
            help_text=old.help_text,
            required=old.required,
            initial=old.initial,
        )

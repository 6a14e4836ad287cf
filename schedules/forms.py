"""The form of a schedule: what a person fills in, and what is said back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils.translation import gettext_lazy as _

from schedules.conf import conf
from schedules.models import Schedule
from schedules.targets import registered_targets

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Schedule]
else:  # generic for the type checker alone
    ModelForm = forms.ModelForm


class ScheduleForm(ModelForm):
    """Add or change a schedule; `Schedule.full_clean` decides, so that code and form are told the same."""

    free_targets: ClassVar[bool] = False
    """Whether this user may type a function that is not in the list."""

    class Meta:
        model = Schedule
        # Every field that is editable; the admin's fieldsets say which and in what order.
        fields = "__all__"
        widgets: ClassVar[dict[str, Any]] = {
            "name": forms.TextInput(attrs={"size": 60}),
            "description": forms.Textarea(attrs={"rows": 2, "cols": 80}),
            "args": forms.Textarea(attrs={"rows": 2, "cols": 80, "spellcheck": "false"}),
            "kwargs": forms.Textarea(attrs={"rows": 3, "cols": 80, "spellcheck": "false"}),
            "tags": forms.TextInput(attrs={"size": 60}),
            "notify_email": forms.Textarea(attrs={"rows": 2, "cols": 80}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "queue" in self.fields:
            self._choose("queue", [(name, name) for name in conf.queues])
        if "func" in self.fields and not (self.free_targets and conf.free_targets):
            self._choose("func", [("", _("Choose a function")), *self._functions()])
        for name in ("cron", "interval", "run_at"):
            if name in self.fields:
                # Which of the three is needed depends on the kind: the model says so, at the field.
                self.fields[name].required = False

    def add_error(self, field: str | None, error: Any) -> None:
        """Keep errors of fields that this user does not see: told at the top, under the field's name."""
        if field is None and isinstance(error, ValidationError) and hasattr(error, "error_dict"):
            told: dict[str, list[ValidationError]] = {}
            for name, problems in error.error_dict.items():
                if name == NON_FIELD_ERRORS or name in self.fields:
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

    def _functions(self) -> list[tuple[str, str]]:
        return [
            (target.path, target.path if target.label == target.path else f"{target.label} ({target.path})")
            for target in registered_targets()
        ]

    def _choose(self, name: str, choices: list[tuple[str, Any]]) -> None:
        """Make a text field a select; a value that has gone from the list stays, so that the model can say why."""
        bound = self.data.get(self.add_prefix(name)) if self.is_bound else None
        present = {value for value, _label in choices}
        for value in (self.initial.get(name), bound):
            if value and value not in present:
                choices.append((value, _("%(value)s (not found)") % {"value": value}))
                present.add(value)
        old = self.fields[name]
        self.fields[name] = forms.ChoiceField(
            choices=choices,
            label=old.label,
            help_text=old.help_text,
            required=old.required,
            initial=old.initial,
        )

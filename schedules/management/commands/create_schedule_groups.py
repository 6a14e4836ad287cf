"""`manage.py create_schedule_groups`: the two groups that most teams need."""

from __future__ import annotations

from typing import Any, Final

from django.contrib.auth.models import Group, Permission
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

OPERATORS: Final = (
    *("view_schedule", "view_run", "view_payload"),
    *("run_schedule", "pause_schedule", "stop_run"),
)
EDITORS: Final = (
    *OPERATORS,
    *("add_schedule", "change_schedule", "change_target", "delete_schedule", "delete_run"),
)
GROUPS: Final = {"Schedule operators": OPERATORS, "Schedule editors": EDITORS}


class Command(BaseCommand):
    """Makes the groups, or gives existing ones what they lack; takes nothing away."""

    help = (
        "Makes the groups “Schedule operators” (look, pause, run, stop) and “Schedule editors” (everything). Groups "
        "that are there get the permissions that they lack and keep the others."
    )

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        """Make the groups and say what each got.

        Raises:
            CommandError: the permissions are not in the database yet.
        """
        there = {
            permission.codename: permission
            for permission in Permission.objects.filter(
                content_type__app_label="schedules", codename__in=EDITORS
            )
        }
        lacking = sorted(set(EDITORS) - set(there))
        if lacking:
            raise CommandError(
                f"The database has no permission {', '.join(lacking)}: run `manage.py migrate` first."
            )
        for name, codenames in GROUPS.items():
            group, is_new = Group.objects.get_or_create(name=name)
            had = set(group.permissions.values_list("codename", flat=True))
            group.permissions.add(*(there[codename] for codename in codenames))
            added = [codename for codename in codenames if codename not in had]
            what = "made" if is_new else f"{len(added)} permissions added"
            self.stdout.write(f"{name}: {what} ({', '.join(codenames)})")

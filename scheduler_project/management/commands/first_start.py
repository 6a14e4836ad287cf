"""`manage.py first_start`: make the database ready; add an administrator and demo schedules."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from scheduler_project.first_start import create_admin, create_demo_schedules


class Command(BaseCommand):
    """Prepare a product without configuration; changes nothing where that was done before."""

    help = "Prepare the database, an administrator and demo schedules; `make run` calls it at every start."

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare; a database that cannot be written is one line."""
        try:
            call_command("migrate", interactive=False, verbosity=0)
            create_admin()
            create_demo_schedules()
            call_command("sync_schedules", verbosity=0)
        except OperationalError as error:
            raise CommandError(f"The database cannot be used: {str(error).strip()}") from error
        except OSError as error:
            raise CommandError(f"{error.filename} cannot be written: {error.strerror}") from error

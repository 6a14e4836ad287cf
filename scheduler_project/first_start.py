"""What a product without configuration starts with: an administrator, and something to look at."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model

from scheduler_project import secret_files
from scheduler_project.paths import VAR_DIR

logger = logging.getLogger(__name__)

ADMIN = "admin"
PASSWORD_FILE = VAR_DIR / "admin-password"
DEMO_MARK = VAR_DIR / "demo-schedules-created"


def demo_schedules() -> list[dict[str, Any]]:
    """Return the fields of the schedules of the first start."""
    return [
        {
            "name": "breaking-news",
            "description": "Calls an endpoint of this very web server over HTTP.",
            "kind": "interval",
            "interval": 10,
            "func": "schedules.job.job_request",
            "args": [f"{settings.API_BASE_URL}/v1/jobs/breaking-news"],
        },
        {
            "name": "greeting",
            "description": "A plain Python function with an argument.",
            "kind": "interval",
            "interval": 60,
            "func": "scheduler_project.jobs.greet",
            "kwargs": {"name": "operator"},
        },
        {
            "name": "weekday-report",
            "description": "A cron expression in a time zone: on working days at seven in Paris.",
            "kind": "cron",
            "cron": "0 7 * * 1-5",
            "timezone": "Europe/Paris",
            "func": "scheduler_project.jobs.count_down_the_year",
            "queue": "low",
        },
    ]


def create_admin() -> bool:
    """Create the administrator with a generated password, if there is none; return whether it did."""
    users = get_user_model()._default_manager
    if users.filter(is_superuser=True).exists():
        return False
    password = secret_files.read_or_create(PASSWORD_FILE, length=16)
    users.create_superuser(username=ADMIN, email="", password=password)
    logger.info("Created the user %s", ADMIN, extra={"action": "first_start.admin_created"})
    return True


def known_password() -> str | None:
    """Return the administrator's password if it is still the generated one."""
    user = get_user_model()._default_manager.filter(username=ADMIN).first()
    try:
        password = PASSWORD_FILE.read_text().strip()
    except OSError:
        return None
    return password if user is not None and user.check_password(password) else None


def create_demo_schedules(mark: Path = DEMO_MARK) -> int:
    """Create the demo schedules if none was ever created here; return how many."""
    from schedules.models import Schedule

    if mark.exists():
        return 0
    created = 0
    if not Schedule.objects.exists():
        for fields in demo_schedules():
            schedule = Schedule(**fields)
            schedule.full_clean()
            schedule.save()
            created += 1
        logger.info("Created %s demo schedules", created, extra={"action": "first_start.demo_created"})
    mark.touch()
    return created

"""Doing a thing once, however often its form is sent: a double click, a reload, a second web process."""

from __future__ import annotations

import secrets
from typing import Final

from rq.defaults import RQ_KEY_PREFIX

from schedules.services.connection import redis_errors_as_ours, scheduler_for

KEPT_SECONDS: Final = 86_400


def new_token() -> str:
    """Return a token for a form."""
    return secrets.token_urlsafe(12)


def is_first(token: str) -> bool:
    """Use a token up; return whether it had not been used before.

    Raises:
        SchedulerUnavailableError: Redis does not answer.
    """
    client = scheduler_for().connection
    with redis_errors_as_ours(client):
        return bool(client.set(f"{RQ_KEY_PREFIX}:schedules:once:{token[:64]}", 1, nx=True, ex=KEPT_SECONDS))

"""A row that was committed is brought to Redis; one that was rolled back leaves no trace there."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from schedules import sync
from schedules.models import Schedule


@receiver(post_save, sender=Schedule, dispatch_uid="schedules.push")
def push_after_commit(instance: Schedule, using: str, **_kwargs: Any) -> None:
    """Bring the row to Redis once it is committed."""
    transaction.on_commit(partial(sync.push, instance.pk), using=using, robust=True)


@receiver(post_delete, sender=Schedule, dispatch_uid="schedules.drop")
def drop_after_commit(instance: Schedule, using: str, **_kwargs: Any) -> None:
    """Take the row out of Redis once its deletion is committed."""
    transaction.on_commit(partial(sync.drop, instance.pk), using=using, robust=True)

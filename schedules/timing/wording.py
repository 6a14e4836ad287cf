"""Say in one English sentence when a trigger fires."""

from __future__ import annotations

from schedules.timing.triggers import CronTrigger, IntervalTrigger, Trigger


def describe(trigger: Trigger) -> str:
    """Give one plain English sentence, without a full stop."""
    if isinstance(trigger, IntervalTrigger):
        return f"Every {trigger.every} seconds"
    if isinstance(trigger, CronTrigger):
        return f"{trigger.expression}, {trigger.timezone}"
    return f"Once, at {trigger.at:%Y-%m-%d %H:%M:%S} UTC"

"""The engine on a real Redis, at moments that the test names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import redis as redis_py
from django_rq import get_queue
from pytest_django import Settings

from schedules.engine import ManualClock, Scheduler, keys
from schedules.engine.identity import identity_of
from schedules.spec import Plan, ScheduleSpec
from schedules.timing import IntervalTrigger, Policies
from tests.support.ledger import read_events

T0 = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)


def schedule_id(number: int = 1) -> str:
    """Return a fixed UUID as text."""
    return str(UUID(int=number))


def make_spec(number: int = 1, **changes: Any) -> ScheduleSpec:
    """Return a spec of a one-minute schedule anchored at T0, with the changes; plan fields may be named directly."""
    plan_fields = {name: changes.pop(name) for name in list(changes) if name in Plan.__dataclass_fields__}
    policy_fields = {
        name: changes.pop(name) for name in list(changes) if name in Policies.__dataclass_fields__
    }
    plan_fields.setdefault("trigger", IntervalTrigger(every=60, anchor=T0))
    plan_fields.setdefault("policies", Policies(**policy_fields))
    return ScheduleSpec(
        **{
            "id": schedule_id(number),
            "name": f"schedule {number}",
            "func": "tests.support.jobs.add",
            "args": (1,),
        }
        | {"plan": Plan(**plan_fields)}
        | changes
    )


@dataclass
class Engine:
    """A scheduler under a manual clock, with what a test asks it."""

    scheduler: Scheduler
    clock: ManualClock
    connection: redis_py.Redis

    def register(self, *specs: ScheduleSpec, **options: Any) -> dict[str, str]:
        return dict(self.scheduler.register(specs, **options))

    def at(self, seconds: float) -> Engine:
        """Move the clock to T0 plus so many seconds and dispatch what is due."""
        self.clock.set(T0 + timedelta(seconds=seconds))
        return self.dispatch()

    def dispatch(self) -> Engine:
        while self.scheduler.dispatcher.run_batch().due:
            pass
        self.scheduler.dispatcher.promote_retries()
        return self

    def queued(self, queue: str = "default") -> list[str]:
        """Return the job ids in a queue."""
        return [job_id.decode() for job_id in self.connection.lrange(f"rq:queue:{queue}", 0, -1)]

    def slots(self, queue: str = "default") -> list[int]:
        """Return the slots in a queue, in seconds after T0."""
        moments = [identity_of(job_id).scheduled_for for job_id in self.queued(queue)]
        return [int((moment - T0).total_seconds()) for moment in moments if moment is not None]

    def next_slot(self, number: int = 1) -> float | None:
        """Return when a schedule is due next, in seconds after T0."""
        due = self.scheduler.next_due(schedule_id(number))
        return None if due is None else (due - T0).total_seconds()

    def finish(self, job_id: str, status: str = "finished") -> None:
        """Let a job be over, as a worker leaves it."""
        self.connection.lrem("rq:queue:default", 0, job_id)
        self.connection.hset(f"rq:job:{job_id}", "status", status)

    def start(self, job_id: str) -> None:
        """Let a worker have taken a job."""
        self.connection.lrem("rq:queue:default", 0, job_id)
        self.connection.hset(f"rq:job:{job_id}", mapping={"status": "started", "worker_name": "w1"})

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the ledger's events, of one kind if it is named."""
        return [event for event in read_events(self.connection) if kind in {None, event["e"]}]

    def quarantined(self) -> dict[str, str]:
        return {
            k.decode("utf-8", "replace"): v.decode()
            for k, v in self.connection.hgetall(keys.QUARANTINE).items()
        }


@pytest.fixture(autouse=True)
def _allow_the_functions_of_the_tests(settings: Settings) -> None:
    settings.SCHEDULES_ALLOWED_TARGETS = ("tests.support.jobs",)


@pytest.fixture
def make_engine(redis: redis_py.Redis) -> Callable[[], Engine]:
    def make() -> Engine:
        clock = ManualClock(T0)
        queue = get_queue("default", connection=redis)
        scheduler = Scheduler(
            queue_name="default", queue=queue, job_class=queue.job_class, connection=redis, clock=clock
        )
        return Engine(scheduler, clock, redis)

    return make


@pytest.fixture
def engine(make_engine: Callable[[], Engine]) -> Engine:
    return make_engine()

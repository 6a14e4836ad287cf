"""Every Redis key of the engine, and the Lua scripts that know them.

RQ's own keys follow `RQ_KEY_PREFIX`; ours do too, and so does the scheduled set, which stock rq-scheduler
keeps under the fixed prefix `rq`: with the default prefix the two are the same key.

| key | type | holds |
| --- | --- | --- |
| `rq:scheduler:scheduled_jobs` | sorted set | who is due when: id -> unix time of the next dispatch |
| `rq:schedules:plan:<id>` | text | the plan: all that decides when, as JSON |
| `rq:schedules:state:<id>` | text | how far it has come: see `state.py` |
| `rq:schedules:template:<id>` | hash | what every job of this schedule is copied from |
| `rq:schedules:index` | hash | id -> `<source>:<digest>` of everything registered |
| `rq:schedules:events` | stream | what happened, for the ledger |
| `rq:schedules:output:<id>` | stream | what a job prints, while somebody follows it |
| `rq:schedules:quarantine` | hash | entries that could not be read: id -> reason, as JSON |
| `rq:schedules:schedulers` | hash | who dispatches: name -> last sign of life, as JSON |
| `rq:schedules:wake` | channel | "the set has an earlier first member now" |
| `rq:schedules:keeper` | text | the token of whoever keeps the ledger, until it lapses |
| `rq:schedules:unattended` | hash | queues in which runs wait and on which nobody works: name -> since (unix) |
| `rq:job:<id>` | hash | the same template as an ordinary job, for dashboards only |
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

from rq.defaults import RQ_KEY_PREFIX

SCHEDULED: Final = f"{RQ_KEY_PREFIX}:scheduler:scheduled_jobs"
INDEX: Final = f"{RQ_KEY_PREFIX}:schedules:index"
EVENTS: Final = f"{RQ_KEY_PREFIX}:schedules:events"
QUARANTINE: Final = f"{RQ_KEY_PREFIX}:schedules:quarantine"
SCHEDULERS: Final = f"{RQ_KEY_PREFIX}:schedules:schedulers"
WAKE: Final = f"{RQ_KEY_PREFIX}:schedules:wake"
INSTANCES: Final = f"{RQ_KEY_PREFIX}:scheduler_instance:"
LEASE: Final = f"{RQ_KEY_PREFIX}:schedules:keeper"
QUEUES: Final = f"{RQ_KEY_PREFIX}:queues"
UNATTENDED: Final = f"{RQ_KEY_PREFIX}:schedules:unattended"


def workers(queue: str) -> str:
    """Return the key of RQ's set of the workers that listen on a queue."""
    return f"{RQ_KEY_PREFIX}:workers:{queue}"


def plan(schedule_id: str) -> str:
    """Return the key of a schedule's plan."""
    return f"{RQ_KEY_PREFIX}:schedules:plan:{schedule_id}"


def state(schedule_id: str) -> str:
    """Return the key of how far a schedule has come."""
    return f"{RQ_KEY_PREFIX}:schedules:state:{schedule_id}"


def template(schedule_id: str) -> str:
    """Return the key of the hash that a schedule's jobs are copied from."""
    return f"{RQ_KEY_PREFIX}:schedules:template:{schedule_id}"


def job(job_id: str) -> str:
    """Return the key of RQ's hash of a job."""
    return f"{RQ_KEY_PREFIX}:job:{job_id}"


def output(job_id: str) -> str:
    """Return the key of the stream on which a followed job's output is passed on while it runs."""
    return f"{RQ_KEY_PREFIX}:schedules:output:{job_id}"


@cache
def script(name: str) -> str:
    """Return the source of `lua/<name>.lua`, behind the prelude that names the keys."""
    folder = files(__package__) / "lua"
    prelude = (folder / "prelude.lua").read_text("utf-8").replace("@PREFIX@", RQ_KEY_PREFIX)
    return prelude + (folder / f"{name}.lua").read_text("utf-8")

"""The event stream: what happened, written in the same atomic step as what it tells of.

One stream record holds the events of one step as a JSON list in the field `events`, and the moment (unix
seconds) in `at`. Each event has a kind in `e`:

- `queued` (move, move_stock, run_now, start, service): `j` job, `q` queue, `t` trigger (`schedule`, `catchup`,
  `manual`, `retry`), `s` slot (one-offs of the stock API only), `by` user, `f` function, `of` the job it repeats.
  For the many that a move queues alike: `js` jobs instead of `j`, see `each_of`
- `skipped` (move): `i` schedule, `s` slot, `q` queue, `r` reason
- `missed` (move, register, quarantine): `i` schedule, `a` first and `b` last slot, `r` reason, `q` queue,
  `w` trigger (wire form, to list the slots between the two)
- `canceled` (move): `j` job, `r` reason
- `started` (worker): `j` job, `q` queue, `w` worker, `n` attempt, `f` function, `name`
- `ended` (worker, close): `j` job, `st` status (`retry`: another attempt follows), `n` attempt, `w` worker, `r` reason,
  `x` exception, `tb` traceback, `res` result, `out` output, `next` attempt at (unix seconds)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from schedules.engine import keys


def append(target: Any, *, at: float, event: Mapping[str, Any]) -> None:
    """Put one event on the stream; with a pipeline, in the same transaction as what it tells of."""
    target.xadd(keys.EVENTS, {"at": f"{at:.6f}", "events": json.dumps([event], separators=(",", ":"))})


def each_of(events: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the events of a record one by one, one for each job where one tells of many (`js`)."""
    for event in events:
        if "js" in event:
            shared = {name: value for name, value in event.items() if name != "js"}
            for job_id in event["js"]:
                yield {**shared, "j": job_id}
        else:
            yield event

"""Who dispatches: each `rqscheduler` signs one hash every few seconds, so that nobody has to search for them."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final
from zoneinfo import TZPATH

from redis import Redis

from schedules.engine import keys

FORGOTTEN_SECONDS: Final = 600
"""After so long without a sign, all but the last one to be seen are forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """One sign of life of a dispatcher."""

    name: str
    host: str
    pid: int
    at: float
    """Redis' clock at the sign, unix seconds."""
    skew: float
    """How far the host's clock was ahead of Redis', seconds."""
    zone_data: str
    """Version of the host's time zone rules, as `2026a`; empty: unknown."""
    has_stopped: bool = False


def sign(connection: Redis, name: str, *, is_first: bool) -> None:
    """Sign as alive; with the first sign, forget those that have gone for good."""
    before = time.time()
    seconds, microseconds = connection.time()
    between = (before + time.time()) / 2
    now = seconds + microseconds / 1e6
    own = Presence(
        name=name,
        host=socket.gethostname(),
        pid=os.getpid(),
        at=round(now, 3),
        skew=round(between - now, 3),
        zone_data=zone_data_version(),
    )
    connection.hset(keys.SCHEDULERS, name, _wire(own))
    if is_first:
        _forget_the_gone(connection, now)


def leave(connection: Redis, name: str) -> None:
    """Sign as stopped; the last one to stop stays to be named."""
    for presence in read(connection.hgetall(keys.SCHEDULERS)):
        if presence.name == name:
            connection.hset(keys.SCHEDULERS, name, _wire(replace(presence, has_stopped=True)))


def read(raw: Mapping[Any, Any]) -> list[Presence]:
    """Return the signs of a hash as it was read, the newest first; what cannot be read is left out."""
    found: list[Presence] = []
    for value in raw.values():
        try:
            presence = Presence(**json.loads(value))
            found.append(replace(presence, at=float(presence.at), skew=float(presence.skew)))
        except (ValueError, TypeError):
            continue
    return sorted(found, key=lambda presence: presence.at, reverse=True)


@cache
def zone_data_version() -> str:
    """Return the version of the time zone rules that `zoneinfo` reads in this process; empty: it cannot be told."""
    for folder in TZPATH:
        try:
            with (Path(folder) / "tzdata.zi").open(encoding="ascii", errors="replace") as rules:
                words = rules.readline().split()
        except OSError:
            continue
        if words[:2] == ["#", "version"]:
            return words[2]
    if any(Path(folder).is_dir() for folder in TZPATH):
        return ""  # the system's rules, which do not say of when they are
    try:
        year, letter = metadata.version("tzdata").split(".")[:2]  # 2026.1 is 2026a
        return f"{year}{chr(ord('a') + int(letter) - 1)}"
    except (metadata.PackageNotFoundError, ValueError):
        return ""


def _forget_the_gone(connection: Redis, now: float) -> None:
    gone = [
        other.name
        for other in read(connection.hgetall(keys.SCHEDULERS))
        if other.has_stopped or now - other.at > FORGOTTEN_SECONDS
    ]
    if gone:
        connection.hdel(keys.SCHEDULERS, *gone)


def _wire(presence: Presence) -> str:
    values: dict[str, Any] = asdict(presence)
    return json.dumps(values, separators=(",", ":"))

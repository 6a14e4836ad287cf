"""What the endpoints remember, in Django's cache: deliveries that were seen, and the answers that were given.

Several web processes must share it: a cache in Redis, Memcached or the database does, one in local memory
does not (a system check says so). Everything rests on `cache.add`, which is atomic in those. When the cache
is away the endpoints refuse to run: a job that runs later is better than one that runs twice.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from django.core.cache import BaseCache, caches

from schedules.conf import conf

PREFIX: Final = "schedules-router"
MAX_BODY_KEPT: Final = 262_144


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The answer of a delivery, as it is given again."""

    status: int
    content_type: str
    body: str


@dataclass(frozen=True, slots=True)
class Running:
    """Another delivery of the same key is being executed."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The key was used before, for another endpoint or another body."""


def fingerprint(name: str, body: bytes) -> str:
    """Return what must be the same on every delivery of one key."""
    return hashlib.sha256(name.encode() + b"\n" + body).hexdigest()


class CacheStore:
    """Replays and answers in one of Django's caches."""

    def __init__(self, alias: str | None = None) -> None:
        self.alias = alias

    @property
    def cache(self) -> BaseCache:
        """Return this thread's connection to the cache."""
        return caches[self.alias or conf.router_cache]

    def first_time(self, key: str, seconds: int) -> bool:
        """Remember the key for so many seconds; say whether it was unknown."""
        return bool(self.cache.add(_name("seen", key), 1, seconds))

    def claim(self, key: str, *, token: str, mark: str, seconds: int) -> Running | Mismatch | Answer | None:
        """Claim the execution of a key; None when it is ours, for so many seconds."""
        name = _name("answer", key)
        if self.cache.add(name, json.dumps({"token": token, "mark": mark}), seconds):
            return None
        record = self._record(name)
        if record is None:  # given up or lapsed just now: the next look will tell
            return Running()
        if record["mark"] != mark:
            return Mismatch()
        return Answer(**record["answer"]) if "answer" in record else Running()

    def keep(self, key: str, *, token: str, mark: str, answer: Answer, seconds: int) -> None:
        """Remember the answer of a claimed key, so that the next delivery gets it."""
        if len(answer.body) > MAX_BODY_KEPT:
            note = json.dumps({"ok": True, "note": "The first answer was too long to be kept."})
            answer = Answer(status=answer.status, content_type="application/json", body=note)
        record = {"token": token, "mark": mark, "answer": asdict(answer)}
        self.cache.set(_name("answer", key), json.dumps(record), seconds)

    def give_up(self, key: str, *, token: str) -> None:
        """Forget a claim whose execution failed, so that the next delivery runs; not a claim of others."""
        record = self._record(_name("answer", key))
        if record is not None and record["token"] == token and "answer" not in record:
            self.cache.delete(_name("answer", key))

    def _record(self, name: str) -> dict[str, Any] | None:
        text = self.cache.get(name)
        return None if text is None else json.loads(text)


def _name(kind: str, key: str) -> str:
    # Hashed: Memcached takes short names of few characters only.
    return f"{PREFIX}:{kind}:{hashlib.sha256(key.encode()).hexdigest()}"

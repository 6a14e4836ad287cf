"""Which Redis the project uses, and what to say when it is away.

`python -m scheduler_project.which_redis --wait` returns when it answers; for processes of the Procfile.
`--url` prints where it is instead, for other programs such as rq-dashboard.
"""

from __future__ import annotations

import sys
import time
from urllib.parse import parse_qsl, urlencode, urlsplit

import redis

from scheduler_project import embedded_redis, env
from scheduler_project.paths import VAR_DIR

PATIENCE = 60  # seconds
SCHEMES = ("redis", "rediss", "unix")


def is_embedded() -> bool:
    """Tell whether it is the server of `make run`."""
    return not env.is_set("REDIS_URL")


def url() -> str:
    """Return the URL of REDIS_URL, else of the embedded server, running or not."""
    return env.url(
        "REDIS_URL",
        default=embedded_redis.url(VAR_DIR / "redis"),
        schemes=SCHEMES,
    )


def cache_url() -> str:
    """Return CACHE_URL, else the next database of the same server: to clear a cache is to flush its database."""
    parts = urlsplit(url())
    if parts.scheme == "unix":
        query = dict(parse_qsl(parts.query))
        query["db"] = str(int(query.get("db", 0)) + 1)
        beside = f"unix://{parts.netloc}{parts.path}?{urlencode(query)}"  # urlunsplit would drop the slashes
    else:
        beside = parts._replace(path=f"/{int(parts.path.strip('/') or 0) + 1}").geturl()
    return env.url("CACHE_URL", default=beside, schemes=SCHEMES)


def away() -> str:
    """Say that it does not answer, and what to do about it; never with a password."""
    if is_embedded():
        return "The embedded Redis is not running: start it with `make run` in a terminal, or set REDIS_URL."
    parts = urlsplit(url())
    place = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
    return f"Redis at {place} (REDIS_URL) does not answer. Start it, or correct REDIS_URL."


def ask() -> None:
    """Return when it answers a PING; raises redis.RedisError when not."""
    with redis.Redis.from_url(url(), socket_timeout=2, socket_connect_timeout=2, retry=None) as client:
        client.ping()


def wait(*, patience: float) -> bool:
    """Wait until it answers, so many seconds at most; return whether it does."""
    deadline = time.monotonic() + patience
    while True:
        try:
            ask()
        except redis.RedisError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def main() -> int:
    """Wait for Redis, or print its URL; return the exit code."""
    try:
        if "--url" in sys.argv:
            print(url())
            return 0
        if wait(patience=PATIENCE if "--wait" in sys.argv else 0):
            return 0
        print(away(), file=sys.stderr)
    except env.EnvError as error:
        print(error, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

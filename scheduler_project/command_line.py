"""What `manage.py` does: run Django's command; say in one line what is missing."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

import redis
from django.core.management import execute_from_command_line

from scheduler_project.embedded_redis import url as embedded_url
from scheduler_project.env import EnvError, is_set, text
from scheduler_project.paths import VAR_DIR

# django-rq's commands catch the error themselves and print its raw text.
NEED_REDIS_TO_START = ("rqscheduler", "rqworker", "rqworker-pool")


def execute(argv: list[str]) -> int:
    """Run the command; return the exit code. Errors that are no fault of the code are one line on standard error."""
    try:
        if len(argv) > 1 and argv[1] in NEED_REDIS_TO_START and not {"-h", "--help", "--version"} & set(argv):
            _ask_embedded_redis()
        execute_from_command_line(argv)
    except EnvError as error:
        return _fail(str(error))
    except Exception as error:
        if _is_about_redis(error):
            return _fail(redis_is_away())
        raise
    return 0


def redis_is_away() -> str:
    """Say that Redis does not answer, and what to do about it."""
    if is_set("REDIS_URL"):
        parts = urlsplit(text("REDIS_URL", default=""))
        place = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
        return f"Redis at {place} (REDIS_URL) does not answer. Start it, or correct REDIS_URL."
    return (
        "The embedded Redis is not running. Start it with `make run` in another terminal, or set REDIS_URL."
    )


def _ask_embedded_redis() -> None:
    """With a REDIS_URL of its own the command goes on and waits for its server instead."""
    if not is_set("REDIS_URL"):
        with redis.Redis.from_url(embedded_url(VAR_DIR / "redis")) as client:
            client.ping()


def _is_about_redis(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, redis.ConnectionError | redis.TimeoutError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _fail(line: str) -> int:
    print(line, file=sys.stderr)  # noqa: T201
    return 1

"""What `manage.py` does: run Django's command; say in one line what is missing."""

from __future__ import annotations

import sys

import redis
from django.core.management import execute_from_command_line

from scheduler_project import which_redis
from scheduler_project.env import EnvError

# django-rq's commands catch the error themselves and print its raw text.
# With a REDIS_URL they go on instead, and wait for their server.
NEED_REDIS_TO_START = ("rqscheduler", "rqworker", "rqworker-pool")


def execute(argv: list[str]) -> int:
    """Run the command; return the exit code. What is no fault of the code is one line on standard error."""
    try:
        if which_redis.is_embedded() and _needs_redis_to_start(argv):
            which_redis.ask()
        execute_from_command_line(argv)
    except KeyboardInterrupt:
        return 130
    except EnvError as error:
        print(error, file=sys.stderr)
        return 1
    except Exception as error:
        if not is_about_redis(error):
            raise
        print(which_redis.away(), file=sys.stderr)
        return 1
    return 0


def _needs_redis_to_start(argv: list[str]) -> bool:
    return len(argv) > 1 and argv[1] in NEED_REDIS_TO_START and {"-h", "--help", "--version"}.isdisjoint(argv)


def is_about_redis(error: BaseException) -> bool:
    """Tell whether Redis being away is the cause of the error, or of its cause."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, redis.ConnectionError | redis.TimeoutError):
            return True
        cause = cause.__cause__
    return False

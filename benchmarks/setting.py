"""What benchmarks run on: the project's test settings and a private embedded Redis."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.redis_server import RedisServer


@contextmanager
def configured() -> Iterator[RedisServer]:
    """Set Django up and yield a running server to which the settings point."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    from django.conf import settings

    from tests.support.redis_server import RedisServer

    with RedisServer(
        directory=Path(settings.REDIS_URL.removeprefix("unix://").partition("?")[0]).parent
    ) as server:
        yield server

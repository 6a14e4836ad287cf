"""What every test may ask for: a real Redis, first of all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_py
from django.conf import settings
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.support.redis_server import RedisServer

CHROMIUM = Path("/usr/bin/chromium")

# On a busy machine an example may take long; that says nothing of the code. Speed is measured in benchmarks/.
hypothesis_settings.register_profile(
    "suite", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("suite")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The server to which the settings point; one for each test process. Ask for `redis` in tests."""
    with RedisServer(
        directory=Path(settings.REDIS_URL.removeprefix("unix://").partition("?")[0]).parent
    ) as server:
        yield server


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[redis_py.Redis]:
    """An empty Redis, the one that `django_rq.get_connection()` gives as well."""
    if redis_server.process is None:  # a test ended it
        redis_server.start()
    with redis_server.client() as client:
        client.flushall()
        client.script_flush()
        yield client


@pytest.hookimpl(trylast=True)  # after the items are in random order, and after folders have marked theirs
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine has no means for, and say why; put browser tests last.

    Playwright leaves an event loop running in its thread, in which `asyncio.run` refuses to work.
    """
    on_postgresql = settings.DATABASES["default"]["ENGINE"].endswith("postgresql")
    for item in items:
        if item.get_closest_marker("postgresql") and not on_postgresql:
            item.add_marker(pytest.mark.skip(reason="needs PostgreSQL: set TEST_DATABASE_URL"))
        if item.get_closest_marker("browser") and not CHROMIUM.exists():
            item.add_marker(pytest.mark.skip(reason=f"needs a browser: there is no {CHROMIUM}"))
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)  # stable


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say on what the suite runs."""
    from scheduler_project.embedded_redis import version_of
    from tests.support.redis_server import server_binary

    binary = server_binary()
    return [
        f"redis-server: {'.'.join(map(str, version_of(binary)))} ({binary.parent.parent.name}/{binary.name})",
        f"database: {settings.DATABASES['default']['ENGINE'].rpartition('.')[2]}",
        f"processes: {os.environ.get('PYTEST_XDIST_WORKER_COUNT', 1)}",
    ]

"""The examples of docs/http-jobs.md, executed."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fakeredis
import pytest

from schedules.http.signing import sign

ROOT = Path(__file__).parents[2]
KEY = "whsec_" + "A" * 32
MARK = "<!-- executed by tests/http/test_documented_examples.py -->\n"


def examples() -> list[str]:
    text = (ROOT / "docs/http-jobs.md").read_text(encoding="utf-8")
    return re.findall(re.escape(MARK) + r"```python\n(.*?)```", text, re.DOTALL)


def signed(body: bytes, *, seconds_ago: int = 0, key: str = KEY) -> dict[str, str]:
    moment = int(datetime.now(UTC).timestamp()) - seconds_ago
    return {
        "content-type": "application/json",
        "webhook-id": "job-1",
        "webhook-timestamp": str(moment),
        "webhook-signature": sign(keys=[key], message_id="job-1", timestamp=moment, body=body),
    }


@pytest.fixture
def backend(monkeypatch) -> Any:
    testclient = pytest.importorskip("fastapi.testclient")
    monkeypatch.setenv("SCHEDULES_SIGNING_KEYS", f"{'whsec_' + 'B' * 32},{KEY}")
    namespace: dict[str, Any] = {"__name__": "backend"}
    # FastAPI reads the annotations as they are, without this file's postponed evaluation.
    exec(compile(examples()[0], "docs/http-jobs.md", "exec", dont_inherit=True), namespace)
    with testclient.TestClient(namespace["app"]) as client:
        yield SimpleNamespace(
            post=lambda body, headers: client.post("/v1/jobs/breaking-news", content=body, headers=headers)
        )


def test_the_fastapi_backend_serves_genuine_deliveries_only(backend) -> None:
    body = b'{"edition": "evening"}'
    headers = signed(body)
    response = backend.post(body, headers)
    assert (response.status_code, response.json()) == (200, {"edition": "evening", "slot": "None"})
    assert backend.post(body, headers).status_code == 401  # a replay
    assert backend.post(body, signed(body, seconds_ago=1)).status_code == 200  # another attempt
    assert backend.post(body + b" ", signed(body, seconds_ago=2)).status_code == 401
    assert backend.post(body, signed(body, seconds_ago=301)).status_code == 401
    assert backend.post(body, signed(body, seconds_ago=3, key="whsec_" + "C" * 32)).status_code == 401
    assert backend.post(body, {}).status_code == 401
    assert backend.post(b"{", signed(b"{", seconds_ago=4)).status_code == 400
    large = b" " * 1_048_577
    assert backend.post(large, signed(large, seconds_ago=5)).status_code == 413


def test_replays_in_redis_are_remembered() -> None:
    namespace: dict[str, Any] = {}
    exec(compile(examples()[1], "docs/http-jobs.md", "exec", dont_inherit=True), namespace)
    redis = fakeredis.FakeRedis()
    replays = namespace["RedisReplays"](redis)
    assert [replays.first_time(key, 60) for key in ("a", "a", "b")] == [True, False, True]
    assert 0 < redis.ttl("seen:a") <= 60


def test_the_verification_needs_no_django_settings() -> None:
    code = (
        "import os; os.environ.pop('DJANGO_SETTINGS_MODULE', None)\n"
        "from schedules.router import MemoryReplays, DeliveryRefusedError, verify_delivery\n"
        "from datetime import datetime, UTC\n"
        "try: verify_delivery(body=b'', headers={}, keys=['x'], now=datetime.now(UTC), replays=MemoryReplays())\n"
        "except DeliveryRefusedError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "The request is not signed."


def test_the_page_tells_every_default_as_it_is() -> None:
    import inspect

    from schedules.job import job_request

    text = (ROOT / "docs/http-jobs.md").read_text(encoding="utf-8")
    for name, parameter in inspect.signature(job_request).parameters.items():
        assert f"`{name}`" in text
        if parameter.default not in (parameter.empty, None):
            shown = f'"{parameter.default}"' if isinstance(parameter.default, str) else str(parameter.default)
            assert f"| `{name}` | `{shown}` |" in text

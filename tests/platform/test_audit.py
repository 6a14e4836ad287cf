"""The audit fails on findings alone, and never claims to have checked what it could not."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from types import ModuleType
from typing import Any

import pytest

from tests.support.programs import ROOT

PACKAGE = {"name": "thing", "version": "1.0"}


@pytest.fixture
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "answer, code, told",
    [
        ({"dependencies": [{**PACKAGE, "vulns": []}]}, 0, "1 packages looked up, 0 known vulnerabilities"),
        (
            {"dependencies": [{**PACKAGE, "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}]},
            1,
            "thing 1.0: CVE-1, mended in 1.1",
        ),
        ({"dependencies": [{**PACKAGE, "skip_reason": "unknown"}]}, 0, "1 packages NOT checked, as: unknown"),
        (None, 0, "NOT checked, the advisory service cannot be used here (no route)"),
    ],
)
def test_the_audit(
    audit: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: dict[str, Any] | None,
    code: int,
    told: str,
) -> None:
    def pip_audit(command: list[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        out = "" if answer is None else json.dumps(answer)
        return subprocess.CompletedProcess(command, 1, stdout=out, stderr="trace\nno route\n")

    monkeypatch.setattr(subprocess, "run", pip_audit)
    assert audit.main("requirements.txt") == code
    assert told in capsys.readouterr().out

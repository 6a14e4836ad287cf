"""The examples in docstrings say what really comes out."""

from __future__ import annotations

import doctest
import importlib

import pytest

from tests.support.programs import ROOT

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("schedules", "scheduler_project")
    for path in (ROOT / package).rglob("*.py")
    if "\n    >>> " in path.read_text()
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0

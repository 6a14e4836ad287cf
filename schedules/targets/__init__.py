"""Decide which functions a schedule may call: its targets.

A target is named by its dotted path, and is allowed when it is one of

- a public function of a module `jobs` or `job` of an installed app (a package `jobs/` with the modules in it
  counts as that module),
- a function marked `@schedulable`, in whatever module,
- a public function under a dotted prefix in the setting `SCHEDULES_ALLOWED_TARGETS`.

The function must also be *defined* in an allowed module: a `jobs.py` that says `from os import system` does
not open `os.system`; a function of its own that calls it would, and so would the mark. A module's `__all__`,
where it has one, narrows what is public, and never widens it. Refused whatever a setting says: classes,
builtins, lambdas, generators, private names, and the standard library.

A path whose module no rule can allow is refused *unimported*: importing is executing, and paths come from
forms. For the mark this means that the module's source must name `schedulable`.

No rows and no Redis here: the worker asks the same questions.
"""

from __future__ import annotations

from schedules.targets.arguments import check_arguments
from schedules.targets.errors import (
    ArgumentsError,
    TargetError,
    TargetMalformedError,
    TargetNotAllowedError,
    TargetNotFoundError,
)
from schedules.targets.lookup import Target, broken_modules, is_allowed, registered_targets, resolve
from schedules.targets.marks import Mark, schedulable

__all__ = [
    "ArgumentsError",
    "Mark",
    "Target",
    "TargetError",
    "TargetMalformedError",
    "TargetNotAllowedError",
    "TargetNotFoundError",
    "broken_modules",
    "check_arguments",
    "is_allowed",
    "registered_targets",
    "resolve",
    "schedulable",
]

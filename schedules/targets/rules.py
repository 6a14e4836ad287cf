"""The rules of what may be scheduled, in the order in which they are asked."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Sequence
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from types import FunctionType, ModuleType
from typing import Final

from django.apps import apps

from schedules.conf import conf
from schedules.targets.errors import TargetMalformedError, TargetNotAllowedError, TargetNotFoundError
from schedules.targets.marks import mark_of
from schedules.texts import Text
from schedules.texts import gettext as _

JOB_MODULES: Final = ("jobs", "job")
LONGEST_PATH: Final = 255

# django-rq has a module of that name for its own needs, and a function in it imports what it is given.
NOT_JOBS: Final = frozenset({"django_rq.jobs", "django_rq.job"})


def split_path(path: object) -> tuple[str, str]:
    if not isinstance(path, str) or len(path) > LONGEST_PATH:
        raise TargetMalformedError(
            _("%(path)s is not a dotted path of at most %(most)s characters.")
            % {"path": _short(path), "most": LONGEST_PATH}
        )
    parts = path.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise TargetMalformedError(
            _("%(path)s is not a dotted path; give module and function, as in shop.jobs.sync_orders.")
            % {"path": _short(path)}
        )
    private = next((part for part in parts if part.startswith("_")), None)
    if private is not None:
        raise TargetNotAllowedError(
            _("%(path)s cannot be scheduled: %(name)s is private. %(allowed)s")
            % {"path": path, "name": repr(private), "allowed": _allowed_text()}
        )
    return ".".join(parts[:-1]), parts[-1]


def check_before_import(path: str, module_name: str) -> None:
    """Refuse a path that no rule can allow, before anything of it is executed."""
    if is_job_module(module_name):
        return
    if is_standard_library(module_name):
        raise TargetNotAllowedError(
            _(
                "%(path)s cannot be scheduled: it belongs to Python itself. Write a function of your own "
                "that calls it. %(allowed)s"
            )
            % {"path": path, "allowed": _allowed_text()}
        )
    if is_under_prefix(path) or _mentions_mark(module_name):
        return
    raise TargetNotAllowedError(
        _("%(path)s is not allowed as a target. %(allowed)s") % {"path": path, "allowed": _allowed_text()}
    )


def import_module(path: str, module_name: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except Exception as error:
        raise TargetNotFoundError(
            _("%(path)s cannot be imported: %(module)s raised %(type)s: %(error)s")
            % {"path": path, "module": module_name, "type": type(error).__name__, "error": error}
        ) from error
    except SystemExit as error:
        # A script without the usual guard; it must not end the web server or the worker.
        raise TargetNotFoundError(
            _("%(path)s cannot be imported: %(module)s is a script that exits.")
            % {"path": path, "module": module_name}
        ) from error


def check_kind(path: str, found: object) -> None:
    problem: str = ""
    if isinstance(found, type):
        problem = _("it is a class")
    elif inspect.isbuiltin(found):
        problem = _("it is built into Python")
    elif isinstance(found, ModuleType):
        problem = _("it is a module")
    elif not isinstance(found, FunctionType):
        problem = _("it is not a function but a %(type)s") % {"type": type(found).__name__}
    elif found.__name__ == "<lambda>":
        problem = _("it is a lambda")
    elif inspect.isgeneratorfunction(found) or inspect.isasyncgenfunction(found):
        problem = _("it is a generator, which a call would never run")
    if problem:
        raise TargetNotAllowedError(
            _(
                "%(path)s cannot be scheduled: %(problem)s. Give a function (def or async def) at the "
                "top of a module."
            )
            % {"path": path, "problem": problem}
        )


def check_home(path: str, module: ModuleType, name: str, found: FunctionType) -> None:
    """Refuse a function that is only passing through: its own module must be allowed, or it bears the mark."""
    if mark_of(found) is not None:
        return
    home = found.__module__
    if is_standard_library(home) or not (is_job_module(home) or is_under_prefix(f"{home}.{found.__name__}")):
        if home == module.__name__:
            raise TargetNotAllowedError(
                _("%(path)s is not marked @schedulable. %(allowed)s")
                % {"path": path, "allowed": _allowed_text()}
            )
        raise TargetNotAllowedError(
            _("%(path)s cannot be scheduled: it is defined in %(home)s, not here. %(allowed)s")
            % {"path": path, "home": home, "allowed": _allowed_text()}
        )
    if found.__name__.startswith("_"):
        raise TargetNotAllowedError(
            _(
                "%(path)s cannot be scheduled: it is the private function %(function)s. (A decorator "
                "around it should use functools.wraps.)"
            )
            % {"path": path, "function": repr(found.__name__)}
        )
    public = getattr(module, "__all__", None)
    if public is not None and name not in public:
        raise TargetNotAllowedError(
            _("%(path)s cannot be scheduled: %(module)s.__all__ does not list it.")
            % {"path": path, "module": module.__name__}
        )


def is_job_module(module_name: str) -> bool:
    """Say whether this is `jobs` or `job` of an installed app, or a module in such a package."""
    if module_name in NOT_JOBS:
        return False
    for config in apps.get_app_configs():
        rest = module_name.removeprefix(f"{config.name}.")
        if rest != module_name and rest.split(".", 1)[0] in JOB_MODULES:
            return True
    return False


def is_under_prefix(path: str) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}.") for prefix in conf.allowed_targets)


def is_standard_library(module_name: str) -> bool:
    top = module_name.split(".", 1)[0]
    return top in sys.stdlib_module_names or top in sys.builtin_module_names


def _mentions_mark(module_name: str) -> bool:
    """Say whether the module's source names the mark; a module without source counts once it is imported."""
    mentions = _source_mentions_mark(module_name)
    return module_name in sys.modules if mentions is None else mentions


@lru_cache(maxsize=4096)
def _source_mentions_mark(module_name: str) -> bool | None:
    spec = find_spec(module_name)
    get_source = getattr(spec.loader, "get_source", None) if spec is not None else None
    if get_source is None:
        return None
    try:
        source = get_source(module_name)
    except (ImportError, OSError, SyntaxError, UnicodeDecodeError):
        return None
    return None if source is None else "schedulable" in source


def find_spec(module_name: str) -> ModuleSpec | None:
    """Find a module without executing it or its parents, as `importlib.util.find_spec` would."""
    places: Sequence[str] | None = None
    spec: ModuleSpec | None = None
    name = ""
    for part in module_name.split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, places)
        if spec is None:
            return None
        # A plain module has no places, and so nothing in it either.
        places = list(spec.submodule_search_locations or [])
    return spec


def _allowed_text() -> Text:
    prefixes = conf.allowed_targets
    if prefixes:
        return _(
            "Allowed are public functions defined in a module jobs.py or job.py of an installed app, and "
            "functions marked @schedulable, and what is under %(prefixes)s."
        ) % {"prefixes": ", ".join(prefixes)}
    return _(
        "Allowed are public functions defined in a module jobs.py or job.py of an installed app, and "
        "functions marked @schedulable."
    )


def names_in(module: ModuleType) -> list[str]:
    """Name the functions that a path into this module may have meant, the first few."""
    names: list[str] = []
    for name, value in sorted(vars(module).items()):
        if isinstance(value, FunctionType) and not name.startswith("_"):
            try:
                check_kind(name, value)
                check_home(name, module, name, value)
            except TargetNotAllowedError:
                continue
            names.append(name)
    return names[:10]


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

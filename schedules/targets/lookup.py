"""Finding targets: the one at a path, or all that there are."""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from schedules.conf import conf
from schedules.targets import rules
from schedules.targets.arguments import signature_text
from schedules.targets.errors import TargetError, TargetNotFoundError
from schedules.targets.marks import Mark, mark_of, marked_paths
from schedules.texts import gettext as _

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A function that may be scheduled."""

    path: str
    func: Callable[..., Any]
    label: str
    """What people call it: the mark's label, else the path."""
    queue: str
    """The queue that the mark proposes; empty: none."""
    doc: str
    """First paragraph of its docstring, on one line."""
    signature_text: str
    """Its parameters as written, `(user_id: int, *, full: bool = False)`."""


def resolve(path: str) -> Target:
    """Import the function at `path`, and return it with what is said of it.

    Raises:
        TargetNotFoundError: there is none; also when its module fails at import, with what it raised.
        TargetNotAllowedError: it may not be scheduled.
    """
    module_name, name = rules.split_path(path)
    rules.check_before_import(path, module_name)
    module = rules.import_module(path, module_name)
    try:
        found = getattr(module, name)
    except AttributeError:
        text = _("%(path)s does not exist: the module %(module)s has no %(name)s.")
        names = rules.names_in(module)
        if names:
            text = _("%(path)s does not exist: the module %(module)s has no %(name)s. It has: %(names)s.")
        raise TargetNotFoundError(
            text % {"path": path, "module": module_name, "name": repr(name), "names": ", ".join(names)}
        ) from None
    rules.check_kind(path, found)
    rules.check_home(path, module, name, found)
    return _target(path, found)


def is_allowed(path: str) -> bool:
    """Say whether `path` leads to a function that may be scheduled."""
    try:
        resolve(path)
    except TargetError:
        return False
    return True


def registered_targets() -> list[Target]:
    """Return every allowed function that can be found without being told its path, by path.

    Those are the functions of the installed apps' job modules, those of modules that the setting
    `SCHEDULES_ALLOWED_TARGETS` names, and the marked ones that have been imported. A module that cannot be
    imported is left out and logged; `broken_modules` tells of it.
    """
    found: dict[str, Target] = {}
    for name in _known_modules():
        try:
            module = importlib.import_module(name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - one that is broken must not hide the others
            logger.warning(
                "%s cannot be imported (%s: %s); its functions cannot be scheduled.",
                name,
                type(error).__name__,
                error,
                extra={"action": "targets.module_broken"},
            )
            continue
        for attribute, value in list(vars(module).items()):
            # What is imported from elsewhere is listed where it is defined.
            if isinstance(value, FunctionType) and value.__module__ == name:
                _add(found, f"{name}.{attribute}")
    for path in marked_paths():
        _add(found, path)
    return [found[path] for path in sorted(found)]


def broken_modules() -> dict[str, str]:
    """Return the job modules that cannot be imported, with what they raised."""
    broken = {}
    for name in _known_modules():
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - its author should read whatever it is
            broken[name] = f"{type(error).__name__}: {error}"
    return broken


def _known_modules() -> Iterator[str]:
    for config in apps.get_app_configs():
        for name in rules.JOB_MODULES:
            full = f"{config.name}.{name}"
            if (
                full not in rules.NOT_JOBS
                and config.module is not None
                and module_has_submodule(config.module, name)
            ):
                yield from _with_submodules(full)
    for prefix in conf.allowed_targets:
        if rules.find_spec(prefix) is not None and not rules.is_standard_library(prefix):
            yield from _with_submodules(prefix)


def _with_submodules(name: str) -> Iterator[str]:
    yield name
    spec = rules.find_spec(name)
    places = spec.submodule_search_locations if spec is not None else None
    for info in pkgutil.iter_modules(places or []):
        if not info.name.startswith("_"):
            yield from _with_submodules(f"{name}.{info.name}")


def _add(found: dict[str, Target], path: str) -> None:
    if path not in found:
        try:
            found[path] = resolve(path)
        except TargetError:
            return


def _target(path: str, func: Callable[..., Any]) -> Target:
    mark = mark_of(func) or Mark()
    doc = inspect.getdoc(func) or ""
    return Target(
        path=path,
        func=func,
        label=mark.label or path,
        queue=mark.queue,
        doc=" ".join(doc.split("\n\n", 1)[0].split()),
        signature_text=signature_text(func),
    )

"""Read settings from the environment, typed; fail with the variable's name and what is allowed.

An empty variable counts as unset. A value that may hold a password is never repeated in an error.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

TRUE = ("1", "true", "yes", "on")
FALSE = ("0", "false", "no", "off")


class EnvError(Exception):
    """A variable of the environment is missing or wrong; the text says which and what is allowed."""


def is_set(name: str) -> bool:
    """Tell whether the variable has a value."""
    return bool(os.environ.get(name, "").strip())


def text(name: str, *, default: str) -> str:
    """Return the variable's text without blanks at its ends."""
    return os.environ.get(name, "").strip() or default


def flag(name: str, *, default: bool) -> bool:
    """Return a yes or no."""
    value = text(name, default="true" if default else "false")
    if value.lower() in TRUE:
        return True
    if value.lower() in FALSE:
        return False
    raise EnvError(f"{name} is {value!r}; allowed are {', '.join(TRUE)} and {', '.join(FALSE)}.")


def whole_number(name: str, *, default: int, minimum: int, maximum: int) -> int:
    """Return a whole number between minimum and maximum, both included."""
    value = text(name, default=str(default))
    try:
        number = int(value)
    except ValueError:
        number = minimum - 1
    if not minimum <= number <= maximum:
        raise EnvError(f"{name} is {value!r}; allowed is a whole number from {minimum} to {maximum}.")
    return number


def words(name: str, *, default: Sequence[str] = ()) -> list[str]:
    """Return the parts of a list that is separated by commas."""
    if not is_set(name):
        return list(default)
    return [part.strip() for part in os.environ[name].split(",") if part.strip()]


def choice(name: str, *, default: str, allowed: Collection[str]) -> str:
    """Return one of the allowed words, which are in upper case; case does not matter in the variable."""
    value = text(name, default=default).upper()
    if value not in allowed:
        raise EnvError(f"{name} is {value!r}; allowed are {', '.join(allowed)}.")
    return value


def url(name: str, *, default: str, schemes: Collection[str]) -> str:
    """Return a URL of one of the schemes, without a slash at its end."""
    value = text(name, default=default)
    try:
        parts = urlsplit(value)
        complete = parts.scheme in schemes and (parts.netloc or parts.path) and parts.port != 0
    except ValueError:  # a port that is no number, an address in broken brackets
        complete = False
    if not complete:
        wanted = " or ".join(f"{scheme}://…" for scheme in schemes)
        raise EnvError(f"{name} is not a URL that can be used here; allowed is {wanted}")
    return value.rstrip("/")


def zone(name: str, *, default: str) -> str:
    """Return the name of a time zone that exists."""
    value = text(name, default=default)
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:  # not found; a path; the name of a directory
        raise EnvError(
            f"{name} is {value!r}; allowed is the name of an IANA time zone, like Europe/Berlin or UTC."
        ) from error
    return value

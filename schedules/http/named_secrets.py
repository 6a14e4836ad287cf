"""Secrets that a request names and never carries: `secret:NAME` in a header's value.

Forms: `secret:NAME`, `Bearer secret:NAME` (any scheme), `Basic secret:NAME` (the secret is `user:password`)
and `Basic user:secret:NAME`. They stand for the environment variable `SCHEDULES_SECRET_<NAME>` of the
worker, read when the request is sent. What was resolved is scrubbed from every text that leaves this
package.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, quote_plus

from schedules.http.errors import InvalidRequestError, SecretError
from schedules.texts import gettext as _

VARIABLE_PREFIX: Final = "SCHEDULES_SECRET_"
MASK: Final = "[secret]"
_REFERENCE = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9-]*) )?(?:(?P<user>[^:\s]+):)?secret:(?P<name>[A-Za-z0-9_]+)"
)
_MENTION = re.compile(r"\bsecret:", re.IGNORECASE)
_ALWAYS_SECRET: Final = frozenset(
    {"authorization", "cookie", "x-api-key", "api-key", "x-auth-token", "x-access-token"}
)
_SENDABLE = re.compile(r"[\x20-\x7e]*")
_ONE_LINE = re.compile(r"[^\x00-\x1f\x7f]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scrubber:
    """Replaces secret values in texts."""

    forms: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Iterable[str]) -> Scrubber:
        """Know the values, and the ways in which an answer may spell them."""
        forms: set[str] = set()
        for value in values:
            encoded = base64.b64encode(value.encode()).decode()
            forms |= {value, encoded, encoded.rstrip("="), encoded.translate(str.maketrans("+/", "-_"))}
            forms |= {quote(value, safe=""), quote(value), quote_plus(value)}
            forms |= {
                html.escape(value),
                _misread(value, "latin-1", "utf-8"),
                _misread(value, "utf-8", "cp1252"),
            }
            forms |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
        # Longest first, so that no half of a longer form is left standing.
        return cls(forms=tuple(sorted(forms - {""}, key=len, reverse=True)))

    def scrub(self, text: str, *, cut: bool = False) -> str:
        """Return the text without the secrets; `cut` says that its end was cut off, perhaps inside of one."""
        for form in self.forms:
            text = text.replace(form, MASK)
        if cut:
            for form in self.forms:
                for length in range(min(len(form) - 1, len(text)), 2, -1):
                    if text.endswith(form[:length]):
                        return text[:-length] + MASK
        return text


def check_references(headers: Mapping[str, str]) -> None:
    """Refuse headers that carry a secret instead of naming it. Raises `InvalidRequestError`."""
    for name, value in headers.items():
        reference = _REFERENCE.fullmatch(value)
        if reference is not None:
            if reference["user"] and (reference["scheme"] or "").lower() != "basic":
                raise InvalidRequestError(
                    _("Header %(name)s: only Basic takes a user name, as Basic user:secret:NAME.")
                    % {"name": name}
                )
            continue
        if _MENTION.search(value):
            raise InvalidRequestError(
                _(
                    "Header %(name)s: a secret is named as secret:NAME, Bearer secret:NAME, Basic "
                    "secret:NAME or Basic user:secret:NAME, with letters, digits and _ in the NAME."
                )
                % {"name": name}
            )
        if name.lower() in _ALWAYS_SECRET:
            raise InvalidRequestError(
                _(
                    "Header %(name)s would be stored readably: put its value into the environment variable "
                    "%(prefix)sNAME of the workers and write secret:NAME or Bearer secret:NAME here."
                )
                % {"name": name, "prefix": VARIABLE_PREFIX}
            )


def resolve(
    headers: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[dict[str, str], Scrubber, frozenset[str]]:
    """Return the headers with secrets, what scrubs them, and the lower-case names of the secret ones.

    Raises `SecretError`, naming the variable, when one is missing or cannot be sent.
    """
    resolved: dict[str, str] = {}
    values: list[str] = []
    secret_headers: set[str] = set()
    for name, value in headers.items():
        reference = _REFERENCE.fullmatch(value)
        if reference is None:
            resolved[name] = value
            continue
        basic = (reference["scheme"] or "").lower() == "basic"
        secret = _read(
            reference["name"], header=name, environ=environ, allowed=_ONE_LINE if basic else _SENDABLE
        )
        values.append(secret)
        sent = secret
        if basic:
            pair = f"{reference['user']}:{secret}" if reference["user"] else secret
            if ":" not in pair:
                raise SecretError(
                    _(
                        "%(prefix)s%(name)s must hold user:password for Basic secret:%(name)s, or write Basic "
                        "user:secret:%(name)s."
                    )
                    % {"prefix": VARIABLE_PREFIX, "name": reference["name"]}
                )
            sent = base64.b64encode(pair.encode()).decode()
            values += [pair, pair.partition(":")[2]]
        resolved[name] = f"{reference['scheme']} {sent}" if reference["scheme"] else sent
        secret_headers.add(name.lower())
    return resolved, Scrubber.of(values), frozenset(secret_headers)


def _misread(value: str, written: str, read: str) -> str:
    """Return what a text becomes when its encoding is guessed wrongly."""
    return value.encode(written, errors="replace").decode(read, errors="replace")


def _read(name: str, *, header: str, environ: Mapping[str, str], allowed: re.Pattern[str]) -> str:
    variable = VARIABLE_PREFIX + name
    # A trailing newline comes with values read from a file, and is never meant.
    value = environ.get(variable, "").strip("\r\n")
    if not value:
        raise SecretError(
            _("Header %(header)s names secret:%(name)s, but the worker's environment has no %(variable)s.")
            % {"header": header, "name": name, "variable": variable}
        )
    if not allowed.fullmatch(value):
        raise SecretError(
            _("%(variable)s holds a line break or another character that a header cannot carry.")
            % {"variable": variable}
        )
    return value

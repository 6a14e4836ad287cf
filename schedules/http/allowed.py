"""Where HTTP jobs may go: the rules of `SCHEDULES_HTTP_ALLOWED`.

A rule is a URL prefix. A *literal* rule names its host; the hosts of inner networks must be named. A
*wildcard* rule (`https://*`, `https://*.example.com/hooks/`) reaches public addresses only. Prefixes end at
the borders of path segments, never inside a word; without a port a rule means the scheme's own port.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from schedules.http.errors import InvalidRequestError, UrlRefusedError
from schedules.http.urls import Address, NormalUrl, normalise
from schedules.texts import gettext as _

_WILDCARD = re.compile(
    r"(?P<scheme>https?)://\*(?P<suffix>\.[^/:?#*]+)?(?::(?P<port>[0-9]+))?(?P<path>/.*)?", re.I
)
_STAND_IN = "any.invalid"


class RuleError(InvalidRequestError):
    """An entry of SCHEDULES_HTTP_ALLOWED cannot be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One allowed prefix."""

    text: str
    scheme: str
    host: str
    """The host of a literal rule; '' or '.example.com' for a wildcard."""
    port: int
    path: str
    literal: bool
    address: Address | None = None

    def matches(self, url: NormalUrl) -> bool:
        """Say whether the URL lies under this prefix."""
        if (url.scheme, url.port) != (self.scheme, self.port):
            return False
        if self.literal:
            if url.host != self.host:
                return False
        elif not url.host.endswith(self.host) or (self.host and url.address is not None):
            return False
        return url.path == self.path or url.path.startswith(self.path.rstrip("/") + "/")


@lru_cache(maxsize=256)
def read_rule(text: str) -> Rule:
    """Read one entry of SCHEDULES_HTTP_ALLOWED. Raises `RuleError`."""
    wildcard = _WILDCARD.fullmatch(text) if isinstance(text, str) else None
    try:
        if wildcard is None:
            url = normalise(text)
        else:
            port = wildcard["port"]
            middle = _STAND_IN if wildcard["suffix"] is None else f"any{wildcard['suffix']}"
            tail = f":{port}" if port else ""
            url = normalise(f"{wildcard['scheme']}://{middle}{tail}{wildcard['path'] or '/'}")
    except UrlRefusedError as error:
        raise RuleError(
            _(
                "SCHEDULES_HTTP_ALLOWED: %(text)s is not a prefix such as "
                "https://api.example.com/v1/jobs/ or https://*. %(error)s"
            )
            % {"text": repr(text), "error": error}
        ) from None
    if "?" in text:
        raise RuleError(
            _("SCHEDULES_HTTP_ALLOWED: %(text)s holds a query: a prefix ends with its path.")
            % {"text": repr(text)}
        )
    if wildcard is None:
        return Rule(
            text=text,
            scheme=url.scheme,
            host=url.host,
            port=url.port,
            path=url.path,
            literal=True,
            address=url.address,
        )
    return Rule(
        text=text,
        scheme=url.scheme,
        host="" if wildcard["suffix"] is None else url.host.removeprefix("any"),
        port=url.port,
        path=url.path,
        literal=False,
    )


def find_rule(url: NormalUrl, allowed: Sequence[str]) -> Rule:
    """Return the rule that allows the URL, a literal one first. Raises `UrlRefusedError`, `RuleError`."""
    rules = [read_rule(text) for text in allowed]
    for rule in sorted(rules, key=lambda rule: not rule.literal):
        if rule.matches(url):
            return rule
    listed = ", ".join(allowed) or _("none")
    raise UrlRefusedError(
        _("%(url)s is not allowed: it lies under none of SCHEDULES_HTTP_ALLOWED (%(rules)s).")
        % {"url": url.shown, "rules": listed}
    )

"""How long a page waits for Redis: for one attempt that fails, briefly; after it, the page asks no more.

A page asks Redis several times: for the health of the whole, for the token of a form, after the commit of a row. With
a Redis that hangs, each of them would wait. What is known of the page is kept in its context, which begins with
`waits_briefly` and ends with the request: a template is rendered, and a transaction may be committed, after the view.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

from django.core.signals import request_finished
from django.http import HttpResponse

CONNECT_SECONDS: Final = 0.25
ANSWER_SECONDS: Final = 0.5
"""With one attempt, no page waits for longer than one of them."""

View = Callable[..., HttpResponse]


@dataclass(slots=True)
class _Page:
    problem: str = ""
    """What the attempt that failed ended with."""


_page: ContextVar[_Page | None] = ContextVar("schedules_page", default=None)


def waits_briefly(view: View) -> View:
    """Return a view whose request waits for Redis once."""

    @wraps(view)
    def brief(*args: Any, **kwargs: Any) -> HttpResponse:
        _page.set(_Page())
        return view(*args, **kwargs)

    return brief


def is_page() -> bool:
    """Say whether this is asked on behalf of a page."""
    return _page.get() is not None


def known_problem() -> str:
    """Return why Redis is not asked again for this page; empty: it may be asked."""
    page = _page.get()
    return page.problem if page is not None else ""


def remember(problem: str) -> None:
    """Let this page ask no more; without a page, nothing is remembered."""
    page = _page.get()
    if page is not None:
        page.problem = problem


def _end(**_signal: Any) -> None:
    _page.set(None)


request_finished.connect(_end, dispatch_uid="schedules.pages")

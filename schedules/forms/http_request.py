"""An HTTP request as fields of a form, and as the arguments of `job_request` that stand in the row."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from schedules.http import METHODS, HttpJobError, check_url, validate_request
from schedules.job import job_request
from schedules.translating import translated

JOB_REQUEST: Final = "schedules.job.job_request"
REQUEST_FIELDS: Final = (
    "request_method",
    "request_url",
    "request_headers",
    "request_body_kind",
    "request_body",
    "request_success",
    "request_timeout",
    "request_follow",
)
BODY_KINDS: Final = (("json", "JSON"), ("text", gettext_lazy("Text")))
METHOD_CHOICES: Final = tuple((method, method) for method in METHODS)
DEFAULTS: Final[dict[str, Any]] = {
    "request_method": "POST",
    "request_url": "",
    "request_headers": "",
    "request_body_kind": "json",
    "request_body": "",
    "request_success": "2xx",
    "request_timeout": 30,
    "request_follow": False,
}
_SIGNATURE: Final = inspect.signature(job_request)
_PROBE: Final = "http://127.0.0.1/"
"""An address that is allowed by itself, for checking one part of a request after the other."""


class RequestForm(forms.Form):
    """The fields of a request by themselves; `ScheduleForm` has the same."""

    request_method = forms.ChoiceField(
        label=gettext_lazy("Method"), choices=METHOD_CHOICES, required=False, initial="POST"
    )
    request_url = forms.CharField(
        label=gettext_lazy("URL"),
        required=False,
        max_length=2000,
        widget=forms.URLInput(attrs={"size": 70, "spellcheck": "false"}),
    )
    request_headers = forms.CharField(
        label=gettext_lazy("Headers"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 70, "spellcheck": "false"}),
        help_text=gettext_lazy(
            "One on each line, as Name: value. Credentials are named, not written: Authorization: Bearer secret:NAME."
        ),
    )
    request_body_kind = forms.ChoiceField(
        label=gettext_lazy("Body is"), choices=BODY_KINDS, required=False, initial="json"
    )
    request_body = forms.CharField(
        label=gettext_lazy("Body"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 4, "cols": 70, "spellcheck": "false"}),
    )
    request_success = forms.CharField(
        label=gettext_lazy("Success is"),
        required=False,
        max_length=200,
        initial="2xx",
        help_text=gettext_lazy("Statuses, for example 2xx or 200,204,3xx."),
    )
    request_timeout = forms.FloatField(
        label=gettext_lazy("Answer within"),
        required=False,
        initial=30,
        help_text=gettext_lazy("Seconds until the answer is complete."),
    )
    request_follow = forms.BooleanField(
        label=gettext_lazy("Follow redirects"), required=False, help_text=gettext_lazy("Each hop is checked.")
    )


def fields_of(args: Any, kwargs: Any) -> dict[str, Any] | None:
    """Return the form's values for arguments of `job_request`; None: they are not such as the form can show."""
    try:
        given = _SIGNATURE.bind(*args, **kwargs).arguments
    except TypeError:
        return None
    headers = given.get("headers") or {}
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        return None
    is_text = given.get("body") is not None
    has_json = given.get("json") is not None
    if is_text and (has_json or not isinstance(given["body"], str)):
        return None
    body = (
        given["body"]
        if is_text
        else json.dumps(given["json"], ensure_ascii=False, indent=2)
        if has_json
        else ""
    )
    return {
        "request_method": str(given.get("method", "POST")).upper(),
        "request_url": given["url"],
        "request_headers": "\n".join(f"{name}: {value}" for name, value in headers.items()),
        "request_body_kind": "text" if is_text else "json",
        "request_body": body,
        "request_success": given.get("success", "2xx"),
        "request_timeout": given.get("timeout", 30),
        "request_follow": bool(given.get("follow_redirects", False)),
    }


def request_of(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return the arguments of `job_request` for the form's values, and what is wrong, by field."""
    problems: dict[str, list[str]] = {}
    request: dict[str, Any] = {"url": values.get("request_url") or ""}
    request["method"] = values.get("request_method") or "POST"
    request["headers"] = _headers(values.get("request_headers") or "", problems)
    body = values.get("request_body") or ""
    if body.strip():
        if values.get("request_body_kind") == "text":
            request["body"] = body
        else:
            try:
                request["json"] = json.loads(body)
            except (ValueError, RecursionError) as error:
                problems["request_body"] = [_("This is not JSON: %(error)s.") % {"error": error}]
    request["success"] = values.get("request_success") or "2xx"
    timeout = values.get("request_timeout")
    request["timeout"] = 30 if timeout is None else int(timeout) if timeout == int(timeout) else timeout
    request["follow_redirects"] = bool(values.get("request_follow"))
    if not request["url"]:
        problems["request_url"] = [_("Give the URL to call.")]
    else:
        _ask(problems, "request_url", lambda: check_url(request["url"]))
    for field, names in (
        ("request_headers", ("headers",)),
        ("request_body", ("method", "json", "body")),
        ("request_success", ("success",)),
        ("request_timeout", ("timeout",)),
    ):
        if field not in problems:
            part = {name: request[name] for name in names if name in request}
            _ask(problems, field, lambda part=part: validate_request(url=_PROBE, allowed=(_PROBE,), **part))
    return request, problems


def arguments_of(
    request: Mapping[str, Any], *, before: Mapping[str, Any] | None = None
) -> tuple[list[Any], dict[str, Any]]:
    """Return `args` and `kwargs` of the row; what is as the function has it by itself is left out.

    `before`: the named arguments that the row had; `max_response`, which the form does not show, is kept.
    """
    kwargs: dict[str, Any] = {}
    for name, default in (
        ("method", "POST"),
        ("headers", {}),
        ("json", None),
        ("body", None),
        ("timeout", 30),
        ("success", "2xx"),
        ("follow_redirects", False),
    ):
        value = request.get(name, default)
        if value != default:
            kwargs[name] = value
    if before and "max_response" in before:
        kwargs["max_response"] = before["max_response"]
    return [request["url"]], kwargs


def _headers(text: str, problems: dict[str, list[str]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon:
            problems.setdefault("request_headers", []).append(
                # Without the line: it may be a secret that was pasted here.
                _("Line %(number)d has no colon; write Name: value.") % {"number": number}
            )
            continue
        if name.strip() in headers:
            problems.setdefault("request_headers", []).append(
                _("Header %(name)s is given twice.") % {"name": name.strip()[:100]}
            )
        headers[name.strip()] = value.strip()
    return headers


def _ask(problems: dict[str, list[str]], field: str, check: Any) -> None:
    try:
        check()
    except HttpJobError as error:
        problems.setdefault(field, []).append(translated(error))


def is_request(func: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Say whether a schedule is an HTTP request that the form can show as one."""
    return func == JOB_REQUEST and fields_of(args, kwargs) is not None

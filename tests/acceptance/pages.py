"""The admin through HTTP, as a browser without JavaScript uses it: pages, forms with their CSRF tokens, messages."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import requests

Fields = dict[str, list[str]]


class _Forms(HTMLParser):
    """Collects what each form of a page would send."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Fields] = []
        self.ids: list[str] = []
        self._select = ""
        self._several = False
        self._options: list[str] = []
        self._first_option: str | None = None
        self._area: str | None = None
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, value = given.get("name") or "", given.get("value") or ""
        if tag == "form":
            self.forms.append({})
            self.ids.append(given.get("id") or "")
        elif not self.forms or "disabled" in given:
            return
        elif tag == "input" and name and given.get("type") not in {"submit", "button", "image", "file"}:
            if given.get("type") not in {"checkbox", "radio"}:
                self.forms[-1].setdefault(name, []).append(value)
            elif "checked" in given:
                self.forms[-1].setdefault(name, []).append(given.get("value") or "on")
        elif tag == "select" and name:
            self._select, self._several = name, "multiple" in given
            self._options, self._first_option = [], None
        elif tag == "option" and self._select:
            if self._first_option is None:
                self._first_option = value
            if "selected" in given:
                self._options.append(value)
        elif tag == "textarea" and name:
            self._area, self._text = name, ""

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "select" and self._select:
            chosen = self._options
            if not chosen and not self._several and self._first_option is not None:
                chosen = [self._first_option]
            self.forms[-1][self._select] = chosen
            self._select = ""
        elif tag == "textarea" and self._area is not None:
            self.forms[-1][self._area] = [self._text.removeprefix("\n")]
            self._area = None


def form_of(html: str, *, id: str) -> Fields:
    """Return what the form of that id would send as it stands."""
    parser = _Forms()
    parser.feed(html)
    assert id in parser.ids, f"the page has the forms {parser.ids}:\n{text_of(html)[:1000]}"
    return parser.forms[parser.ids.index(id)]


def text_of(html: str) -> str:
    """Return the words of a page."""
    without = re.sub(r"(?s)<(script|style).*?</\1>|<!--.*?-->", " ", html)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", without))).strip()


def messages_of(html: str) -> str:
    """Return what the admin says at the top of a page."""
    lists = re.findall(r'(?s)<ul class="messagelist">(.*?)</ul>', html)
    return " ".join(text_of(part) for part in lists)


class Admin:
    """A session in the admin."""

    def __init__(self, url: str, *, user: str, password: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.added: list[str] = []
        fields = form_of(self.get("/admin/login/?next=/admin/"), id="login-form")
        fields |= {"username": [user], "password": [password]}
        assert "Log out" in self._post("/admin/login/?next=/admin/", fields).text

    def get(self, path: str) -> str:
        """Return a page."""
        answer = self.session.get(f"{self.url}{path}", timeout=30)
        assert answer.status_code == 200, (
            f"{path} answered {answer.status_code}: {text_of(answer.text)[:3000]}"
        )
        return answer.text

    def save(self, schedule_id: str = "", **values: Any) -> requests.Response:
        """Fill in the form of a schedule, a new one or that of an id, send it, and return the page that follows."""
        path = f"/admin/schedules/schedule/{f'{schedule_id}/change' if schedule_id else 'add'}/"
        fields = form_of(self.get(path), id="schedule_form")
        if "interval" in values:
            values = {"kind": "interval"} | values
        for name, value in values.items():
            if isinstance(value, bool):
                fields.pop(name, None)
                if value:
                    fields[name] = ["on"]
            else:
                fields[name] = [str(value)]
        return self._post(path, fields | {"_save": ["Save"]})

    def add(self, **values: Any) -> str:
        """Add a schedule; return its id."""
        answer = self.save(**values)
        assert answer.url.endswith("/admin/schedules/schedule/"), text_of(answer.text)[:3000]
        self.added.append(self.id_of(values["name"]))
        return self.added[-1]

    def change(self, schedule_id: str, **values: Any) -> str:
        """Change a schedule; return what the admin says."""
        answer = self.save(schedule_id, **values)
        assert answer.url.endswith("/admin/schedules/schedule/"), text_of(answer.text)[:3000]
        return messages_of(answer.text)

    def delete(self, schedule_id: str) -> str:
        """Delete a schedule, confirming it; return what the admin says."""
        path = f"/admin/schedules/schedule/{schedule_id}/delete/"
        token = self.session.cookies["csrftoken"]
        answer = self._post(path, {"csrfmiddlewaretoken": [token], "post": ["yes"]})
        return messages_of(answer.text)

    def id_of(self, name: str) -> str:
        """Return the id of the schedule of that name, from the list."""
        page = self.get(f"/admin/schedules/schedule/?q={requests.utils.quote(name)}")
        found = re.search(
            rf"/admin/schedules/schedule/([0-9a-f-]{{36}})/change/[^>]*>\s*{re.escape(name)}<", page
        )
        assert found is not None, f"no {name} in: {text_of(page)[:2000]}"
        return found[1]

    def _post(self, path: str, fields: Fields) -> requests.Response:
        answer = self.session.post(
            f"{self.url}{path}", data=fields, headers={"Referer": f"{self.url}{path}"}, timeout=60
        )
        assert answer.status_code == 200, (
            f"{path} answered {answer.status_code}: {text_of(answer.text)[:3000]}"
        )
        return answer

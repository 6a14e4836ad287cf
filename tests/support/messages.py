"""Translations: find the messages in the sources, keep each language's `.po` equal to them, compile it.

    python -m tests.support.messages         every language that there is
    python -m tests.support.messages fr      begins one more, as `make messages NEW=fr` does

Needs no tools of the system. It finds what Django's `makemessages` finds: `_`, `gettext` and their relatives in
Python, of Django and of `schedules.texts` alike, and the tags of templates.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from babel.messages import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "schedules"
LOCALE = APP / "locale"
KEYWORDS = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop"), "m"),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), "mp"),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), "cm"),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), "cmp"),
}
"""What the arguments of each are: message, plural, context."""
_CALL = re.compile(rf"\b(?:{'|'.join(KEYWORDS)})\(")
_NOTE = re.compile(r"\s*# (Translators: .*)")


@dataclass(frozen=True)
class Found:
    """One message in the sources."""

    message: str
    plural: str
    context: str
    place: str
    """Path of the file, from the root on."""
    note: str = ""


def messages_in_sources() -> Iterator[Found]:
    """Yield every message of the app, those of one file in the order in which they stand there."""
    for path in sorted(APP.rglob("*.py")):
        if "migrations" not in path.parts:
            yield from in_python(path.read_text(), path.relative_to(ROOT).as_posix())
    for path in sorted(APP.rglob("*.html")):
        yield from in_template(path.read_text(), path.relative_to(ROOT).as_posix())


def in_python(source: str, place: str) -> Iterator[Found]:
    """Yield the messages of a module."""
    lines = source.splitlines()
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        noted = _NOTE.match(lines[call.lineno - 2]) if call.lineno > 1 else None
        yield from _message(call, place, noted[1] if noted else "")


def in_template(source: str, place: str) -> Iterator[Found]:
    """Yield the messages of a template, which Django makes into calls with other letters between."""
    text = templatize(source)
    for start in _CALL.finditer(text):
        end = text.find(")", start.end())
        while end >= 0:
            try:
                call = ast.parse(text[start.start() : end + 1], mode="eval").body
            except SyntaxError:
                end = text.find(")", end + 1)
                continue
            if isinstance(call, ast.Call):
                yield from _message(call, place, "")
            break


def _message(call: ast.Call, place: str, note: str) -> Iterator[Found]:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    roles = KEYWORDS.get(name, "")
    values = [argument.value if isinstance(argument, ast.Constant) else None for argument in call.args]
    texts = dict(zip(roles, values, strict=False))
    if roles and len(texts) == len(roles) and all(isinstance(text, str) for text in texts.values()):
        yield Found(str(texts["m"]), str(texts.get("p", "")), str(texts.get("c", "")), place, note)


def template() -> Catalog:
    """Return a catalog of all messages, without translations."""
    catalog = Catalog(domain="django")
    for found in messages_in_sources():
        catalog.add(
            (found.message, found.plural) if found.plural else found.message,
            context=found.context or None,
            locations=[(found.place, 1)],
            auto_comments=[found.note] if found.note else [],
        )
    return catalog


def languages() -> list[str]:
    """Return the languages that there are."""
    return sorted(path.name for path in LOCALE.iterdir() if path.is_dir())


def po_file(language: str) -> Path:
    """Return where a language's texts are written."""
    return LOCALE / language / "LC_MESSAGES" / "django.po"


def read(language: str) -> Catalog:
    """Return a language's texts."""
    with po_file(language).open("rb") as file:
        return read_po(file, locale=language, domain="django")


def update(language: str) -> list[str]:
    """Bring in new messages, take out those that are gone, compile; return the messages without a translation."""
    path = po_file(language)
    wanted = template()
    if path.exists():
        catalog = read(language)
        wanted.creation_date = catalog.creation_date  # a file that says the same stays the same
        catalog.update(wanted, no_fuzzy_matching=True, update_header_comment=False)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        now = datetime.now(UTC)
        catalog = Catalog(
            locale=language, domain="django", project="schedules", creation_date=now, revision_date=now
        )
        for message in wanted:
            if message.id:
                catalog[message.id] = message
    catalog.obsolete.clear()
    with path.open("wb") as file:
        write_po(file, catalog, width=110, include_lineno=False)
    with path.with_suffix(".mo").open("wb") as file:
        write_mo(file, catalog)
    return [str(message.id) for message in catalog if message.id and not is_complete(message.string)]


def is_complete(translation: str | tuple[str, ...] | list[str]) -> bool:
    """Say whether every form of a translation is there."""
    return bool(translation) and (isinstance(translation, str) or all(translation))


def main(names: list[str]) -> int:
    """Update the named languages, or all; exit code 1 when a translation is missing."""
    missing = False
    for language in names or languages():
        untranslated = update(language)
        print(f"{po_file(language).relative_to(ROOT)}: {len(untranslated)} without a translation")
        for message in untranslated:
            print(f"    {message}")
        missing = missing or bool(untranslated)
    return int(missing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

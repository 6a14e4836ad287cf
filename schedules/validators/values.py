"""Rules for one value, whatever it belongs to: texts, JSON, tags, addresses."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

LONGEST_ARGUMENTS: Final = 200_000
"""Characters of JSON. Arguments are in Redis once per queued job: large things belong in the database."""
LONGEST_TAG: Final = 50
MOST_TAGS: Final = 20

_TRICKS: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
)
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_SEPARATORS: Final = re.compile(r"[\s,;]+")


def shown(value: object) -> str:
    """Quote a refused value for a sentence: printable, and never longer than a line."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def visible_text(text: str) -> str:
    """Make characters visible that hide or turn what stands around them; colours of a terminal are dropped.

    >>> visible_text("a\\x00b\\u202ec")
    'a⟨00⟩b⟨202E⟩c'
    """
    plain = _ANSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _TRICKS.sub(lambda found: f"⟨{ord(found[0]):02X}⟩", plain)


def check_no_nul(text: str) -> None:
    """Refuse what PostgreSQL cannot store in a text: NUL, and halves of surrogate pairs."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValidationError(
            _("The text has a character that cannot be stored (NUL or half of a pair); take it out."),
            code="null_characters_not_allowed",
        )


def check_plain_text(text: str) -> None:
    """Refuse what cannot be shown on one line: control characters, line ends included."""
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            raise ValidationError(
                _("%(value)s has the control character %(character)s; give plain text on one line."),
                code="control_character",
                params={"value": shown(text), "character": f"U+{ord(character):04X}"},
            )


def json_text(value: Any) -> str:
    """Return `value` as JSON, as Django stores it."""
    return json.dumps(value)


def json_problem(value: Any) -> str:
    """Say what keeps `value` from being stored as JSON in every database; empty: nothing does."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:
        return _("It has half of a surrogate pair, which cannot be stored; take it out.")
    except RecursionError:
        return _("It is nested too deeply.")
    except (TypeError, ValueError) as error:
        return _("It is not JSON: %(error)s.") % {"error": error}
    if r"\u0000" in text.replace(r"\\", ""):
        return _("It has a NUL character, which cannot be stored; take it out.")
    if len(text) > LONGEST_ARGUMENTS:
        return _(
            "It has %(length)d characters of JSON, %(most)d is the most; keep large data in the database and "
            "give its key."
        ) % {"length": len(text), "most": LONGEST_ARGUMENTS}
    return ""


def tidy_tags(tags: Any) -> Any:
    """Return tags without spaces around them, without empty and repeated ones; anything else unchanged."""
    if tags is None:
        return []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        return tags
    return list(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))


def tags_problems(tags: Any) -> list[str]:
    """Say what is wrong with a schedule's tags."""
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        return [
            _('%(value)s is not a list of texts; give for example ["shop", "nightly"].')
            % {"value": shown(tags)}
        ]
    problems = []
    if len(tags) > MOST_TAGS:
        problems.append(
            _("There are %(count)d tags; %(most)d is the most.") % {"count": len(tags), "most": MOST_TAGS}
        )
    for tag in tags:
        if len(tag) > LONGEST_TAG:
            problems.append(
                _("The tag %(tag)s has %(length)d characters; %(most)d is the most.")
                % {"tag": shown(tag), "length": len(tag), "most": LONGEST_TAG}
            )
        try:
            check_plain_text(tag)
        except ValidationError as error:
            problems.extend(error.messages)
    return problems


def addresses(text: str) -> list[str]:
    """Return the e-mail addresses in a text, where commas, semicolons, spaces or line ends part them."""
    return [part for part in _SEPARATORS.split(text) if part]


def addresses_problems(text: Any) -> list[str]:
    """Say which of the addresses in a text is none."""
    if not isinstance(text, str):
        return []
    problems = []
    for address in addresses(text):
        try:
            validate_email(address)
        except ValidationError:
            problems.append(
                _("%(value)s is not an e-mail address; give for example ops@example.com.")
                % {"value": shown(address)}
            )
    return problems

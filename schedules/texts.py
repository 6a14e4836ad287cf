"""English texts that remember how they were made, so that a floor above can say them in another language.

The floors below Django's translations (`timing`) and those whose texts are also data (an error that a worker writes
into the ledger is English, whoever looks at it) speak through this module. It is used as Django's is, and the
same tool finds its messages:

    from schedules.texts import gettext as _

    raise TimingError(_("The time zone %(name)s is not known.") % {"name": name})

What comes out is a `str` in English. `schedules.translating.translated` gives it in the language of a request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Text(str):
    """An English text with its message, its values and what else a translation needs."""

    __slots__ = ("context", "forms", "is_sentence", "number", "values")

    forms: tuple[str, ...]
    """The message; with a number, its singular and its plural."""
    values: Mapping[str, Any] | None
    """What stands for the placeholders: texts, `Text`s, numbers. None: it was not formatted."""
    number: int | None
    context: str
    is_sentence: bool
    """Whether it begins with a capital letter, whatever the message does."""

    def __new__(
        cls,
        shown: str,
        forms: tuple[str, ...] = (),
        values: Mapping[str, Any] | None = None,
        number: int | None = None,
        context: str = "",
        is_sentence: bool = False,
    ) -> Text:
        text = super().__new__(cls, shown)
        text.forms, text.values, text.number = forms or (shown,), values, number
        text.context, text.is_sentence = context, is_sentence
        return text

    def __mod__(self, values: Any) -> Text:
        """Put values in, by name. An error stands for its text."""
        kept = {
            name: text_of(value) if isinstance(value, BaseException) else value
            for name, value in values.items()
        }
        return Text(
            super().__mod__(kept), self.forms, kept, self.number, self.context, is_sentence=self.is_sentence
        )

    def as_sentence(self) -> Text:
        """Return it with a capital letter at its beginning, in every language."""
        shown = self[:1].upper() + self[1:]
        return Text(shown, self.forms, self.values, self.number, self.context, is_sentence=True)


class Grouped(int):
    """A number that is shown with a mark between thousands: "8,640"."""

    def __str__(self) -> str:
        return f"{int(self):,}"


def gettext(message: str) -> Text:
    """Return the message as a text."""
    return Text(message)


def pgettext(context: str, message: str) -> Text:
    """Return the message as a text; the context tells translators apart what English says in one word."""
    return Text(message, (message,), context=context)


def ngettext(singular: str, plural: str, number: int) -> Text:
    """Return the message for so many."""
    return Text(singular if number == 1 else plural, (singular, plural), number=number)


def npgettext(context: str, singular: str, plural: str, number: int) -> Text:
    """Return the message for so many, in a context."""
    return Text(singular if number == 1 else plural, (singular, plural), number=number, context=context)


def text_of(error: BaseException) -> str:
    """Return an error's text as it was raised; `str(error)` would have forgotten the message behind it."""
    told = error.args[0] if error.args else None
    return told if isinstance(told, Text) else str(error)


def listed(parts: Sequence[str], *, joint: str = "and") -> str:
    """Join parts as people do: "a, b and c"; with the joint "or", or with "" for commas alone."""
    if len(parts) < 2:
        return parts[0] if parts else ""
    *first, last = parts
    if len(first) > 1:
        first = [listed(first, joint="")]
    template = {
        "and": gettext("%(first)s and %(last)s"),
        "or": gettext("%(first)s or %(last)s"),
        "": gettext("%(first)s, %(last)s"),
    }[joint]
    return template % {"first": first[0], "last": last}

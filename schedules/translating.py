"""Say in the language of a request what a lower floor said in English."""

from __future__ import annotations

from typing import Any

from django.utils import translation
from django.utils.formats import number_format

from schedules.texts import Grouped, Text, text_of


def translated(told: object) -> str:
    """Return a text, or the text of an error, in the active language; what is no `Text` stays as it is."""
    text = text_of(told) if isinstance(told, BaseException) else told
    if not isinstance(text, Text):
        return str(text)
    message = _message(text)
    if text.values is not None:
        message = message % {name: _value(value) for name, value in text.values.items()}
    return message[:1].upper() + message[1:] if text.is_sentence else message


def _message(text: Text) -> str:
    if text.number is not None:
        singular, plural = text.forms
        if text.context:
            return translation.npgettext(text.context, singular, plural, text.number)
        return translation.ngettext(singular, plural, text.number)
    (message,) = text.forms
    return translation.pgettext(text.context, message) if text.context else translation.gettext(message)


def _value(value: Any) -> Any:
    if isinstance(value, Text):
        return translated(value)
    if isinstance(value, Grouped):
        return number_format(int(value), use_l10n=True, force_grouping=True)
    if isinstance(value, float):
        return number_format(str(value))
    return value

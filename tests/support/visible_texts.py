"""What a person sees or hears of a page: texts between tags, and the attributes that are read out or shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from tests.support import messages

SHOWN_ATTRIBUTES = frozenset(
    {"title", "aria-label", "placeholder", "alt", "data-label", "data-json", "data-list", "data-object"}
    | {"data-failed", "label"}
)
_PLACEHOLDER = re.compile(r"%\(\w+\)[0-9.]*[a-z]|%%")
_FEWEST = 3
"""Words of a piece that is looked for inside of texts; one with fewer must be a whole text. Python itself speaks of
"positional arguments"."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self._hidden += 1
        given = dict(attrs)
        is_button = tag == "input" and given.get("type") in ("submit", "button", "reset")
        for name, value in attrs:
            if value and (name in SHOWN_ATTRIBUTES or (is_button and name == "value")):
                self._add(value)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._add(data)

    def _add(self, text: str) -> None:
        line = " ".join(text.split())
        if line:
            self.texts.append(line)


def visible_texts(html: str) -> list[str]:
    """Return the texts of a page, each on one line, in the order in which they stand there."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.texts


class EnglishIn:
    """Finds messages of ours that a language has other words for, left in English."""

    def __init__(self, language: str) -> None:
        self.whole: set[str] = set()
        self.pieces: set[str] = set()
        catalog = [message for message in messages.read(language) if message.id]
        translations = {
            form
            for message in catalog
            for form in (message.string if message.pluralizable else (message.string,))
        }
        for message in catalog:
            forms = message.id if message.pluralizable else (message.id,)
            strings = message.string if message.pluralizable else (message.string,)
            for original in set(forms) - set(strings):
                if not any(original in translation for translation in translations):
                    self.whole.add(original)
                    self.pieces |= set(self._pieces(original))
        self.pieces = {
            piece for piece in self.pieces if not any(piece in translation for translation in translations)
        }

    @staticmethod
    def _pieces(original: str) -> Iterator[str]:
        for piece in _PLACEHOLDER.split(original):
            words = piece.split()
            if len(words) >= _FEWEST:
                yield " ".join(words)

    def __call__(self, texts: list[str]) -> list[str]:
        """Return the texts that are, or hold, English of ours."""
        return [text for text in texts if text in self.whole or any(piece in text for piece in self.pieces)]

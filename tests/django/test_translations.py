"""Each language has every message, whole and with its placeholders; and what is compiled is what is written."""

from __future__ import annotations

import gettext
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from babel.messages import Message
from babel.messages.mofile import write_mo
from django.core import mail
from django.utils import translation
from pytest_django import Settings

from schedules.health.words import seconds_text
from schedules.http import HttpJobError, check_url
from schedules.keeper.alarms import Notice, queue_unattended
from schedules.keeper.notify import send_mail
from schedules.targets import TargetError, resolve
from schedules.texts import gettext as _
from schedules.texts import pgettext
from schedules.timing import (
    CronTrigger,
    IntervalTrigger,
    OnceTrigger,
    TimingError,
    Trigger,
    check_cron,
    describe,
    warnings,
)
from schedules.timing.fields import read_fields
from schedules.timing.wall import WallTimes
from schedules.translating import translated
from tests.support import messages

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLACEHOLDER = re.compile(r"%\(\w+\)[0-9.]*[a-z]|%%")


@pytest.fixture(scope="module", params=messages.languages())
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def _german() -> Iterator[None]:
    with translation.override("de"):
        yield


def entries(language: str) -> list[Message]:
    return [message for message in messages.read(language) if message.id]


def key(message: Any) -> tuple[str, Any]:
    return message.context or "", message.id


class TestCatalog:
    def test_german_is_there(self) -> None:
        assert "de" in messages.languages()

    def test_it_has_exactly_the_messages_of_the_sources(self, language: str) -> None:
        wanted = {key(message) for message in messages.template() if message.id}
        there = {key(message) for message in entries(language)}
        assert len(wanted) > 700
        assert wanted - there == set(), "missing: run `make messages` and translate"
        assert there - wanted == set(), "gone from the sources: run `make messages`"
        assert not messages.read(language).obsolete

    def test_none_is_empty_and_none_is_a_guess(self, language: str) -> None:
        assert [m.id for m in entries(language) if not messages.is_complete(m.string)] == []
        assert [m.id for m in entries(language) if m.fuzzy] == []
        assert not messages.read(language).fuzzy

    def test_every_form_of_a_plural_is_there(self, language: str) -> None:
        count = messages.read(language).num_plurals
        assert [m.id for m in entries(language) if m.pluralizable and len(m.string) != count] == []

    def test_the_placeholders_are_those_of_the_message(self, language: str) -> None:
        wrong = []
        for message in entries(language):
            originals = message.id if message.pluralizable else (message.id,)
            translations = message.string if message.pluralizable else (message.string,)
            allowed = {name for text in originals for name in PLACEHOLDER.findall(text)}
            for place, text in enumerate(translations):
                used = set(PLACEHOLDER.findall(text))
                # A singular may say "one" in its words; whatever else there is stands in every form.
                needed = set(PLACEHOLDER.findall(originals[0])) & set(PLACEHOLDER.findall(originals[-1]))
                if not used <= allowed or not (needed <= used or place == 0):
                    wrong.append((message.id, text))
                if message.python_format and "%" in PLACEHOLDER.sub("", text):
                    wrong.append((message.id, text))
        assert wrong == []

    def test_what_is_compiled_is_what_is_written(self, language: str) -> None:
        written = io.BytesIO()
        write_mo(written, messages.read(language))
        written.seek(0)
        with messages.po_file(language).with_suffix(".mo").open("rb") as file:
            compiled = gettext.GNUTranslations(file)
        fresh = gettext.GNUTranslations(written)
        assert vars(compiled)["_catalog"] == vars(fresh)["_catalog"], "run `make messages`"


class TestExtraction:
    def test_python_and_its_relatives(self) -> None:
        source = (
            '_("a" "b")\n# Translators: a note\nngettext("one", "%(n)d", n)\npgettext("c", "d")\n'
            'texts.gettext("e")\n_(name)\nother("f")\nnpgettext_lazy("g", "h", "i", 2)\n'
        )
        found = [(m.message, m.plural, m.context, m.note) for m in messages.in_python(source, "x.py")]
        assert found == [
            ("ab", "", "", ""),
            ("one", "%(n)d", "", "Translators: a note"),
            ("d", "", "c", ""),
            ("e", "", "", ""),
            ("h", "i", "g", ""),
        ]

    def test_templates(self) -> None:
        source = (
            '{% load i18n %}<p title="{% translate \'a (b)\' %}">{{ x|default:_("c") }}</p>'
            "{% blocktranslate count n=m trimmed %}\n one {{ n }}\n{% plural %} {{ n }} many {% endblocktranslate %}"
            '{% translate "d" context "e" %}{# translate "f" #}'
        )
        found = [(m.message, m.plural, m.context) for m in messages.in_template(source, "x.html")]
        assert found == [
            ("a (b)", "", ""),
            ("c", "", ""),
            ("one %(n)s", "%(n)s many", ""),
            ("d", "", "e"),
        ]


class TestTextsOfTheLowerFloors:
    def test_in_english_they_stay_as_they_are(self) -> None:
        with translation.override("en"):
            trigger = CronTrigger(expression="30 4 * * 1-5", timezone="Europe/Berlin")
            assert translated(describe(trigger)) == describe(trigger)
        assert translated(ValueError("as it is")) == "as it is"
        assert translated("as it is") == "as it is"

    def test_a_language_that_is_not_there_gets_english(self) -> None:
        with translation.override("fr"):
            assert translated(_("every weekday")) == "every weekday"

    @pytest.mark.usefixtures("_german")
    def test_errors_within_errors(self) -> None:
        with pytest.raises(TimingError) as caught:
            check_cron("75 * * * *")
        assert translated(caught.value) == "Minute 75 gibt es nicht: Erlaubt ist ein Wert von 0 bis 59."
        assert str(caught.value) == "minute 75 is not between 0 and 59."
        with pytest.raises(TargetError) as refused:
            resolve("os.system")
        assert translated(refused.value).startswith("os.system lässt sich nicht einplanen: ")
        with pytest.raises(HttpJobError) as wrong:
            check_url("ftp://example.com/")
        assert "ist als Schema nicht erlaubt" in translated(wrong.value)

    @pytest.mark.usefixtures("_german")
    def test_an_unknown_context_is_no_translation(self) -> None:
        assert translated(pgettext("every", "Monday")) == "montags"
        assert translated(pgettext("on the first", "Monday")) == "Montag"


@pytest.mark.usefixtures("_german")
class TestGermanWords:
    @pytest.mark.parametrize(
        "expression,sentence",
        [
            ("30 4 * * 1-5", "Montags bis freitags um 04:30 Uhr"),
            ("*/15 9-17 * * 1-5", "Alle 15 Minuten von 09:00 bis 17:45 Uhr, montags bis freitags"),
            ("0 * * * *", "Jede Stunde"),
            ("5,10 * * * *", "In den Minuten 5 und 10 jeder Stunde"),
            ("*/5 1,3 * * 2", "Alle 5 Minuten der Stunden 1 und 3, dienstags"),
            ("0 8 * * 1,3,5", "Montags, mittwochs und freitags um 08:00 Uhr"),
            ("0 18 * * 5L", "Am letzten Freitag jedes Monats um 18:00 Uhr"),
            ("0 0 * 3 2,1#2", "Dienstags im März und am zweiten Montag im März um 00:00 Uhr"),
            ("0 0 1,22,23,31 * *", "Am 1., 22., 23. und 31. jedes Monats um 00:00 Uhr"),
            ("0 0 15,L * *", "Am 15. und letzten Tag jedes Monats um 00:00 Uhr"),
            ("0 0 29 2 *", "Am 29. Februar um 00:00 Uhr"),
            ("0 0 1 1-3,7 *", "Am 1. der Monate Januar bis März und Juli um 00:00 Uhr"),
            ("5 0 * 8 *", "Täglich im August um 00:05 Uhr"),
            ("0 0 13 * 5", "Am 13. jedes Monats und außerdem freitags um 00:00 Uhr"),
            ("0 0 */15 * 1", "Montags (nur am 1., 16. oder 31. des Monats) um 00:00 Uhr"),
            ("*/10 30 1-20 * * *", "Alle 10 Sekunden der Minute 30 der Stunden 1 bis 20"),
        ],
    )
    def test_a_cron_expression(self, expression: str, sentence: str) -> None:
        trigger = CronTrigger(expression=expression, timezone="Europe/Paris")
        assert translated(describe(trigger, with_zone=False)) == sentence
        assert translated(describe(trigger)) == f"{sentence}, Europe/Paris"

    @pytest.mark.parametrize(
        "trigger,sentence",
        [
            (IntervalTrigger(every=1, anchor=START), "Jede Sekunde"),
            (IntervalTrigger(every=5400, anchor=START), "Alle 90 Minuten"),
            (IntervalTrigger(every=86_400, anchor=START), "Alle 24 Stunden"),
            (
                OnceTrigger(at=START, ends_at=START + timedelta(days=4)),
                "Einmal, am 1. März 2026 um 12:00 Uhr UTC, bis 5. März 2026 um 12:00 Uhr UTC",
            ),
        ],
    )
    def test_intervals_and_moments(self, trigger: Trigger, sentence: str) -> None:
        assert translated(describe(trigger)) == sentence

    def test_different_slots_are_told_in_different_words(self) -> None:
        seen: dict[str, tuple[object, str]] = {}
        days = product(
            ("*", "1", "1,15", "8-14", "*/15", "L", "LW", "L,LW", "1,L"),
            ("*", "2", "1-3", "4,6"),
            ("*", "0", "1-5", "6,0", "1#1", "5L", "1,1#1", "2-4", "*/2"),
        )
        times = product(("*", "5", "*/7", "5,35"), ("*", "0", "*/6", "9-17", "1,3"))
        expressions = [f"{minute} {hour} * * *" for minute, hour in times]
        expressions += [f"0 7 {day} {month} {weekday}" for day, month, weekday in days]
        for expression in expressions:
            try:
                sentence = translated(describe(CronTrigger(expression=expression)))
            except TimingError:
                continue
            fields = read_fields(expression)
            walls = WallTimes(fields)
            shapes = [(length, first) for length in (28, 29, 30, 31) for first in range(7)]
            meaning = (
                *(fields.minutes, fields.hours, fields.months),
                tuple(walls._mask(length, first) for length, first in shapes),
            )
            assert seen.setdefault(sentence, (meaning, expression))[0] == meaning, (expression, sentence)
        assert len(seen) > 250

    def test_cautions_with_german_dates_and_numbers(self) -> None:
        texts = [
            translated(caution.text)
            for expression in ("30 2 * * *", "*/10 * * * * *", "0 0 31 * *")
            for caution in warnings(CronTrigger(expression=expression, timezone="Europe/Paris"), START)
        ]
        assert texts[0] == (
            "Am 29.03.2026 gibt es 02:30 Uhr in Europe/Paris nicht, weil die Uhren vorgestellt werden: "
            "Der Lauf kommt gleich danach, um 03:00 Uhr (29.03.2026 01:00 UTC)."
        )
        assert "bis zu 8.640 Läufe am Tag" in texts[2]
        assert texts[3].startswith("Den 31. gibt es im Februar, April, Juni, September oder November nicht")

    def test_measured_lengths_have_a_comma(self) -> None:
        assert [seconds_text(length) for length in (0.25, 3.14, -2.5, 75)] == [
            "250 ms",
            "3,1 s",
            "−2,5 s",
            "1 min 15 s",
        ]


class TestMessagesToPeople:
    """What the keeper sends is in the language of the project, and what it keeps is English."""

    def notice(self) -> Notice:
        notice = queue_unattended("low", 3)
        return Notice(
            kind=notice.kind, subject=notice.subject, text=notice.text, addresses=("ops@example.com",)
        )

    def test_a_project_in_german_sends_german_mail(self, settings: Settings) -> None:
        settings.LANGUAGE_CODE = "de"
        translation.deactivate()
        send_mail(self.notice())
        (message,) = mail.outbox
        assert message.subject.endswith("kein Worker bedient die Warteschlange low")
        assert "warten 3 Läufe, und kein Worker bedient sie" in str(message.body)

    def test_one_in_english_sends_english_mail(self) -> None:
        send_mail(self.notice())
        (message,) = mail.outbox
        assert "3 runs wait in queue 'low' and no worker listens on it." in str(message.body)

    def test_what_is_logged_is_english(self, settings: Settings) -> None:
        settings.LANGUAGE_CODE = "de"
        assert self.notice().text.startswith("3 runs wait in queue 'low'")

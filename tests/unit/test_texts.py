"""English texts that can still be said in another language."""

from __future__ import annotations

import json
import pickle

from schedules.texts import Grouped, Text, gettext, listed, ngettext, npgettext, pgettext, text_of
from schedules.timing import TimingError, check_cron


def test_a_text_is_its_english_words() -> None:
    text = gettext("%(day)s at %(time)s") % {"day": gettext("every day"), "time": "07:00"}
    assert text == "every day at 07:00"
    assert json.dumps({"text": text}) == '{"text": "every day at 07:00"}'
    assert hash(text) == hash("every day at 07:00")


def test_it_remembers_the_message_and_the_values() -> None:
    text = npgettext("runs", "%(count)d run", "%(count)d runs", 3) % {"count": 3}
    assert (str(text), text.forms, text.context) == ("3 runs", ("%(count)d run", "%(count)d runs"), "runs")
    assert (text.values, text.number) == ({"count": 3}, 3)
    assert ngettext("one", "many", 1) == "one"
    assert pgettext("a", "b") == "b"


def test_a_capital_letter_is_no_part_of_the_message() -> None:
    text = (gettext("every %(name)s") % {"name": "Monday"}).as_sentence()
    assert (text, text.forms) == ("Every Monday", ("every %(name)s",))


def test_parts_are_listed() -> None:
    assert [listed(parts) for parts in ([], ["a"], ["a", "b"], ["a", "b", "c", "d"])] == [
        "",
        "a",
        "a and b",
        "a, b, c and d",
    ]
    assert listed(["a", "b", "c"], joint="or") == "a, b or c"


def test_a_large_number_has_a_mark_between_thousands() -> None:
    assert gettext("%(count)s runs") % {"count": Grouped(86_400)} == "86,400 runs"


def test_an_error_keeps_its_text_and_tells_it_to_the_next() -> None:
    try:
        check_cron("75 * * * *")
    except TimingError as error:
        kept = text_of(error)
        outer = gettext("Wrong: %(error)s") % {"error": error}
    assert isinstance(kept, Text)
    assert kept == "minute 75 is not between 0 and 59."
    assert outer == "Wrong: minute 75 is not between 0 and 59."
    assert outer.values is not None
    assert outer.values["error"] == kept
    assert text_of(ValueError("plain")) == "plain"
    assert text_of(KeyError()) == ""


def test_it_can_be_pickled() -> None:
    text = gettext("at %(time)s") % {"time": "07:00"}
    again = pickle.loads(pickle.dumps(text))
    assert (again, again.forms, again.values) == (text, text.forms, text.values)

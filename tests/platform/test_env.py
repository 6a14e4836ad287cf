"""A wrong variable is told of by its name and what is allowed."""

from __future__ import annotations

import pytest

from scheduler_project import env


@pytest.fixture(autouse=True)
def _variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("X", raising=False)


@pytest.mark.parametrize("text, wanted", [("1", True), ("Yes", True), ("off", False), ("FALSE", False)])
def test_a_flag_is_read_in_any_case(monkeypatch: pytest.MonkeyPatch, text: str, wanted: bool) -> None:
    monkeypatch.setenv("X", text)
    assert env.flag("X", default=not wanted) is wanted


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("X", text)
    assert not env.is_set("X")
    assert env.flag("X", default=True) is True
    assert env.whole_number("X", default=7, minimum=1, maximum=9) == 7
    assert env.words("X", default=["a"]) == ["a"]
    assert env.text("X", default="d") == "d"


def test_words_are_parted_by_commas_and_empty_ones_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", " a, b ,,c,")
    assert env.words("X") == ["a", "b", "c"]


@pytest.mark.parametrize(
    "text, read, told",
    [
        ("maybe", lambda: env.flag("X", default=True), "X is 'maybe'; allowed are 1, true, yes, on and 0,"),
        (
            "ten",
            lambda: env.whole_number("X", default=1, minimum=1, maximum=9),
            "X is 'ten'; allowed is a whole number from 1 to 9.",
        ),
        ("10", lambda: env.whole_number("X", default=1, minimum=1, maximum=9), "from 1 to 9"),
        ("0", lambda: env.whole_number("X", default=1, minimum=1, maximum=9), "from 1 to 9"),
        ("loud", lambda: env.choice("X", default="A", allowed=("A", "B")), "X is 'LOUD'; allowed are A, B."),
        (
            "Mars/Base",
            lambda: env.zone("X", default="UTC"),
            "X is 'Mars/Base'; allowed is the name of an IANA",
        ),
        ("../etc", lambda: env.zone("X", default="UTC"), "X is '../etc'"),
        ("Europe", lambda: env.zone("X", default="UTC"), "X is 'Europe'"),
        ("ftp://h/", lambda: env.url("X", default="", schemes=("http",)), "allowed is http://…"),
        ("http://", lambda: env.url("X", default="", schemes=("http",)), "X is not a URL"),
        ("http://h:port/", lambda: env.url("X", default="", schemes=("http",)), "X is not a URL"),
        ("http://[::1/", lambda: env.url("X", default="", schemes=("http",)), "X is not a URL"),
    ],
)
def test_a_wrong_value_is_told_of(
    monkeypatch: pytest.MonkeyPatch, text: str, read: object, told: str
) -> None:
    monkeypatch.setenv("X", text)
    with pytest.raises(env.EnvError) as caught:
        read()  # type: ignore[operator]
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_url_that_is_refused_is_not_repeated_for_it_may_hold_a_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("X", "redis+ftp://user:hunter2@host/")
    with pytest.raises(env.EnvError) as caught:
        env.url("X", default="", schemes=("redis",))
    assert "hunter2" not in str(caught.value)

"""What a schedule may say, and what is answered to the rest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from pytest_django import Settings

from schedules.models import Schedule
from schedules.validators import schedule_errors

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)

pytestmark = pytest.mark.django_db


def make(**fields: Any) -> Schedule:
    defaults: dict[str, Any] = {
        "name": "news",
        "func": "tests.shop.jobs.sync_orders",
        "args": [5],
        "kind": "interval",
        "interval": 60,
        "timezone": "UTC",
        "created_at": NOW,
    }
    return Schedule(**{**defaults, **fields})


def errors_of(schedule: Schedule) -> dict[str, list[str]]:
    try:
        schedule.full_clean()
    except ValidationError as error:
        return error.message_dict
    return {}


def said_of(field: str, **fields: Any) -> str:
    """What is said of one field; nothing may be said of any other."""
    errors = errors_of(make(**fields))
    assert set(errors) == {field}
    return " ".join(errors[field])


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"interval": 0},
        {"interval": -5},
        {"kind": "cron", "interval": None, "cron": "0 7 * * 1-5", "timezone": "Europe/Paris"},
        {"kind": "cron", "cron": "@daily"},
        {"kind": "once", "run_at": datetime(2999, 1, 1, tzinfo=UTC)},
        {"func": "tests.shop.jobs.sync_stock", "args": []},
        {"func": "tests.shop.marked.digest", "args": [], "kwargs": {"user_id": 3}},
        {"queue": "low", "timeout": -1, "result_ttl": -1, "jitter": 59, "max_runs": 1},
        {"result_ttl": 0, "catchup_window": 0, "grace": 1, "keep_days": 1, "keep_runs": 1},
        {"retry_max": 3, "retry_min_backoff": 5, "retry_max_backoff": 5},
        {"starts_at": NOW, "ends_at": datetime(2999, 1, 1, tzinfo=UTC)},
        {"notify_email": "ops@example.com, dev@example.com\nnight@example.com", "tags": ["shop", "größe"]},
        {"name": "Übersicht <b> 🎉 \u202egnp", "description": "Two\nlines"},
    ],
)
def test_what_makes_sense_is_accepted(fields: dict[str, Any]) -> None:
    assert errors_of(make(**fields)) == {}


def test_all_problems_are_told_at_once_each_at_its_field() -> None:
    schedule = make(
        name="two\nlines",
        func="os.system",
        args={"a": 1},
        kwargs=[1],
        queue="fast",
        timezone="Mars/Olympus",
        interval=10,
        jitter=10,
        max_runs=0,
        timeout=0,
        result_ttl=-2,
        misfire_policy="later",
        overlap_policy="maybe",
        catchup_window=-1,
        retry_max=101,
        retry_min_backoff=10,
        retry_max_backoff=9,
        grace=0,
        failure_threshold=0,
        keep_days=0,
        keep_runs=0,
        notify_email="nobody",
        tags="shop",
        starts_at=NOW + HOUR,
        ends_at=NOW,
    )
    errors = errors_of(schedule)
    assert set(errors) == {
        "name",
        "func",
        "args",
        "kwargs",
        "queue",
        "timezone",
        "jitter",
        "max_runs",
        "timeout",
        "result_ttl",
        "misfire_policy",
        "overlap_policy",
        "catchup_window",
        "retry_max",
        "retry_max_backoff",
        "grace",
        "failure_threshold",
        "keep_days",
        "keep_runs",
        "notify_email",
        "tags",
        "ends_at",
    }
    assert all(len(problems) == 1 for problems in errors.values())


class TestWhat:
    @pytest.mark.parametrize(
        "func, text",
        [
            ("", "This field cannot be blank"),
            ("sync_orders", "is not a dotted path; give module and function"),
            ("os.system", "belongs to Python itself"),
            ("tests.shop.jobs.run", "defined in subprocess, not here"),
            ("tests.shop.plain.drop_everything", "Allowed are public functions"),
            ("tests.shop.jobs.sync_order", "has no 'sync_order'"),
            ("tests.shop.failing.anything", "RuntimeError: no licence on this host"),
        ],
    )
    def test_a_function_that_is_missing_or_not_allowed(self, func: str, text: str) -> None:
        assert text in said_of("func", func=func)

    @pytest.mark.parametrize(
        "args, kwargs, field, text",
        [
            ([], {}, "args", "missing a required argument: 'since_minutes'"),
            ([1, 2], {}, "args", "too many positional arguments"),
            ([1], {"ful": 1}, "kwargs", "got an unexpected keyword argument 'ful'"),
            ({"a": 1}, {}, "args", "is not a JSON list; give for example"),
            ("5", {}, "args", "is not a JSON list"),
            ([1], ["full"], "kwargs", "is not a JSON object; give for example"),
            ([float("nan")], {}, "args", "It is not JSON"),
            ([{1, 2}], {}, "args", "is not JSON"),
            (["a\0b"], {}, "args", "NUL character"),
            ([1], {"full": "\ud800"}, "kwargs", "half of a surrogate pair"),
            (["x" * 300_000], {}, "args", "200000 is the most"),
        ],
    )
    def test_arguments_that_do_not_fit(self, args: Any, kwargs: Any, field: str, text: str) -> None:
        errors = schedule_errors(make(args=args, kwargs=kwargs), now=NOW, adding=True)
        assert list(errors) == [field]
        assert text in errors[field][0]

    def test_a_backslash_before_u0000_is_no_nul(self) -> None:
        assert errors_of(make(args=[r"\u0000"])) == {}

    def test_empty_arguments_of_a_form_are_none_at_all(self) -> None:
        schedule = make(func="tests.shop.marked.digest", args=None, kwargs=None, tags=None)
        assert errors_of(schedule) == {}
        assert (schedule.args, schedule.kwargs, schedule.tags) == ([], {}, [])

    def test_a_function_that_a_deploy_took_away_lets_a_schedule_at_rest_be_edited(self) -> None:
        gone = {"func": "tests.shop.jobs.gone", "args": []}
        schedule = make(**gone)
        schedule.save()
        assert "func" in errors_of(schedule)
        schedule.enabled = False
        assert errors_of(schedule) == {}
        schedule.enabled = True
        schedule.pause(at=NOW, until=NOW + HOUR)
        assert "func" in errors_of(schedule)
        schedule.pause(at=NOW)
        assert errors_of(schedule) == {}
        schedule.func = "os.system"
        assert "func" in errors_of(schedule)
        assert "func" in errors_of(make(name="new", enabled=False, **gone))

    def test_a_queue_that_is_not_in_the_settings(self, settings: Settings) -> None:
        settings.RQ_QUEUES = {"default": {}, "mail": {}}
        assert said_of("queue", queue="fast") == "There is no queue 'fast'; the settings have default, mail."

    @pytest.mark.parametrize("name", ["a\nb", "a\0b", "a\tb", "\x1b[31m", "a\u2028b"])
    def test_a_name_is_one_line_of_plain_text(self, name: str) -> None:
        assert "give plain text on one line" in " ".join(errors_of(make(name=name))["name"])

    def test_a_name_is_taken_once(self) -> None:
        make().save()
        assert "already exists" in said_of("name")

    def test_tags_are_short_texts_and_are_tidied(self) -> None:
        schedule = make(tags=[" shop ", "prod", "shop", ""])
        assert errors_of(schedule) == {}
        assert schedule.tags == ["shop", "prod"]
        assert "51 characters" in said_of("tags", tags=["x" * 51])
        assert "20 is the most" in said_of("tags", tags=[str(n) for n in range(21)])
        assert "is not a list of texts" in said_of("tags", tags=[1])
        assert "control character" in said_of("tags", tags=["a\0b"])

    def test_each_address_that_is_none_is_named(self) -> None:
        said = said_of("notify_email", notify_email="ops@example.com; nobody\n@example.com")
        assert "'nobody'" in said
        assert "'@example.com'" in said
        assert "'ops@example.com'" not in said


class TestWhen:
    @pytest.mark.parametrize("kind, kept", [("interval", "interval"), ("cron", "cron"), ("once", "run_at")])
    def test_what_a_kind_does_not_use_is_null(self, kind: str, kept: str) -> None:
        values = {"interval": 60, "cron": "* * * * *", "run_at": datetime(2999, 1, 1, tzinfo=UTC)}
        schedule = make(kind=kind, **values)
        assert errors_of(schedule) == {}
        for field, value in values.items():
            assert getattr(schedule, field) == (value if field == kept else None)

    @pytest.mark.parametrize(
        "fields, field, text",
        [
            ({"interval": None}, "interval", "is empty; give seconds"),
            ({"interval": 400_000_000}, "interval", "400000000"),
            ({"kind": "cron"}, "cron", "is empty; give for example"),
            ({"kind": "cron", "cron": ""}, "cron", "is empty; give for example"),
            ({"kind": "cron", "cron": "75 * * * *"}, "cron", "75"),
            ({"kind": "cron", "cron": "0 0 30 2 *"}, "cron", "never"),
            ({"kind": "once"}, "run_at", "is empty; give a moment in the future"),
            ({"kind": "weekly"}, "kind", "'weekly' is not a valid choice"),
            ({"timezone": "Mars/Olympus"}, "timezone", "'Mars/Olympus'"),
            ({"timezone": ""}, "timezone", ""),
            ({"starts_at": NOW, "ends_at": NOW}, "ends_at", "must be later than the start"),
            ({"ends_at": NOW.replace(tzinfo=None)}, "ends_at", "has no time zone; give an aware moment"),
            ({"ends_at": NOW - HOUR}, "ends_at", "Nothing is ever due between the start and the end"),
            ({"ends_at": NOW + HOUR}, "ends_at", "It would never run: nothing is due after now"),
            ({"jitter": 60}, "jitter", "60 seconds is not less than the 60 seconds between two slots"),
            ({"kind": "cron", "cron": "0,5 * * * *", "jitter": 300}, "jitter", "the 300 seconds between"),
        ],
    )
    def test_a_trigger_that_is_incomplete_or_cannot_fire(
        self, fields: dict[str, Any], field: str, text: str
    ) -> None:
        errors = schedule_errors(make(**fields), now=NOW + 2 * HOUR, adding=True)
        if field == "kind" or fields.get("timezone") == "":
            errors = errors_of(make(**fields))
        assert list(errors) == [field]
        assert text in errors[field][0]

    def test_a_moment_in_the_past_is_refused_for_a_new_schedule_and_left_alone_in_an_old_one(self) -> None:
        schedule = make(kind="once", run_at=NOW)
        assert "is in the past; give a moment later than now" in errors_of(schedule)["run_at"][0]
        assert "run_at" not in schedule_errors(schedule, now=NOW - HOUR, adding=True)
        schedule.clean_fields()
        schedule.interval = None
        schedule.save()
        schedule.name = "renamed"
        assert errors_of(schedule) == {}

    def test_a_schedule_that_is_over_can_be_edited(self) -> None:
        schedule = make(ends_at=NOW + HOUR)
        assert "ends_at" in errors_of(schedule)
        schedule.save()
        assert errors_of(schedule) == {}

    def test_an_empty_interval_is_enough_where_the_environment_gives_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for value in ("30", "-1"):
            monkeypatch.setenv("SCHEDULE_NEWS_INTERVAL", value)
            assert errors_of(make(interval=None)) == {}
        monkeypatch.setenv("SCHEDULE_NEWS_INTERVAL", "often")
        assert "SCHEDULE_NEWS_INTERVAL is 'often'" in said_of("interval", interval=None)

    @pytest.mark.parametrize("field", ["run_at", "starts_at", "ends_at"])
    def test_what_is_no_moment_is_told_by_its_field(self, field: str) -> None:
        errors = errors_of(make(kind="once", **{"run_at": NOW + HOUR, field: "tomorrow"}))
        assert "invalid" in errors[field][0]

    @pytest.mark.parametrize("field", ["interval", "jitter", "timeout", "retry_max", "keep_days"])
    def test_what_is_no_number_is_told_by_its_field(self, field: str) -> None:
        assert "must be an integer" in said_of(field, **{field: "soon"})


class TestHow:
    @pytest.mark.parametrize(
        "field, value, text",
        [
            ("max_runs", 0, "0 is not allowed; give 1 to "),
            ("jitter", -1, "-1 is not allowed; give 0 to 86400."),
            ("timeout", 0, "0 is not allowed; give 1 to 316224000, or -1 for without end."),
            ("timeout", -2, "-2 is not allowed"),
            ("result_ttl", -2, "-2 is not allowed; give 0 to 316224000, or -1"),
            ("catchup_window", -1, "-1 is not allowed; give 0 to"),
            ("retry_max", 101, "101 is not allowed; give 0 to 100."),
            ("retry_max", -1, "-1 is not allowed"),
            ("retry_min_backoff", -1, "-1 is not allowed"),
            ("retry_max_backoff", 4, "The longest wait, 4, is less than the first, 5; give 5 or more."),
            ("grace", 0, "0 is not allowed; give 1 to"),
            ("failure_threshold", 0, "0 is not allowed"),
            ("keep_days", 0, "0 is not allowed"),
            ("keep_runs", 0, "0 is not allowed"),
            ("misfire_policy", "later", "'later' is not a valid choice"),
            ("overlap_policy", "maybe", "'maybe' is not a valid choice"),
        ],
    )
    def test_a_value_out_of_range_is_told_with_the_range(self, field: str, value: Any, text: str) -> None:
        assert text in said_of(field, **{field: value})


@pytest.mark.parametrize(
    "field,args,kwargs,reason",
    [
        ("args", ["http://evil.example/v1/jobs/x"], {}, "lies under none of SCHEDULES_HTTP_ALLOWED"),
        ("args", ["http://127.0.0.1:8000/v1/jobs/../admin"], {"json": {}}, "lies under none of"),
        ("args", ["https://169.254.169.254/latest/"], {}, "metadata"),
        ("args", ["http://127.0.0.1:8000/v1/jobs/x", "FETCH"], {}, "'FETCH' is not a method"),
        ("kwargs", [], {"url": "http://evil.example/"}, "lies under none of"),
        ("kwargs", ["http://127.0.0.1:8000/v1/jobs/x"], {"success": "ok"}, "'ok' is not a success code"),
        (
            "kwargs",
            ["http://127.0.0.1:8000/v1/jobs/x"],
            {"headers": {"Authorization": "Bearer hunter2"}},
            "secret:NAME",
        ),
    ],
)
def test_an_http_request_that_may_not_be_sent_is_refused_at_its_field(
    settings: Settings, field: str, args: list[Any], kwargs: dict[str, Any], reason: str
) -> None:
    settings.SCHEDULES_HTTP_ALLOWED = ["http://127.0.0.1:8000/v1/jobs/", "https://*"]
    said = said_of(field, func="schedules.job.job_request", args=args, kwargs=kwargs)
    assert reason in said
    assert "hunter2" not in said


def test_an_http_request_that_may_be_sent_is_saved_with_the_names_of_its_secrets(settings: Settings) -> None:
    settings.SCHEDULES_HTTP_ALLOWED = ["http://127.0.0.1:8000/v1/jobs/"]
    headers = {"Authorization": "Bearer secret:TOKEN"}
    schedule = make(
        func="schedules.job.job_request",
        args=["http://127.0.0.1:8000/v1/jobs/news"],
        kwargs={"headers": headers, "json": {"edition": 1}},
    )
    assert errors_of(schedule) == {}

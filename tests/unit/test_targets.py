"""What a schedule may call, and what it may not."""

from __future__ import annotations

import logging
import sys

import pytest
from pytest_django import Settings

from schedules import targets
from schedules.targets import TargetNotAllowedError, TargetNotFoundError, resolve, schedulable
from tests.shop import jobs, plain


@pytest.mark.parametrize(
    "path",
    [
        "tests.shop.jobs.sync_orders",
        "tests.shop.jobs.sync_stock",
        "tests.shop.jobs.decorated",
        "tests.shop.jobs.reports.refresh",
        "tests.shop.jobs.refresh",  # re-exported within the package
        "tests.shop.job.listed",
        "tests.shop.marked.digest",
        "tests.shop.jobs.digest",  # re-exported, but marked
    ],
)
def test_public_functions_of_job_modules_and_marked_ones_are_allowed(path: str) -> None:
    assert targets.is_allowed(path)


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "posix.system",
        "os.path.join",
        "subprocess.run",
        "subprocess.check_output",
        "subprocess.Popen",
        "builtins.eval",
        "builtins.exec",
        "builtins.__import__",
        "importlib.import_module",
        "shutil.rmtree",
        "pickle.loads",
        "pty.spawn",
        "webbrowser.open",
        "code.interact",
        "django.core.management.call_command",
        "django.db.connection.cursor",
        "django_rq.jobs.get_job_class",
        "rq.job.Job",
        "rq.utils.import_attribute",
        "schedules.targets.resolve",
        "tests.shop.plain.drop_everything",
        "tests.shop.marked.unmarked",
        "tests.shop.job.unlisted",
    ],
)
def test_everything_else_is_refused(path: str) -> None:
    with pytest.raises(TargetNotAllowedError, match=r"Allowed are public functions|__all__ does not list"):
        resolve(path)


@pytest.mark.parametrize(
    "name, problem",
    [
        ("system", "built into Python"),
        ("evaluate", "built into Python"),
        ("run", "defined in subprocess, not here"),
        ("rmtree", "defined in shutil, not here"),
        ("wrapped_system", "defined in subprocess, not here"),
        ("drop_everything", "defined in tests.shop.plain, not here"),
        ("partial_run", "not a function but a partial"),
        ("anonymous", "a lambda"),
        ("numbers", "a generator"),
        ("letters", "a generator"),
        ("_private", "'_private' is private"),
        ("public_name_of_private", "the private function '_private'"),
        ("Job", "a class"),
        ("instance", "not a function but a Job"),
        ("bound", "not a function but a method"),
        ("os", "a module"),
        ("CALLS", "not a function but a list"),
    ],
)
def test_a_jobs_module_does_not_open_what_it_imports_or_what_is_no_function(name: str, problem: str) -> None:
    with pytest.raises(TargetNotAllowedError, match=problem):
        resolve(f"tests.shop.jobs.{name}")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "sync_orders",
        ".",
        "tests..jobs",
        "tests.shop.jobs.",
        "tests/shop/jobs.sync",
        "tests.shop.jobs.sync_orders()",
        "tests.shop.jobs.sync orders",
        "tests.shop.jobs.sync_orders\0",
        "tests.shop.jobs." + "x" * 300,
        None,
        7,
    ],
)
def test_what_is_no_dotted_path_is_refused_with_an_example(path: object) -> None:
    with pytest.raises(TargetNotFoundError, match="dotted path"):
        resolve(path)  # type: ignore[arg-type]


def test_a_name_that_is_missing_is_told_with_the_names_that_there_are() -> None:
    with pytest.raises(
        TargetNotFoundError,
        match=r"has no 'sync_order'\. It has: decorated, digest, logged, refresh, sync_orders, sync_stock",
    ):
        resolve("tests.shop.jobs.sync_order")


def test_a_job_module_that_is_missing_is_told_with_what_python_says() -> None:
    with pytest.raises(
        TargetNotFoundError, match=r"ModuleNotFoundError: No module named 'tests\.shop\.jobs\.nope'"
    ):
        resolve("tests.shop.jobs.nope.sync")


def test_whatever_a_module_raises_at_import_is_the_answer() -> None:
    with pytest.raises(TargetNotFoundError, match="RuntimeError: no licence on this host"):
        resolve("tests.shop.failing.anything")


def test_a_script_that_exits_at_import_ends_nobody() -> None:
    with pytest.raises(TargetNotFoundError, match="a script that exits"):
        resolve("tests.shop.leaving.anything")


@pytest.mark.parametrize(
    "path", ["tests.shop.untouched.anything", "antigravity.fly", "this.c", "no.such.module"]
)
def test_a_module_that_no_rule_can_allow_is_not_even_imported(path: str) -> None:
    with pytest.raises(TargetNotAllowedError):
        resolve(path)
    assert path.rpartition(".")[0] not in sys.modules


class TestPrefixes:
    def test_a_prefix_allows_a_module_a_package_or_one_function(self, settings: Settings) -> None:
        for prefix in ("tests.shop.plain", "tests.shop", "tests.shop.plain.drop_everything"):
            settings.SCHEDULES_ALLOWED_TARGETS = [prefix]
            assert targets.is_allowed("tests.shop.plain.drop_everything")

    def test_a_prefix_ends_at_a_dot(self, settings: Settings) -> None:
        settings.SCHEDULES_ALLOWED_TARGETS = ["tests.shop.pl", "tests.shop.plain.drop"]
        assert not targets.is_allowed("tests.shop.plain.drop_everything")

    def test_a_prefix_does_not_open_what_a_module_under_it_imports(self, settings: Settings) -> None:
        settings.SCHEDULES_ALLOWED_TARGETS = ["tests.shop.jobs"]
        assert not targets.is_allowed("tests.shop.jobs.drop_everything")
        assert not targets.is_allowed("tests.shop.jobs.run")

    def test_a_prefix_never_opens_the_standard_library(self, settings: Settings) -> None:
        settings.SCHEDULES_ALLOWED_TARGETS = ["subprocess", "os.system", "builtins"]
        for path in ("subprocess.run", "os.system", "builtins.eval", "tests.shop.jobs.run"):
            with pytest.raises(TargetNotAllowedError):
                resolve(path)

    def test_the_message_names_the_prefixes(self, settings: Settings) -> None:
        settings.SCHEDULES_ALLOWED_TARGETS = ["billing.tasks"]
        with pytest.raises(TargetNotAllowedError, match=r"and what is under billing\.tasks"):
            resolve("tests.shop.plain.drop_everything")


def test_a_target_tells_what_its_function_is() -> None:
    target = resolve("tests.shop.jobs.sync_orders")
    assert target.func is jobs.sync_orders
    assert target.doc == "Pull new orders from the shop."
    assert target.signature_text == "(since_minutes: int, *, full: bool = False) -> int"
    assert (target.label, target.queue) == ("tests.shop.jobs.sync_orders", "")


def test_a_mark_gives_label_and_queue() -> None:
    target = resolve("tests.shop.marked.digest")
    assert (target.label, target.queue) == ("Daily digest", "low")


def test_only_functions_that_a_worker_can_find_again_are_marked() -> None:
    def nested() -> None: ...

    for wrong in (nested, lambda: None, jobs._private, jobs.Job, jobs.partial_run, print):
        with pytest.raises(TypeError, match="@schedulable"):
            schedulable(wrong)  # type: ignore[type-var]


class TestRegistered:
    def test_all_functions_that_can_be_found_are_listed_where_they_are_defined(self) -> None:
        paths = [target.path for target in targets.registered_targets()]
        assert paths == sorted(paths)
        assert [path for path in paths if path.startswith("tests.shop.")] == [
            "tests.shop.job.listed",
            "tests.shop.jobs.decorated",
            "tests.shop.jobs.logged",
            "tests.shop.jobs.reports.refresh",
            "tests.shop.jobs.sync_orders",
            "tests.shop.jobs.sync_stock",
            "tests.shop.marked.digest",
        ]

    def test_every_listed_one_is_allowed(self) -> None:
        assert all(targets.is_allowed(target.path) for target in targets.registered_targets())

    def test_modules_that_a_setting_names_are_listed_too(self, settings: Settings) -> None:
        settings.SCHEDULES_ALLOWED_TARGETS = ["tests.shop.plain", "tests.nowhere", "subprocess"]
        paths = [target.path for target in targets.registered_targets()]
        assert "tests.shop.plain.drop_everything" in paths
        assert not [path for path in paths if path.startswith("subprocess")]

    def test_a_broken_module_hides_no_other_and_is_told(
        self, settings: Settings, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings.SCHEDULES_ALLOWED_TARGETS = ["tests.shop.failing", "tests.shop.leaving"]
        with caplog.at_level(logging.WARNING, "schedules.targets.lookup"):
            paths = [target.path for target in targets.registered_targets()]
        assert "tests.shop.jobs.sync_orders" in paths
        assert [record.__dict__["action"] for record in caplog.records] == ["targets.module_broken"] * 2
        assert targets.broken_modules() == {
            "tests.shop.failing": "RuntimeError: no licence on this host",
            "tests.shop.leaving": "SystemExit: 3",
        }


class TestArguments:
    @pytest.mark.parametrize(
        "args, kwargs, text, where",
        [
            ([], {}, "missing a required argument: 'since_minutes'", "args"),
            ([1, 2], {}, "too many positional arguments", "args"),
            ([1], {"ful": True}, "got an unexpected keyword argument 'ful'", "kwargs"),
            ([1], {"since_minutes": 2}, "multiple values for argument 'since_minutes'", "kwargs"),
        ],
    )
    def test_what_does_not_fit_is_told_in_pythons_words(
        self, args: list[int], kwargs: dict[str, int], text: str, where: str
    ) -> None:
        with pytest.raises(targets.ArgumentsError, match=text) as caught:
            targets.check_arguments(jobs.sync_orders, args, kwargs)
        assert caught.value.where == where
        assert "It takes (since_minutes" in str(caught.value)

    def test_what_fits_passes(self) -> None:
        targets.check_arguments(jobs.sync_orders, [5], {"full": True})
        targets.check_arguments(jobs.decorated, [5], {})

    def test_a_function_may_check_more_than_its_signature_says(self) -> None:
        targets.check_arguments(plain.checked, [3], {})
        with pytest.raises(targets.ArgumentsError, match="4 is more than 3"):
            targets.check_arguments(plain.checked, [4], {})


def test_of_our_own_job_module_only_the_request_may_be_scheduled() -> None:
    ours = [target.path for target in targets.registered_targets() if target.path.startswith("schedules.")]
    assert ours == ["schedules.job.job_request"]

"""Settings of the tests: the project's own, on a private directory and a private Redis per test process.

    TEST_DATABASE_URL    a PostgreSQL to test on; without it: SQLite in a file
    TEST_REDIS_SERVER    the redis-server binary to test on; without it: the one of `make run`

DATABASE_URL, REDIS_URL and other settings of the environment are ignored, so that no test meets real data.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

TEST_DIR = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
"""Ends with the test process. Short, so that sockets fit in."""
_OWNER = os.getpid()


@atexit.register
def _remove_test_dir() -> None:
    if os.getpid() == _OWNER:  # not in the children that tests fork
        shutil.rmtree(TEST_DIR, ignore_errors=True)


for _name in [name for name in os.environ if name.startswith(("SCHEDULES_", "SCHEDULE_"))]:
    del os.environ[_name]
for _name in (
    "SECRET_KEY",
    "ALLOWED_HOSTS",
    "API_BASE_URL",
    "PORT",
    "HOST",
    "TIME_ZONE",
    "EMAIL_HOST",
    "LOG_LEVEL",
    "CACHE_URL",
):
    os.environ.pop(_name, None)
# In the environment, so that the processes which tests start see the same.
os.environ["DEBUG"] = "1"
os.environ["VAR_DIR"] = str(TEST_DIR / "var")
os.environ["REDIS_URL"] = f"unix://{TEST_DIR}/redis/redis.sock?db=0"
os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{TEST_DIR}/db.sqlite3"

from scheduler_project.settings import *  # noqa: E402, F403
from scheduler_project.settings import DATABASES, INSTALLED_APPS  # noqa: E402

INSTALLED_APPS = [*INSTALLED_APPS, "tests.shop"]  # one of each kind of function that somebody might schedule

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, as in life: with SQLite in memory, threads and processes could not share it.
    DATABASES["default"]["TEST"] = {"NAME": TEST_DIR / "test.sqlite3"}
# The slow ones cost most of a test's time.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

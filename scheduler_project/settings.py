"""Settings, read from the environment in one place.

Without any variable: SQLite, the embedded Redis of `make run`, DEBUG, everything kept under `var/`.
With DEBUG=0: SECRET_KEY and ALLOWED_HOSTS are required, cookies and transport are secured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dj_database_url
from django.utils.translation import gettext_lazy as _

from scheduler_project import env, secret_files, which_redis
from scheduler_project.paths import BASE_DIR, VAR_DIR

DEBUG = env.flag("DEBUG", default=True)

if env.is_set("SECRET_KEY"):
    SECRET_KEY = env.text("SECRET_KEY", default="")
elif DEBUG:
    SECRET_KEY = secret_files.read_or_create(VAR_DIR / "secret_key", length=50)
else:
    raise env.EnvError(
        "SECRET_KEY is not set; with DEBUG off it is required: a long random text, kept secret."
    )

ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEBUG else [])
if not ALLOWED_HOSTS:
    raise env.EnvError(
        "ALLOWED_HOSTS is not set; with DEBUG off it is required: host names, separated by commas."
    )
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")

# The web server's own place; API_BASE_URL is where jobs call the backend, by default this very server.
HOST = env.text("HOST", default="127.0.0.1")
PORT = env.whole_number("PORT", default=8000, minimum=1, maximum=65535)
API_BASE_URL = env.url("API_BASE_URL", default=f"http://127.0.0.1:{PORT}", schemes=("http", "https"))

INSTALLED_APPS = [
    "schedules",
    "scheduler_project",  # the demo jobs, and the command of the first start
    "django_rq",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",  # runserver serves static files as gunicorn does
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "scheduler_project.csp.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "scheduler_project.urls"
WSGI_APPLICATION = "scheduler_project.wsgi.application"
ASGI_APPLICATION = "scheduler_project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Database -----------------------------------------------------------------------------------------------

SQLITE_OPTIONS = {
    # Readers and a writer at the same time: web, keeper and commands share the file.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    # Seconds to wait for another writer.
    "timeout": 20,
    # Take the write lock at BEGIN: a reader that begins to write later fails at once instead of waiting.
    "transaction_mode": "IMMEDIATE",
}


def _database() -> dict[str, Any]:
    if not env.is_set("DATABASE_URL"):
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": VAR_DIR / "db.sqlite3",
            "OPTIONS": SQLITE_OPTIONS,
        }
    url = env.url("DATABASE_URL", default="", schemes=("postgres", "postgresql", "sqlite"))
    try:
        config: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True))
    except ValueError as error:
        raise env.EnvError(
            "DATABASE_URL cannot be read; allowed is postgres://user:password@host:port/name or sqlite:////path."
        ) from error
    if config["ENGINE"].endswith("sqlite3"):
        config["OPTIONS"] = SQLITE_OPTIONS
    return config


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis and RQ -------------------------------------------------------------------------------------------

EMBEDDED_REDIS = which_redis.is_embedded()
REDIS_URL = which_redis.url()

_QUEUE = {"URL": REDIS_URL, "DEFAULT_TIMEOUT": 180}
# One connection configuration for all: a worker on several queues needs the same server for each.
RQ_QUEUES = {"default": dict(_QUEUE), "high": dict(_QUEUE), "low": dict(_QUEUE)}
RQ = {
    "SCHEDULER_CLASS": "schedules.engine.Scheduler",
    "JOB_CLASS": "schedules.worker.Job",
    "WORKER_CLASS": "schedules.worker.Worker",
}
RQ_SHOW_ADMIN_LINK = True

# Job endpoints remember here what was delivered; all web processes must see the same.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": [which_redis.cache_url()],  # a text would be split at commas
        "KEY_PREFIX": "schedules-cache",
    }
}

# --- Schedules: what the environment sets; the defaults are in schedules/conf.py ----------------------------

_DAY = 86_400
for _name, _minimum, _maximum in (
    ("SCHEDULES_MISFIRE_THRESHOLD", 0, 365 * _DAY),
    ("SCHEDULES_MAX_CATCHUP", 1, 100_000),
    ("SCHEDULES_RECONCILE_SECONDS", 1, _DAY),
    ("SCHEDULES_GRACE", 1, 365 * _DAY),
    ("SCHEDULES_KEEP_DAYS", 1, 36_500),
    ("SCHEDULES_KEEP_RUNS", 1, 100_000_000),
):
    if env.is_set(_name):
        globals()[_name] = env.whole_number(_name, default=0, minimum=_minimum, maximum=_maximum)
for _name in ("SCHEDULES_ALLOWED_TARGETS", "SCHEDULES_HTTP_ALLOWED", "SCHEDULES_SIGNING_KEYS"):
    if env.is_set(_name):
        globals()[_name] = tuple(env.words(_name))
for _name in ("SCHEDULES_NOTIFY_URL", "SCHEDULES_HTTP_PROXY"):
    if env.is_set(_name):
        globals()[_name] = env.url(_name, default="", schemes=("http", "https"))
if env.is_set("SCHEDULES_HTTP_CA_BUNDLE"):
    SCHEDULES_HTTP_CA_BUNDLE = env.text("SCHEDULES_HTTP_CA_BUNDLE", default="")
if env.is_set("SCHEDULES_FREE_TARGETS"):
    SCHEDULES_FREE_TARGETS = env.flag("SCHEDULES_FREE_TARGETS", default=False)

# --- Language, time, files ----------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("de", _("German"))]
USE_I18N = True
TIME_ZONE = env.zone("TIME_ZONE", default="UTC")
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.text("STATIC_ROOT", default=str(BASE_DIR / "staticfiles")))
# In DEBUG straight from the apps, else what `manage.py collectstatic` gathered, named after its content.
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# --- Accounts, mail, transport ------------------------------------------------------------------------------

LOGIN_URL = "admin:login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

EMAIL_HOST = env.text("EMAIL_HOST", default="")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
EMAIL_PORT = env.whole_number("EMAIL_PORT", default=587, minimum=1, maximum=65535)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER", default="")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD", default="")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", default=True)
EMAIL_TIMEOUT = 10  # a mail server that hangs must not hold the keeper
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("DEFAULT_FROM_EMAIL", default="schedules@localhost")
ADMINS = [("", address) for address in env.words("ADMINS")]

X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
if not DEBUG:
    # HTTPS=0 is for a network that ends TLS elsewhere and speaks plain HTTP to the browser's side as well.
    _https = env.flag("HTTPS", default=True)
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = _https
    SECURE_HSTS_SECONDS = env.whole_number(
        "HSTS_SECONDS", default=3600 if _https else 0, minimum=0, maximum=2 * 365 * _DAY
    )
    if env.flag("BEHIND_PROXY", default=False):  # only where the proxy sets this header itself
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- Logging: one readable line an event, to standard error -------------------------------------------------

LOG_LEVEL = env.choice("LOG_LEVEL", default="INFO", allowed=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        # Without a handler of their own, RQ and rq-scheduler would add a second: each line twice.
        "rq.worker": {"handlers": ["console"], "level": LOG_LEVEL, "propagate": False},
        "rq_scheduler.scheduler": {"handlers": ["console"], "level": LOG_LEVEL, "propagate": False},
        # Django's own configuration prints its lines in another form beside ours.
        "django": {"handlers": ["console"], "level": LOG_LEVEL, "propagate": False},
        "django.server": {"handlers": ["console"], "level": LOG_LEVEL, "propagate": False},
        "django.db.backends": {"level": "INFO"},
        "urllib3": {"level": "INFO"},
    },
}

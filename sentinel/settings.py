"""Django's settings. What the environment decides stands in `sentinel.configuration`."""

from __future__ import annotations

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from sentinel.configuration import ConfigurationError, read_configuration
from sentinel.dashboards.theme import theme_settings
from sentinel.database import database_settings
from sentinel.logging_settings import logging_settings
from sentinel.security_settings import *  # noqa: F403 (each is a setting)

BASE_DIR = Path(__file__).resolve().parent.parent

try:
    CONFIGURATION = read_configuration()
    DATABASES = {
        "default": database_settings(
            url=CONFIGURATION.database_address,
            embedded_in=BASE_DIR / ".postgres",
            test_name=CONFIGURATION.test_database_name,
        )
    }
except ConfigurationError as error:
    raise ImproperlyConfigured(str(error)) from None

DEBUG = CONFIGURATION.debug
SECRET_KEY = CONFIGURATION.secret_key.get_secret_value()
ALLOWED_HOSTS = CONFIGURATION.allowed_hosts

INSTALLED_APPS = [
    "unfold",  # before the admin, whose templates and site it replaces
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "pgtrigger",
    "sentinel.counters",
    "sentinel.accounts",
    "usage",
    "threads",
    "itineraries",
    "sentinel.deployment",
    "sentinel.dashboards",
    "sentinel.demo",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "usage.gating.middleware.ClosedGateMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it answers instead of a log-in page
]

ROOT_URLCONF = "sentinel.urls"
WSGI_APPLICATION = "sentinel.wsgi.application"
ASGI_APPLICATION = "sentinel.asgi.application"

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
    }
]

AUTH_USER_MODEL = "accounts.User"
LOGIN_REDIRECT_URL = "admin:index"  # where no other page was asked for
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = "en-us"
# What a browser may ask for: numbers and dates follow it, and what Django itself says.
LANGUAGES = [("en", "English"), ("en-gb", "British English"), ("de", "Deutsch")]
USE_TZ = True
TIME_ZONE = "UTC"  # months are calendar months in UTC; sessions therefore run in UTC

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"  # where collectstatic puts them for production
UNFOLD = theme_settings()
SENTINEL_RECORD_RETENTION_DAYS = CONFIGURATION.record_retention_days
SENTINEL_LIMIT_UNCHECKED = CONFIGURATION.limit_unchecked
SENTINEL_GATES_SHADOW = CONFIGURATION.gates_shadow
LOGGING = logging_settings(
    folder=BASE_DIR / CONFIGURATION.log_folder, rotated=CONFIGURATION.log_rotated
)
SENTINEL_PROXIES = CONFIGURATION.proxies
SENTINEL_JOBS_DATABASE_URL = CONFIGURATION.jobs_database_address
SENTINEL_CITUS = CONFIGURATION.citus
SENTINEL_MONITOR_URL = str(CONFIGURATION.monitor_url or "")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if not DEBUG:
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 31_536_000  # a year, the least that browsers' preload lists take
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    if SENTINEL_PROXIES:  # the last of them sets it, whatever a browser has sent
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

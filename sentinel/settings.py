"""Django's settings. What the environment decides stands in `sentinel.configuration`."""

from __future__ import annotations

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from sentinel.configuration import ConfigurationError, read_configuration
from sentinel.database import database_settings
from sentinel.logging_settings import logging_settings

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
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "pgtrigger",
    "sentinel.counters",
    "sentinel.accounts",
    "usage",
    "threads",
    "itineraries",
    "sentinel.deployment",
    "sentinel.demo",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "usage.gating.middleware.ClosedGateMiddleware",
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
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = "en-us"
USE_TZ = True
TIME_ZONE = "UTC"  # months are calendar months in UTC; sessions therefore run in UTC

STATIC_URL = "static/"
SENTINEL_RECORD_RETENTION_DAYS = CONFIGURATION.record_retention_days
SENTINEL_LIMIT_UNCHECKED = CONFIGURATION.limit_unchecked
SENTINEL_GATES_SHADOW = CONFIGURATION.gates_shadow
LOGGING = logging_settings(
    folder=BASE_DIR / CONFIGURATION.log_folder, rotated=CONFIGURATION.log_rotated
)
SENTINEL_MONITOR_URL = str(CONFIGURATION.monitor_url or "")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if not DEBUG:
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 31_536_000  # a year, the least that browsers' preload lists take
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

"""Where the database is: the server that the environment names, or the embedded PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dj_database_url

from sentinel.configuration import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

# What every connection needs to hold behind pgbouncer in transaction mode, where two transactions
# of one client may run in two server sessions: no named cursor outlives its transaction, nothing
# is prepared, and no connection is kept between requests (the pool is pgbouncer's).
POOLER_SAFE: dict[str, Any] = {"DISABLE_SERVER_SIDE_CURSORS": True, "CONN_MAX_AGE": 0}
POOLER_SAFE_OPTIONS: dict[str, Any] = {"prepare_threshold": None}


def database_settings(
    *, url: str | None, embedded_in: Path, test_name: str | None = None
) -> dict[str, Any]:
    """Return the entry of Django's `DATABASES`. Nothing is started or connected to.

    Args:
        url: `postgresql://user:password@host:port/name`, or None for the embedded server.
        embedded_in: the folder of the embedded server.
        test_name: name of the test suite's database, where not the default.

    Raises:
        ConfigurationError: the address cannot be understood, or is not one of PostgreSQL.
    """
    settings = embedded_settings(embedded_in) if url is None else parse_url(url)
    settings |= POOLER_SAFE
    settings["OPTIONS"] = POOLER_SAFE_OPTIONS | settings.get("OPTIONS", {})
    if test_name:
        settings["TEST"] = {"NAME": test_name}
    return settings


def embedded_settings(folder: Path) -> dict[str, Any]:
    """Return settings that start the server in `folder` at the first connection."""
    return {
        "ENGINE": "sentinel.embedded",
        "NAME": "sentinel",
        "USER": "postgres",
        "HOST": str(folder),  # the backend puts the socket's folder in its place
    }


def parse_url(url: str) -> dict[str, Any]:
    """Return settings for the server at `url`.

    Raises:
        ConfigurationError: see `database_settings`. The message never repeats the address, which
            holds a password.
    """
    try:
        settings = dict(dj_database_url.parse(url))
    except (dj_database_url.ParseError, dj_database_url.UnknownSchemeError, ValueError):
        settings = {}
    if settings.get("ENGINE") != "django.db.backends.postgresql" or not settings.get("NAME"):
        raise ConfigurationError(
            "DATABASE_URL: not an address of a PostgreSQL database. "
            "Write postgresql://user:password@host:port/name."
        )
    return settings

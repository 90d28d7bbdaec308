"""Everything that the environment decides, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, HttpUrl, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEVELOPMENT_SECRET_KEY = "development-only-and-known-to-everyone"  # noqa: S105 (refused with DEBUG off)


class ConfigurationError(Exception):
    """The environment holds a value that Sentinel cannot run with."""


class Configuration(BaseSettings):
    """The environment variables that Sentinel reads, with their defaults.

    A file `.env` in the working directory is read as well; the environment wins.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore"
    )

    debug: bool = Field(
        default=True,
        validation_alias="DEBUG",
        description="Development mode. On by default, so that a fresh clone runs as it is.",
    )
    secret_key: SecretStr = Field(
        default=SecretStr(DEVELOPMENT_SECRET_KEY),
        validation_alias="SECRET_KEY",
        description="Signs sessions and tokens. Required with DEBUG off.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("DATABASE_URL", "DATABASE_PUBLIC_URL"),
        description="postgresql://user:password@host:port/name. Without it the embedded "
        "PostgreSQL is started at the first connection. Required with DEBUG off.",
    )
    allowed_hosts: list[str] = Field(
        default=["localhost", "127.0.0.1", "[::1]"],
        validation_alias="ALLOWED_HOSTS",
        description='Host names that are answered, as JSON: ["sentinel.example.org"].',
    )
    record_retention_days: int = Field(
        default=90,
        ge=0,
        le=36_500,
        validation_alias="SENTINEL_RECORD_RETENTION_DAYS",
        description="How many days audits and repairs are kept, 0 for ever. A quarter: longer than "
        "anybody looks for what made a counter drift.",
    )
    limit_unchecked: Literal["deny", "allow"] = Field(
        default="deny",
        validation_alias="SENTINEL_LIMIT_UNCHECKED",
        description="What becomes of a request whose limit the database could not check: deny "
        "(503) or allow. Denied, since otherwise an outage would be a way past every limit.",
    )
    gates_shadow: bool = Field(
        default=False,
        validation_alias="SENTINEL_GATES_SHADOW",
        description="Whether nobody is refused, and the log tells who would be. Off: limits bind.",
    )
    log_folder: Path = Field(
        default=Path("logs"),
        validation_alias="SENTINEL_LOG_FOLDER",
        description="Where sentinel-api.log is; relative to the project's folder.",
    )
    log_rotated: bool = Field(
        default=True,
        validation_alias="SENTINEL_LOG_ROTATED",
        description="Whether each process renames the log when it is full. Off where logrotate "
        "does that, as it should for many processes.",
    )
    proxies: int = Field(
        default=0,
        ge=0,
        le=10,
        validation_alias="SENTINEL_PROXIES",
        description="How many reverse proxies of ours a request passes: what they say of its "
        "address and of HTTPS is believed. None: anybody could say it.",
    )
    jobs_database_url: SecretStr | None = Field(
        default=None,
        validation_alias="SENTINEL_JOBS_DATABASE_URL",
        description="The database's address for audits and repairs that are started in the admin, "
        "where the application's own role may not write their records: see print_grants.",
    )
    citus: bool = Field(
        default=False,
        validation_alias="SENTINEL_CITUS",
        description="Whether manage.py check tells what would stand in the way of distributing the "
        "tables with Citus. Off: on one machine it is nobody's business.",
    )
    monitor_url: HttpUrl | None = Field(
        default=None,
        validation_alias="SENTINEL_MONITOR_URL",
        description="Where scheduled jobs report that they begin, succeed and fail, such as "
        "https://hc-ping.com/PING-KEY: the job's name is appended. Not set: nowhere.",
    )
    test_database_name: str | None = Field(
        default=None,
        validation_alias="TEST_DATABASE_NAME",
        description="The test suite's database. Default: the database's name after test_.",
    )

    @property
    def database_address(self) -> str | None:
        """The database's address with its password, or None for the embedded server."""
        return None if self.database_url is None else self.database_url.get_secret_value()

    @property
    def jobs_database_address(self) -> str | None:
        """The database's address for jobs, with its password; None where it is the same."""
        return None if self.jobs_database_url is None else self.jobs_database_url.get_secret_value()

    @model_validator(mode="after")
    def _require_secrets_in_production(self) -> Configuration:
        if self.debug:
            return self
        missing = [
            name
            for name, absent in (
                ("DATABASE_URL", self.database_url is None),
                ("SECRET_KEY", self.secret_key.get_secret_value() == DEVELOPMENT_SECRET_KEY),
            )
            if absent
        ]
        if missing:
            raise ValueError(
                f"DEBUG is off and not set: {', '.join(missing)}. Set what is missing in the "
                "environment, or DEBUG=on for development."
            )
        return self


def read_configuration() -> Configuration:
    """Read the environment.

    Raises:
        ConfigurationError: a value is missing or malformed; the message names it, one line each,
            and never repeats a value, which may be a secret.
    """
    try:
        return Configuration()
    except ValidationError as error:
        lines = [
            ": ".join((*map(str, problem["loc"]), problem["msg"].removeprefix("Value error, ")))
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise ConfigurationError("\n".join(lines)) from None

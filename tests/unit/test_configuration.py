"""The environment decides, says what is wrong with it, and keeps its secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sentinel.configuration import ConfigurationError, read_configuration
from sentinel.database import database_settings

ROOT = Path(__file__).parents[2]
VARIABLES = ("DEBUG", "SECRET_KEY", "DATABASE_URL", "DATABASE_PUBLIC_URL", "ALLOWED_HOSTS")
URL = "postgresql://ada:s3cret@db.example.org:6432/trips"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)  # no .env of a developer


def test_nothing_needs_to_be_set_for_development() -> None:
    configuration = read_configuration()
    assert configuration.debug
    assert configuration.database_address is None


@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_PUBLIC_URL"])
def test_the_database_is_taken_from_either_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, URL)
    assert read_configuration().database_address == URL


def test_a_file_is_read_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text('SECRET_KEY=from the file\nALLOWED_HOSTS=["a.example"]\n')
    monkeypatch.setenv("SECRET_KEY", "from the environment")
    configuration = read_configuration()
    assert configuration.secret_key.get_secret_value() == "from the environment"
    assert configuration.allowed_hosts == ["a.example"]


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, ["DATABASE_URL", "SECRET_KEY"]),
        ({"SECRET_KEY": "x"}, ["DATABASE_URL"]),
        ({"DATABASE_URL": URL}, ["SECRET_KEY"]),
    ],
)
def test_with_debug_off_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], missing: list[str]
) -> None:
    for name, value in (given | {"DEBUG": "off"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as error:
        read_configuration()
    for name in ("DATABASE_URL", "SECRET_KEY"):
        assert (name in str(error.value)) is (name in missing)


def test_a_malformed_value_is_named_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBUG", "sometimes s3cret")
    with pytest.raises(ConfigurationError, match="DEBUG") as error:
        read_configuration()
    assert "s3cret" not in str(error.value)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("SECRET_KEY", "s3cret too")
    assert "s3cret" not in repr(read_configuration())


def test_the_address_becomes_connection_settings(tmp_path: Path) -> None:
    settings = database_settings(url=URL, embedded_in=tmp_path)
    assert settings["ENGINE"] == "django.db.backends.postgresql"
    parts = [settings[part] for part in ("NAME", "USER", "PASSWORD", "HOST", "PORT")]
    assert parts == ["trips", "ada", "s3cret", "db.example.org", 6432]


@pytest.mark.parametrize("url", [None, URL])
def test_connections_hold_behind_a_pooler_in_transaction_mode(
    tmp_path: Path, url: str | None
) -> None:
    settings = database_settings(url=url, embedded_in=tmp_path)
    assert settings["DISABLE_SERVER_SIDE_CURSORS"] is True
    assert settings["CONN_MAX_AGE"] == 0
    assert settings["OPTIONS"]["prepare_threshold"] is None


def test_without_an_address_the_embedded_server_is_named_and_not_started(tmp_path: Path) -> None:
    settings = database_settings(url=None, embedded_in=tmp_path / "pg")
    assert (settings["ENGINE"], settings["HOST"]) == ("sentinel.embedded", str(tmp_path / "pg"))
    assert not (tmp_path / "pg").exists()


@pytest.mark.parametrize(
    "url",
    ["mysql://a:s3cret@b/c", "db.example.org", "postgresql://s3cret@b", "postgresql://b:s3cret/c"],
)
def test_an_address_that_is_none_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL") as error:
        database_settings(url=url, embedded_in=tmp_path)
    assert "s3cret" not in str(error.value)


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    return subprocess.run(  # noqa: S603 (our own command)
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=kept | {"DJANGO_SETTINGS_MODULE": "sentinel.settings"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_importing_the_settings_starts_no_server(tmp_path: Path) -> None:
    before = (ROOT / ".postgres").exists()
    assert manage("check").returncode == 0
    assert (ROOT / ".postgres").exists() is before


def test_a_database_that_does_not_answer_is_one_line_and_exit_code_2() -> None:
    done = manage("audit_counters", DATABASE_URL="postgresql://ada:s3cret@127.0.0.1:1/trips")
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.strip().splitlines()
    assert "127.0.0.1" in line
    assert "s3cret" not in line


def test_a_database_that_was_not_migrated_is_one_line_and_exit_code_2(
    scratch_database: object,
) -> None:
    done = manage("audit_counters", DATABASE_URL=scratch_database.url)  # type: ignore[attr-defined]
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert "does not exist" in line


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"DEBUG": "off"}, "DATABASE_URL, SECRET_KEY"),
        ({"DEBUG": "perhaps"}, "DEBUG"),
        ({"DATABASE_URL": "mysql://a:s3cret@b/c"}, "DATABASE_URL"),
    ],
)
def test_wrong_settings_are_one_line_and_exit_code_2(
    environment: dict[str, str], named: str
) -> None:
    done = manage("audit_counters", **environment)
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert named in line
    assert "s3cret" not in line


def test_production_settings_pass_djangos_own_deployment_check() -> None:
    done = manage(
        "check",
        "--deploy",
        "--fail-level=WARNING",
        DEBUG="off",
        SECRET_KEY="a long key of more than fifty letters, with enough different ones: 1234567890",
        DATABASE_URL=URL,
    )
    assert done.returncode == 0, done.stderr

"""The log file, and the commands by which operators read it."""

from __future__ import annotations

import json
import logging
import logging.config
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sentinel.logging_settings import OWN_LOGGERS, logging_settings
from tests.gating.visitors import make_user, query, sign_in
from tests.scratch import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.urls("tests.gating.gated_urls")

TRACKING = 'grep "Failed to track feature usage" logs/sentinel-api.log'
DENIED = 'grep "feature_denied" logs/sentinel-api.log | tail -20'


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A project's folder, while the project logs as it does in production."""
    logging.config.dictConfig(logging_settings(folder=tmp_path / "logs"))
    yield tmp_path
    for name in (*OWN_LOGGERS, "django.request", "django.security"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()


def found(command: str, folder: Path) -> list[dict[str, Any]]:
    """What a command of the deployment guide prints."""
    done = subprocess.run(  # noqa: S602 (the guide's own words)
        command, cwd=folder, shell=True, capture_output=True, text=True, check=False
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.django_db
def test_operators_find_who_was_refused(folder: Path) -> None:
    user = make_user("FREE")
    client = sign_in(user)
    for _ in range(22):
        client.get("/export")
    lines = found(DENIED, folder)
    assert len(lines) == 20  # the last of 21
    assert {line["message"] for line in lines} == {"feature_denied"}
    assert set(lines[0]) == {
        *("time", "level", "logger", "message", "error", "feature_locked", "feature", "plan"),
        *("required_plan", "limit", "provided", "resets_at", "user_id", "reason", "duration_ms"),
        "shadow",
    }
    assert lines[0]["user_id"] == user.pk
    assert lines[0]["time"].endswith("+00:00")


@pytest.mark.django_db
def test_operators_find_what_was_not_tracked(folder: Path) -> None:
    client = sign_in(make_user("PRO"))
    query("ALTER TABLE feature_usage_events RENAME TO gone")
    assert client.get("/export").status_code == 200
    [line] = found(TRACKING, folder)
    assert (line["level"], line["feature"]) == ("WARNING", "pdf_exports_monthly")
    assert "does not exist" in line["reason"]


@pytest.mark.django_db
def test_operators_find_nothing_where_nothing_went_wrong(folder: Path) -> None:
    assert sign_in(make_user("PRO")).get("/export").status_code == 200
    assert found(TRACKING, folder) == []
    assert not (folder / "logs").exists()


def test_a_full_file_is_renamed_and_the_oldest_dropped(tmp_path: Path) -> None:
    settings = logging_settings(folder=tmp_path)
    file = settings["handlers"]["file"] | {"maxBytes": 200, "backupCount": 2}
    settings["handlers"]["file"] = file
    settings["loggers"] = {"tests.rotated": {"handlers": ["file"], "level": "INFO"}}
    logging.config.dictConfig(settings)
    logger = logging.getLogger("tests.rotated")
    for number in range(12):
        logger.info("line %s", number)
    logger.handlers[0].close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "sentinel-api.log",
        "sentinel-api.log.1",
        "sentinel-api.log.2",
    ]
    assert "line 11" in (tmp_path / "sentinel-api.log").read_text(encoding="utf-8")


def test_a_file_that_is_not_rotated_only_grows() -> None:
    assert logging_settings(folder=Path("logs"), rotated=False)["handlers"]["file"]["maxBytes"] == 0


LOGS = """
import django
django.setup()
import logging
logging.getLogger("usage").info("one")
logging.getLogger("usage").info("two")
print("still running")
"""


def test_a_folder_that_cannot_be_made_stops_nothing_and_is_told_once(tmp_path: Path) -> None:
    """A file in the folder's place: root, as which tests may run, writes anywhere else."""
    (tmp_path / "logs").write_text("in the way", encoding="utf-8")
    done = subprocess.run(  # noqa: S603 (our own command)
        [sys.executable, "-c", LOGS],
        cwd=PROJECT,
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "sentinel.settings",
            "SENTINEL_LOG_FOLDER": str(tmp_path / "logs"),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "still running\n"
    assert done.stderr == f"{tmp_path}/logs/sentinel-api.log: no log is written: File exists\n"

"""The lines of deploy/crontab, run by the shell that cron uses, with a command that only prints."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from django.core.management import get_commands

from tests.scratch import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

LINES = [
    line
    for line in (PROJECT / "deploy/crontab").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
SETTINGS = dict(line.split("=", 1) for line in LINES if line[0].isalpha())
JOBS = {
    line.split("manage.py ")[1].split()[0]: (" ".join(line.split()[:5]), line.split(None, 5)[5])
    for line in LINES
    if not line[0].isalpha()
}

pytestmark = pytest.mark.skipif(shutil.which("flock") is None, reason="flock is not installed")


def run_job(name: str, folder: Path, *, code: int) -> subprocess.CompletedProcess[str]:
    """Run a line with a python that prints its arguments and ends with this code."""
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(f'#!/bin/sh\necho "ran $*"; echo "to stderr" >&2; exit {code}\n')
    python.chmod(0o755)
    return subprocess.run(  # noqa: S602 (our own file, as cron runs it)
        JOBS[name][1],
        shell=True,
        executable=SETTINGS["SHELL"],
        env={"SENTINEL": str(folder), "LOGS": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_guides_two_lines_run_when_the_guide_says_and_the_audit_every_night() -> None:
    assert {name: when for name, (when, _) in JOBS.items()} == {
        "archive_feature_usage": "0 0 1 * *",
        "refresh_usage_summary": "0 * * * *",  # the guide's 01:00 on the first is one of them
        "audit_counters": "30 2 * * *",
    }
    assert SETTINGS["CRON_TZ"] == "UTC"
    assert set(JOBS) <= set(get_commands())


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_line_has_a_log_and_ends_with_the_commands_exit_code(
    name: str, code: int, tmp_path: Path
) -> None:
    done = run_job(name, tmp_path, code=code)
    assert done.returncode == code
    [log] = tmp_path.glob("*.log")
    assert log.read_text() == f"ran manage.py {name}\nto stderr\n"
    assert done.stdout == (f"{name}: exit code {code}, see {log}\n" if code else "")


@pytest.mark.parametrize("name", JOBS)
def test_a_line_does_not_meet_itself(name: str, tmp_path: Path) -> None:
    run_job(name, tmp_path, code=0)
    [lock] = tmp_path.glob("*.lock")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert run_job(name, tmp_path, code=0).returncode == 75

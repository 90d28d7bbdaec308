"""psql, as an operator runs it."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sentinel.embedded.errors import EmbeddedServerError
from sentinel.embedded.programs import MAJOR_VERSION, wheel_programs
from tests.faults.server import DEBIAN, do_without
from tests.scratch import PROJECT

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

DEPLOY = PROJECT / "deploy"
FORWARD = ("migrate_add_counter_columns.sql", "migrate_expand_feature_usage.sql")
ROLLBACK = "rollback.sql"
PATIENCE = 120  # seconds; a file takes less than one, where the machine is not busy


@cache
def find_psql(major: int) -> str:
    """Return the psql of a server's version, or else any."""
    folders = [Path(DEBIAN.format(major=major))]
    if str(major) == MAJOR_VERSION:
        with suppress(EmbeddedServerError):
            folders.insert(0, wheel_programs())
    for folder in folders:
        if (folder / "psql").is_file():
            return str(folder / "psql")
    if found := shutil.which("psql"):
        return found
    do_without(f"there is no psql: looked in {folders} and the PATH")
    raise AssertionError


def command_line(database: ScratchDatabase) -> list[str]:
    """Return psql on a database, without anybody's ~/.psqlrc."""
    with database.connect() as connection:
        major = connection.info.server_version // 10000
    return [find_psql(major), "--no-psqlrc", f"--dbname={database.url}"]


def run_psql(
    database: ScratchDatabase, commands: str = "", *options: str
) -> subprocess.CompletedProcess[str]:
    """Type commands into psql, from the folder of the files."""
    return subprocess.run(  # noqa: S603 (PostgreSQL's own program)
        [*command_line(database), *options],
        input=commands,
        cwd=DEPLOY,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def run_files(database: ScratchDatabase, *files: str) -> str:
    """Run files by `\\i`, which must succeed. Return what psql said."""
    done = run_psql(database, "".join(f"\\i {file}\n" for file in files))
    assert "ERROR" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def start_file(database: ScratchDatabase, file: str) -> subprocess.Popen[str]:
    """Run a file without waiting for its end."""
    return subprocess.Popen(  # noqa: S603 (PostgreSQL's own program)
        [*command_line(database), f"--file={DEPLOY / file}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

"""PostgreSQL's data folder: made once, and recognised ever after."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

from sentinel.embedded.errors import EmbeddedServerError
from sentinel.embedded.programs import MAJOR_VERSION, run_program

if TYPE_CHECKING:
    from sentinel.embedded.folder import ServerFolder
    from sentinel.embedded.locks import FileLock

DATABASE = "sentinel"
SUPERUSER = "postgres"

INITDB_OPTIONS = (
    f"--username={SUPERUSER}",
    "--auth-local=trust",  # who can reach the socket owns the folder, or is root
    "--auth-host=reject",
    "--encoding=UTF8",
    # The same order and the same upper and lower case on every machine, whatever locales it has.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
    # A thousand files, of which each would wait for the disk. The kernel writes them within half a
    # minute, and a crash of the machine before that costs a database that was only just made.
    "--no-sync",
)


def prepare_data(folder: ServerFolder, lock: FileLock, deadline: float) -> None:
    """Make the data folder, with its database, unless it is there.

    Args:
        folder: where.
        lock: `server.lock`, held. The programs hold it as well, so that nothing else begins while
            one of them outlives a supervisor that was killed.
        deadline: when to give up, in the time of `time.monotonic`.

    Raises:
        EmbeddedServerError: it cannot be made, or is one of another version.
    """
    if not folder.data.exists():
        _make_data(folder, lock, deadline)
    try:
        version = (folder.data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        version = "of no version at all"
    if version != MAJOR_VERSION:
        raise EmbeddedServerError(
            f"{folder.data} holds data of PostgreSQL {version}, and this is {MAJOR_VERSION}: "
            "move it away, and the next command begins with an empty database."
        )


def _make_data(folder: ServerFolder, lock: FileLock, deadline: float) -> None:
    # It gets its name when it is whole: a command that was killed leaves nothing that looks so.
    unfinished = folder.path / "data-unfinished"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    steps = (
        ("initdb", ("-D", unfinished, *INITDB_OPTIONS), ""),
        ("postgres", ("--single", "-D", unfinished, "postgres"), f"CREATE DATABASE {DATABASE};\n"),
    )
    for program, arguments, statement in steps:
        left = max(1.0, deadline - time.monotonic())
        try:
            done = run_program(
                folder, program, *arguments, statement=statement, lock=lock, timeout=left
            )
        except subprocess.TimeoutExpired:
            problem = f"It took longer than {left:.0f} s."
        else:
            # A single-user server reports errors, and goes on to the next statement.
            failed = done.returncode != 0 or (statement and "ERROR:" in done.stdout)
            problem = f"(exit status {done.returncode})\n{done.stdout.strip()}" if failed else ""
        if problem:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise EmbeddedServerError(
                f"The embedded PostgreSQL could not be made in {folder.path}, because {program} "
                f"failed. Mend what it says, and run the command again.\n{problem}"
            )
    unfinished.rename(folder.data)

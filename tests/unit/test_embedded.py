"""Real servers in temporary folders, used by real processes that end in every way."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sentinel.embedded import EmbeddedServer, EmbeddedServerError, programs
from sentinel.embedded.account import Account, account_beside, make_private_folder
from sentinel.embedded.folder import (
    LASTING_FOLDER,
    SOCKET_PATH_LIMIT,
    open_folder,
    private_name,
)

ROOT = Path(__file__).resolve().parents[2]
SOON = 15  # seconds in which a supervisor has long noticed

only_as_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root has to run PostgreSQL as somebody else"
)

# A command: uses the server, tells when it was started, and ends when its standard input does.
COMMAND = """
import os, pathlib, sys, psycopg
from sentinel.embedded import EmbeddedServer, EmbeddedServerError
server = EmbeddedServer(pathlib.Path(os.environ["FOLDER"]))
try:
    server.start()
except EmbeddedServerError as error:
    sys.exit(f"refused: {error}")
def ask():
    with psycopg.connect(
        host=str(server.socket_folder), port=5432, dbname="sentinel", user="postgres"
    ) as connection:
        return connection.execute("SELECT pg_postmaster_start_time()::text").fetchone()[0]
print(ask(), flush=True)
"""
WAIT = "sys.stdin.read()\n"

# The same with Django, and with pgtrigger, which patches each backend.
DJANGO = """
import os, pathlib, signal, django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["pgtrigger"],
    USE_TZ=True,
    DATABASES={"default": {
        "ENGINE": "sentinel.embedded",
        "NAME": "sentinel",
        "USER": "postgres",
        "HOST": os.environ["FOLDER"],
    }},
)
django.setup()
from django.core.management import call_command
from django.db import OperationalError, connection
def ask(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.description and cursor.fetchone()[0]
"""


@dataclass
class Command:
    process: subprocess.Popen[str]
    answer: str

    def end(self):
        assert self.process.communicate(timeout=60)
        assert self.process.returncode == 0

    def end_by(self, number):
        self.process.send_signal(number)
        self.process.wait(timeout=60)


def launch(folder, script=COMMAND + WAIT, *, python=sys.executable, **options):
    environment = os.environ | {"FOLDER": str(folder)} | options.pop("environment", {})
    return subprocess.Popen(  # noqa: S603 (our own scripts)
        [python, "-c", script],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@contextmanager
def using(process):
    with process:
        try:
            answer = process.stdout.readline().strip()
            if not answer:
                process.wait(timeout=60)
                pytest.fail(f"the command could not use the server: {process.stderr.read()}")
            yield Command(process, answer)
        finally:
            if process.poll() is None:
                process.kill()


def run(folder, script, **options):
    """Run a command to its end, and return its exit status and what it said."""
    process = launch(folder, script, **options)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def processes(folder):
    """Return the ids of the supervisor and the server of `folder`, as far as they run."""
    listing = subprocess.run(
        ["ps", "-axwwo", "pid=,args="],  # noqa: S607 (wherever the system has it)
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = {}
    for line in listing.splitlines():
        pid, _, arguments = line.strip().partition(" ")
        if f"-m sentinel.embedded.supervisor {folder}" in arguments:
            found["supervisor"] = int(pid)
        elif f"postgres -D {folder.resolve()}/data " in arguments:
            found["server"] = int(pid)
    return found


def wait_until(condition):
    deadline = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def is_left_alone(folder):
    return not processes(folder)


@contextmanager
def tidied(folder):
    """Leave nothing of `folder` behind, not even where it is only linked to."""
    try:
        yield folder
        wait_until(lambda: is_left_alone(folder))
    finally:
        for pid in processes(folder).values():  # a test has failed
            os.kill(pid, signal.SIGKILL)
        if folder.exists():
            opened = open_folder(folder)
            shutil.rmtree(opened.path)
            if opened.socket_folder != opened.path:
                shutil.rmtree(opened.socket_folder, ignore_errors=True)


@pytest.fixture
def clone():
    """A folder that everybody can enter, unlike pytest's; in memory where there is plenty."""
    with clone_in_memory() as path:
        yield path


@pytest.fixture
def new_folder(clone):
    with tidied(clone / ".postgres") as path:
        yield path


@pytest.fixture(scope="module")
def prepared():
    """A folder with a server that was made, and stopped: copied faster than made."""
    with clone_in_memory() as path, tidied(path / ".postgres") as folder:
        assert run(folder, COMMAND)[0] == 0
        yield folder


@pytest.fixture
def folder(new_folder, prepared):
    copy_data(prepared, new_folder)
    return new_folder


@contextmanager
def clone_in_memory():
    memory = Path("/dev/shm")  # noqa: S108 (a private folder in it)
    plenty = memory.is_dir() and shutil.disk_usage(memory).free > 1_000_000_000
    path = Path(tempfile.mkdtemp(prefix="sentinel-clone-", dir=memory if plenty else None))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def copy_data(prepared, folder):
    subprocess.run(  # noqa: S603 (paths of ours)
        ["cp", "-a", prepared / "data", open_folder(folder).path],  # noqa: S607 (any cp will do)
        check=True,
    )


def test_nothing_is_started_before_the_first_connection(new_folder):
    script = """
from pgtrigger.migrations import DatabaseSchemaEditorMixin
folder = pathlib.Path(os.environ["FOLDER"])
print(folder.exists())
print(ask("SELECT current_database() || current_setting('TimeZone')"), folder.exists())
print(issubclass(connection.SchemaEditorClass, DatabaseSchemaEditorMixin))
"""
    status, output, errors = run(new_folder, DJANGO + script)
    assert (status, output.split()) == (0, ["False", "sentinelUTC", "True", "True"]), errors


def test_a_server_is_gone_when_its_only_command_has_ended(folder):
    with using(launch(folder)) as command:
        assert processes(folder).keys() == {"supervisor", "server"}
        command.end()
    assert is_left_alone(folder)


def test_what_was_committed_is_there_for_the_next_command(folder):
    write = 'ask("CREATE TABLE kept AS SELECT 7 AS n")'
    assert run(folder, DJANGO + write)[0] == 0
    assert run(folder, DJANGO + 'print(ask("SELECT n FROM kept"))')[1] == "7\n"


def test_commands_that_begin_at_once_share_one_server_until_the_last_has_ended(new_folder):
    with ExitStack() as stack:
        launched = [launch(new_folder) for _ in range(4)]
        commands = [stack.enter_context(using(process)) for process in launched]
        assert len({command.answer for command in commands}) == 1
        for command in commands:
            assert processes(new_folder).keys() == {"supervisor", "server"}
            command.end()
    assert is_left_alone(new_folder)


def test_commands_that_begin_while_others_end_always_find_a_server(folder):
    with ExitStack() as stack:
        for _ in range(3):
            launched = [launch(folder, COMMAND) for _ in range(3)]
            for process in launched:
                command = stack.enter_context(using(process))
                command.process.wait(timeout=60)
                assert command.process.returncode == 0, command.process.stderr.read()
    assert is_left_alone(folder)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_command_that_was_killed_leaves_no_server_behind(folder, number):
    with using(launch(folder)) as command:
        command.end_by(number)
        wait_until(lambda: is_left_alone(folder))


def test_a_command_that_was_killed_while_it_started_leaves_no_server_behind(new_folder):
    with launch(new_folder) as command:
        wait_until(lambda: "supervisor" in processes(new_folder))
        command.kill()
    with using(launch(new_folder)) as following:
        following.end()
    assert is_left_alone(new_folder)


def test_interrupting_the_terminal_does_not_reach_the_server(folder):
    script = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + COMMAND + WAIT
    with using(launch(folder, script, start_new_session=True)) as command:
        before = processes(folder)
        os.killpg(command.process.pid, signal.SIGINT)
        time.sleep(0.3)
        assert processes(folder) == before
        command.end()


def test_the_last_command_stops_a_server_that_has_lost_its_supervisor(folder):
    with using(launch(folder)) as command:
        os.kill(processes(folder)["supervisor"], signal.SIGKILL)
        command.end()
    assert is_left_alone(folder)


def test_a_server_that_nobody_looks_after_is_taken_over_by_the_next_command(folder):
    with using(launch(folder)) as command:
        os.kill(processes(folder)["supervisor"], signal.SIGKILL)
        command.end_by(signal.SIGKILL)
    assert processes(folder).keys() == {"server"}
    with using(launch(folder)) as following:
        assert following.answer == command.answer
        assert processes(folder).keys() == {"supervisor", "server"}
        following.end_by(signal.SIGKILL)
    wait_until(lambda: is_left_alone(folder))


def test_a_server_that_crashed_is_started_again_by_the_next_connection(folder):
    script = """
ask("SET synchronous_commit = on")
ask("CREATE TABLE kept AS SELECT 7 AS n")
for again in range(2):
    with open(os.environ["FOLDER"] + "/data/postmaster.pid") as file:
        os.kill(int(file.readline()), signal.SIGKILL)
    connection.close()
    print(ask("SELECT n FROM kept"))
"""
    status, output, errors = run(folder, DJANGO + script)
    assert (status, output.split()) == (0, ["7", "7"]), errors
    assert is_left_alone(folder)


def test_the_lock_of_a_dead_server_does_not_keep_the_next_from_starting(folder):
    run(folder, COMMAND)
    # After a restart of a container, some process easily has the dead server's id.
    lock = folder / "data" / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{folder}/data\n1\n5432\n{folder}\n*\n1 1\nready   \n")
    status, _, errors = run(folder, COMMAND)
    assert status == 0, errors


def test_a_forked_process_keeps_the_server_when_its_parent_has_ended(folder):
    script = """
import time
if os.fork():
    sys.exit()
time.sleep(0.5)
print(ask(), flush=True)
"""
    status, output, errors = run(folder, COMMAND + script)
    assert status == 0, errors
    first, second = output.splitlines()
    assert first == second
    wait_until(lambda: is_left_alone(folder))


def test_a_folder_removed_under_a_running_server_ends_it_and_a_new_one_begins(folder):
    script = """
import shutil
shutil.rmtree(server._folder.path)
pathlib.Path(os.environ["FOLDER"]).unlink(missing_ok=True)
server.start()
print(ask(), flush=True)
"""
    status, output, errors = run(folder, COMMAND + script)
    assert status == 0, errors
    first, second = output.splitlines()
    assert first < second
    wait_until(lambda: is_left_alone(folder))


def test_a_deep_clone_has_its_socket_in_a_short_private_folder(clone, prepared):
    deep = clone.joinpath(*["a-rather-long-name, with a comma"] * 6)
    deep.mkdir(parents=True)
    with ExitStack() as stack:
        folder = stack.enter_context(tidied(deep / ".postgres"))
        copy_data(prepared, folder)
        command = stack.enter_context(using(launch(folder)))
        socket = open_folder(folder).socket
        assert len(str(socket)) <= SOCKET_PATH_LIMIT
        assert socket.exists()
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        assert not folder.is_symlink()
        command.end()


def test_variables_that_are_meant_for_another_server_do_no_harm(folder):
    environment = {
        "PGPORT": "1",
        "PGHOST": "nowhere",
        "PGDATA": "/",
        "PGOPTIONS": "-c work_mem=8MB",
    }
    status, _, errors = run(folder, COMMAND, environment=environment)
    assert status == 0, errors


def test_dbshell_opens_the_terminal_of_the_server(folder):
    script = 'call_command("dbshell", "--", "--no-psqlrc", "-Atc", "SHOW server_version_num")'
    status, output, errors = run(folder, DJANGO + script)
    assert status == 0, errors
    assert output.startswith("18")


def test_data_of_another_version_are_refused_and_left_alone(folder):
    run(folder, COMMAND)
    version = folder / "data" / "PG_VERSION"
    version.write_text("17\n")
    script = """
try:
    ask("SELECT 1")
except OperationalError as error:
    print(error)
"""
    status, output, errors = run(folder, DJANGO + script)
    assert status == 0, errors
    assert "data of PostgreSQL 17, and this is 18: move it away" in output
    assert version.read_text() == "17\n"


def test_a_server_that_cannot_be_made_says_why_and_is_made_when_it_can(new_folder):
    def fill_the_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))

    status, _, errors = run(new_folder, COMMAND, preexec_fn=fill_the_disk)
    assert status == 1
    assert "refused: The embedded PostgreSQL" in errors
    assert "File too large" in errors
    assert run(new_folder, COMMAND)[0] == 0


def test_a_missing_wheel_is_told_with_the_way_out(new_folder, monkeypatch):
    monkeypatch.setattr(programs, "PACKAGE", "no_such_package")
    with pytest.raises(EmbeddedServerError, match=r"not installed.*set DATABASE_URL"):
        EmbeddedServer(new_folder).start()
    assert not new_folder.exists()


def test_a_folder_that_cannot_be_made_is_told_with_the_way_out(tmp_path):
    with pytest.raises(EmbeddedServerError, match=r"No such file.*set DATABASE_URL"):
        EmbeddedServer(tmp_path / "missing" / ".postgres").start()


def test_an_ordinary_user_runs_a_server_of_their_own(clone):
    options = {}
    if os.geteuid() == 0:
        nobody = account_beside(ROOT / ".postgres")
        os.chown(clone, nobody.uid, nobody.gid)
        options = python_for(nobody)
    with tidied(clone / ".postgres") as folder:
        with using(launch(folder, **options)) as command:
            assert folder.stat().st_mode & 0o777 == 0o700
            assert not list(folder.glob("programs-*"))
            command.end()
        assert is_left_alone(folder)


@only_as_root
def test_an_ordinary_user_is_told_that_root_was_there_before(clone):
    options = python_for(account_beside(ROOT / ".postgres"))
    (clone / ".postgres").mkdir()
    status, _, errors = run(clone / ".postgres", COMMAND, **options)
    assert status == 1
    assert "probably a command ran as root before" in errors


@only_as_root
def test_root_runs_it_as_somebody_else_and_changes_no_folder_but_its_own(tmp_path, prepared):
    tmp_path.chmod(0o700)
    before = {parent: parent.stat() for parent in (tmp_path, *tmp_path.parents)}
    with tidied(tmp_path / ".postgres") as folder:
        copy_data(prepared, folder)
        with using(launch(folder, umask=0o077)) as command:
            assert Path(f"/proc/{processes(folder)['server']}").stat().st_uid != 0
            command.end()
        assert folder.is_symlink()
        assert folder.resolve().stat().st_mode & 0o777 == 0o700
        for parent, state in before.items():
            after = parent.stat()
            assert (after.st_mode, after.st_uid, after.st_gid) == (
                state.st_mode,
                state.st_uid,
                state.st_gid,
            )


@only_as_root
def test_root_keeps_the_data_in_a_clone_that_others_can_enter(clone, folder):
    with using(launch(folder, umask=0o077)) as command:
        assert folder.is_dir()
        assert not folder.is_symlink()
        command.end()
    assert (clone.stat().st_mode & 0o777, clone.stat().st_uid) == (0o755, 0)


@only_as_root
def test_root_copies_programs_that_root_alone_can_read(tmp_path, prepared):
    tmp_path.chmod(0o700)
    for name in (programs.PACKAGE, f"{programs.PACKAGE}.libs"):
        (tmp_path / name).symlink_to(Path(sysconfig.get_path("platlib")) / name)
    with tidied(tmp_path / ".postgres") as folder:
        copy_data(prepared, folder)
        environment = {"PYTHONPATH": str(tmp_path)}
        status, _, errors = run(folder, COMMAND, umask=0o077, environment=environment)
        assert status == 0, errors
        assert len(list(folder.glob("programs-*"))) == 1


@only_as_root
def test_root_works_for_the_owner_of_the_clone(clone):
    os.chown(clone, 1, 1)
    with tidied(clone / ".postgres") as folder, using(launch(folder)) as command:
        assert {file.stat().st_uid for file in folder.iterdir()} == {1}
        command.end()


@only_as_root
def test_a_private_folder_laid_by_somebody_else_is_refused(tmp_path):
    nobody = account_beside(tmp_path / ".postgres")
    trap = private_name(LASTING_FOLDER, tmp_path / ".postgres", nobody)
    trap.symlink_to(tmp_path)
    try:
        with pytest.raises(EmbeddedServerError, match="be suspicious"):
            EmbeddedServer(tmp_path / ".postgres").start()
    finally:
        trap.unlink()
    mine = Account(os.geteuid(), os.getegid())
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(EmbeddedServerError, match="mode 0700"):
        make_private_folder(tmp_path / "open", mine)


def python_for(account):
    """Return what makes `launch` run a Python as `account`, or skip where it can reach none."""
    options = {
        "python": "/usr/bin/python{}.{}".format(*sys.version_info),
        "user": account.uid,
        "group": account.gid,
        "extra_groups": [],
        "environment": {"PYTHONPATH": sysconfig.get_path("purelib")},
    }
    try:
        status, _, errors = run(ROOT, "import psycopg, sentinel", **options)
    except OSError as error:
        status, errors = 1, error
    if status:
        pytest.skip(f"an ordinary account reaches no Python that has our packages: {errors}")
    return options

"""What every command of ours promises on the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from sentinel.console import ConsoleCommand, natural_number

ROOT = Path(__file__).parents[2]
OURS = sorted(
    name
    for name, app in get_commands().items()
    if app.split(".")[0] in {"sentinel", "threads", "itineraries", "usage"}
)


@pytest.mark.parametrize("name", OURS)
def test_the_help_of_every_command_has_examples_and_exit_codes(name: str) -> None:
    command = load_command_class(get_commands()[name], name)
    assert isinstance(command, ConsoleCommand), "derive it from sentinel.console.ConsoleCommand"
    text = command.create_parser("manage.py", name).format_help()
    assert f"manage.py {name}" in text.split("examples:")[1]
    assert "exit codes: 0" in text


@pytest.mark.parametrize("name", OURS)
def test_a_command_holds_no_logic(name: str) -> None:
    """It parses, calls one function and prints: no SQL, no queries, no connections."""
    path = ROOT / get_commands()[name].replace(".", "/") / "management/commands" / f"{name}.py"
    source = path.read_text(encoding="utf-8")
    for word in ("cursor(", ".objects", "_default_manager", "connection", "atomic("):
        assert word not in source, f"{path.name}: move what uses {word} into a function of its own"


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("12", 12)])
def test_a_whole_number_is_taken(text: str, number: int) -> None:
    assert natural_number(text) == number


def test_a_reader_that_goes_away_changes_no_exit_code(scratch_database) -> None:
    """`audit_counters | head`: whether the counters are exact does not depend on who reads."""
    scratch_database.migrate()
    for output in ("table", "json"):
        command = subprocess.Popen(  # noqa: S603 (our own command)
            [sys.executable, "manage.py", "audit_counters", "--format", output],
            cwd=ROOT,
            env=scratch_database.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert command.stdout
        assert command.stderr
        command.stdout.close()
        errors = command.stderr.read()
        command.stderr.close()
        assert (command.wait(timeout=60), errors) == (0, b"")

"""The demo as a visitor meets it: served by `manage.py demo`, on a database of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.scratch import PROJECT, ScratchDatabase, new_database

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_PORT = 8800  # the demo takes the next one that is free
PRINTED = {name: re.compile(rf"\b{name}\s+(\S+)") for name in ("address", "email", "password")}


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where the demo is, how one logs in, and its database."""

    address: str
    email: str
    password: str
    database: ScratchDatabase


@contextmanager
def open_site() -> Iterator[Site]:
    """Run the demo for as long as the block lasts."""
    with new_database() as database:
        demo = subprocess.Popen(  # noqa: S603 (our own command)
            [sys.executable, "manage.py", "demo", "--port", str(FIRST_PORT)],
            cwd=PROJECT,
            env=database.environment | {"PYTHONUNBUFFERED": "1", "DEBUG": "on"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert demo.stdout
        try:
            printed = ""
            for line in demo.stdout:
                printed += line
                if "Ctrl-C ends" in line:
                    break
            found = {name: pattern.findall(printed) for name, pattern in PRINTED.items()}
            assert all(found.values()), f"the demo did not come to its end:\n{printed}"
            yield Site(database=database, **{name: words[-1] for name, words in found.items()})
        finally:
            os.killpg(demo.pid, signal.SIGTERM)
            demo.communicate(timeout=30)

"""Does what the message of a finding says."""

from __future__ import annotations

import re

from django.core.management import call_command
from psycopg.sql import SQL

from tests.rows import execute


def follow(cure: str) -> None:
    """Run the last command of a cure, which stands in backticks as the others do."""
    command = re.findall(r"`([^`]+)`", cure)[-1]
    if command.startswith("manage.py "):
        call_command(*command.removeprefix("manage.py ").split(), verbosity=0)
    else:
        execute(SQL(command))

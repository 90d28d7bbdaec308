"""What can be wrong with an import."""

from __future__ import annotations


class RecordError(ValueError):
    """One line is no record that can be imported. The message says why."""


class InputError(Exception):
    """The import cannot go on. The message names the file, and the line where there is one."""

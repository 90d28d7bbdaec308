"""Django's LOGGING: one line of JSON for each record, in a file that does not grow for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

OWN_LOGGERS = ("itineraries", "sentinel", "threads", "usage")
FILE_NAME = "sentinel-api.log"
LARGEST_FILE = 10_000_000  # bytes: some 30,000 lines, which any editor opens
KEPT_FILES = 5  # older ones, so that the folder holds 60 MB at most


def logging_settings(*, folder: Path, rotated: bool = True) -> dict[str, Any]:
    """Return the settings of logging. No file and no folder is made before there is a line.

    Warnings of ours also go to stderr, where commands and servers show them.

    Args:
        folder: where `sentinel-api.log` is.
        rotated: whether the file is renamed when it is full. Every process does that by itself. Two
            that do it at once lose no line that they write later, but may rename a file that is not
            full; and one that has not noticed goes on writing to the renamed file until that is
            full in its turn. With many processes leave it to logrotate's `copytruncate`.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "fmt": ["levelname", "name", "message"],
                "rename_fields": {"levelname": "level", "name": "logger"},
                "timestamp": "time",  # in UTC
            },
            "plain": {"format": "%(levelname)s %(name)s: %(message)s"},
        },
        "handlers": {
            "file": {
                "class": "sentinel.log_file.LogFile",
                "filename": str(folder / FILE_NAME),
                "maxBytes": LARGEST_FILE if rotated else 0,
                "backupCount": KEPT_FILES,
                "delay": True,
                "encoding": "utf-8",
                "formatter": "json",
            },
            "stderr": {
                "class": "logging.StreamHandler",
                "level": "WARNING",
                "formatter": "plain",
            },
        },
        "loggers": {
            **{name: {"handlers": ["file", "stderr"], "level": "INFO"} for name in OWN_LOGGERS},
            # Errors of requests, which Django itself only sends by mail when DEBUG is off.
            "django.request": {"handlers": ["file"]},
            "django.security": {"handlers": ["file"]},
        },
    }

"""Tells a monitor that a job has begun, and how it ended."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.parse import quote
from urllib.request import urlopen

from django.conf import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 5.0  # seconds: a monitor that does not answer holds a job up for so long, twice

logger = logging.getLogger(__name__)


@dataclass
class Job:
    """A job while it runs.

    Attributes:
        found_something: set where it ended without an error, and a person has to look at it.
    """

    found_something: bool = False


@contextmanager
def pinged_job(job: str, *, address: str | None = None) -> Iterator[Job]:
    """Ping `address/job/start`, then `address/job`, or `address/job/fail` where it raises.

    The same where it found something, such as an audit that has found drift.

    These are the addresses of Healthchecks and of what imitates it. Whatever becomes of a ping,
    the job goes on: a failed one is logged as a warning.

    Args:
        job: what is done, such as `archive-feature-usage`.
        address: the monitor's; the setting SENTINEL_MONITOR_URL if not given. Empty: no pings.
    """
    base = getattr(settings, "SENTINEL_MONITOR_URL", "") if address is None else address
    _ping(base, job, "/start")
    running = Job()
    try:
        yield running
    except BaseException:
        _ping(base, job, "/fail")
        raise
    _ping(base, job, "/fail" if running.found_something else "")


def _ping(base: str, job: str, event: str) -> None:
    if not base:
        return
    try:
        # The scheme was checked when the setting was read.
        with urlopen(f"{base.rstrip('/')}/{quote(job)}{event}", timeout=PATIENCE):  # noqa: S310
            pass
    except (OSError, ValueError, HTTPException) as error:
        # Not the address: it is a secret of the monitor's.
        logger.warning("The monitor was not told of %s%s: %s", job, event, type(error).__name__)

"""A database with a busy table, and its name as a Django alias."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connections

from tests.faults.server import connected_as
from tests.legacy.conftest import legacy_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper

    from tests.scratch import ScratchDatabase

__all__ = ["legacy_database"]


@pytest.fixture
def busy(scratch_database: ScratchDatabase, django_db_blocker) -> Iterator[BaseDatabaseWrapper]:
    """Django's connection to a database with two tables."""
    scratch_database.run("CREATE TABLE trips (id integer); CREATE TABLE stops (id integer)")
    with django_db_blocker.unblock(), connected_as("busy", scratch_database) as alias:
        yield connections[alias]

"""Migrations on a database that others write meanwhile.

A migration uses the operations; `manage.py migrate` uses `run_migrations`.
"""

from __future__ import annotations

from sentinel.migrating.constraints import AddConstraint, RequireValue
from sentinel.migrating.deploying import DeployerAtWorkError, run_migrations
from sentinel.migrating.operations import BuildIndex, InOneTransaction
from sentinel.migrating.patience import LockedOutError, Patience

__all__ = [
    "AddConstraint",
    "BuildIndex",
    "DeployerAtWorkError",
    "InOneTransaction",
    "LockedOutError",
    "Patience",
    "RequireValue",
    "run_migrations",
]

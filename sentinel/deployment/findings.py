"""What a check of a checklist is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections

from sentinel.counters.statements import named_queries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

SQL_FOLDER = Path(__file__).parent / "sql"


class State(StrEnum):
    """How it stands."""

    OK = "ok"
    WARNING = "warning"  # somebody should look
    FAILED = "failed"  # not to be deployed so, or not deployed rightly


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What is looked at.

    Attributes:
        now: the time.
        using: the database's alias.
        backup_acknowledged: whether the operator says that there is a backup.
        log_file: the application's log, where it is on this machine.
    """

    now: datetime
    using: str = DEFAULT_DB_ALIAS
    backup_acknowledged: bool = False
    log_file: Path | None = None

    def rows(self, file: str, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return what a named query of the `sql` folder finds."""
        with connections[self.using].cursor() as cursor:
            cursor.execute(named_queries(file, SQL_FOLDER)[query], parameters)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a check says.

    Attributes:
        state: how it stands.
        message: what was found, in a sentence.
        cure: what to do; empty where nothing has to be done.
        figures: numbers and names behind the sentence.
    """

    state: State
    message: str
    cure: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


class Finding(NamedTuple):
    """An answer, by the name of the check that gave it."""

    id: str
    state: State
    message: str
    cure: str
    figures: Mapping[str, Any]


class Check(NamedTuple):
    """A line of a checklist.

    Attributes:
        id: a name that stays the same, such as `before.backup`.
        ask: finds the answer. It runs in a transaction that is rolled back.
        writes: whether it writes for a moment; all others run read-only.
    """

    id: str
    ask: Callable[[Deployment], Answer]
    writes: bool = False


def ok(message: str, **figures: Any) -> Answer:
    """Nothing has to be done."""
    return Answer(state=State.OK, message=message, figures=figures)


def warning(message: str, *, cure: str, **figures: Any) -> Answer:
    """Somebody should look."""
    return Answer(state=State.WARNING, message=message, cure=cure, figures=figures)


def failed(message: str, *, cure: str, **figures: Any) -> Answer:
    """It is not as it must be."""
    return Answer(state=State.FAILED, message=message, cure=cure, figures=figures)

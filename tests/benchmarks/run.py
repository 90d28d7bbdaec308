"""Makes a database, has the scenarios measure in it, and drops it."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from django.db import connections
from django.test.utils import setup_databases, teardown_databases

from tests.benchmarks.bench import Bench
from tests.benchmarks.database import present_database
from tests.benchmarks.pgbench import PgbenchError, find_pgbench
from tests.benchmarks.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.benchmarks.database import Database
    from tests.benchmarks.sizes import Sizes

NEED_PGBENCH = frozenset({"inserts", "writers", "repairs"})


@contextmanager
def measured_database() -> Iterator[Database]:
    """A migrated database of its own, on the server of the settings."""
    made = setup_databases(verbosity=0, interactive=False, serialized_aliases=set())
    try:
        yield present_database()
    finally:
        connections.close_all()
        teardown_databases(made, verbosity=0)


def run_scenarios(
    database: Database, sizes: Sizes, *, names: Sequence[str], tell: Callable[[str], None]
) -> Bench:
    """Measure what the named scenarios measure; all of them where none is named."""
    bench = Bench(database=database, sizes=sizes, tell=tell)
    try:
        for name in (name for name in SCENARIOS if not names or name in names):
            if name in NEED_PGBENCH:
                try:
                    find_pgbench()
                except PgbenchError as error:
                    bench.skipped.append(f"{name}: {error}")
                    continue
            import_module(f"tests.benchmarks.scenarios.{name}").measure(bench)
    finally:
        bench.close()
    return bench

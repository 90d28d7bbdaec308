"""How much is measured: quick to try the harness, normal in minutes, full as the table says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

# How long and how often is no matter of what is measured.
UNSTATED = frozenset(
    {
        "name",
        "rounds",
        "warm_up",
        "slow_rounds",
        "executions",
        "transactions",
        "client_seconds",
        "uses",
    }
)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The sizes of one run. Bars are named after those of the full run.

    Attributes:
        name: of the option that chooses them.
        rounds: how often each way is measured, in turns with the others.
        warm_up: whether a round that does not count comes first.
        slow_rounds: the same where one way takes a minute.
        executions: of a query in a round; its time is the median of them.
        thread_lengths: messages of the threads whose limit is checked.
        waypoints: of the itineraries whose limit is checked.
        transactions: of one client in a round.
        legacy_lengths: messages of the threads where the legacy trigger inserts.
        few_rows: inserted in one statement.
        many_rows: inserted in one statement.
        many_clients: that write over the same fifty threads.
        client_seconds: for which many clients write in a round.
        client_transactions: of each of the many clients, instead of a time; None for the time.
        changed_rows: moved, or given another text, in one statement.
        deleted_rows: messages of the thread that is deleted.
        audited_threads: which are audited, each with `audited_each` messages.
        audited_each: see there.
        drifting_threads: which are repaired.
        uses: recorded in a round.
        imported_events: in the file.
        archived_months: rows of feature_usage that are archived, with ten events each.
        reported_events: in the ledger that the dashboards read, before it grows.
    """

    name: str
    rounds: int
    warm_up: bool
    slow_rounds: int
    executions: int
    thread_lengths: tuple[int, ...]
    waypoints: tuple[int, ...]
    transactions: int
    legacy_lengths: tuple[int, ...]
    few_rows: int
    many_rows: int
    many_clients: int
    client_seconds: float
    client_transactions: int | None
    changed_rows: int
    deleted_rows: int
    audited_threads: int
    audited_each: int
    drifting_threads: int
    uses: int
    imported_events: int
    archived_months: int
    reported_events: int


FULL = Sizes(
    name="full",
    rounds=9,
    warm_up=True,
    slow_rounds=3,
    executions=51,
    thread_lengths=(10, 100, 1_000, 100_000, 1_000_000),
    waypoints=(10, 100, 1_000, 10_000),
    transactions=5_000,
    legacy_lengths=(100, 1_000, 10_000),
    few_rows=1_000,
    many_rows=100_000,
    many_clients=16,
    client_seconds=10,
    client_transactions=None,
    changed_rows=10_000,
    deleted_rows=100_000,
    audited_threads=100_000,
    audited_each=50,
    drifting_threads=100_000,
    uses=2_000,
    imported_events=1_000_000,
    archived_months=100_000,
    reported_events=1_000_000,
)

NORMAL = Sizes(
    name="normal",
    rounds=7,
    warm_up=True,
    slow_rounds=1,
    executions=25,
    thread_lengths=FULL.thread_lengths,
    waypoints=FULL.waypoints,
    transactions=2_000,
    legacy_lengths=FULL.legacy_lengths,
    few_rows=FULL.few_rows,
    many_rows=FULL.many_rows,
    many_clients=16,
    client_seconds=2,
    client_transactions=None,
    changed_rows=FULL.changed_rows,
    deleted_rows=FULL.deleted_rows,
    audited_threads=FULL.audited_threads,
    audited_each=FULL.audited_each,
    drifting_threads=FULL.drifting_threads,
    uses=500,
    imported_events=100_000,
    archived_months=10_000,
    reported_events=100_000,
)

QUICK = Sizes(
    name="quick",
    rounds=2,
    warm_up=False,
    slow_rounds=1,
    executions=3,
    thread_lengths=(10, 20, 50, 1_000, 10_000),
    waypoints=(10, 20, 50, 100),
    transactions=20,
    legacy_lengths=(10, 20, 100),
    few_rows=10,
    many_rows=1_000,
    many_clients=4,
    client_seconds=0.2,
    client_transactions=2,
    changed_rows=100,
    deleted_rows=1_000,
    audited_threads=1_000,
    audited_each=10,
    drifting_threads=1_000,
    uses=10,
    imported_events=1_000,
    archived_months=100,
    reported_events=400,
)


def smaller_sizes(sizes: Sizes) -> dict[str, tuple[Any, Any]]:
    """Return what is not as large as the table says: its size, and that of the full run."""
    full = asdict(FULL)
    return {
        name: (size, full[name])
        for name, size in asdict(sizes).items()
        if name not in UNSTATED and size != full[name]
    }


ALL_SIZES = {sizes.name: sizes for sizes in (QUICK, NORMAL, FULL)}

"""Counters that PostgreSQL keeps exact: declared once, counted by triggers, proved by audits."""

from sentinel.counters.audit import CounterReport, Drift, audit_counter, audit_counters
from sentinel.counters.backfill import backfill_sql
from sentinel.counters.binding import BoundCounter, ChildCount, RowValue
from sentinel.counters.declaration import (
    Counter,
    DerivedCounter,
    LedgerCounter,
    json_array_length,
)
from sentinel.counters.health import find_problems, inspect_health
from sentinel.counters.ledger import LedgerTotal
from sentinel.counters.problems import Problem, Severity
from sentinel.counters.recording import RecordingError, record_audits
from sentinel.counters.registry import UnknownCounterError, declared_counters, find_counters
from sentinel.counters.repair import preview_repair, repair_counters
from sentinel.counters.repair_batch import SkippedRows
from sentinel.counters.repair_lock import RepairLockLostError, RepairRunningError
from sentinel.counters.repair_report import RepairReport, RepairRunReport
from sentinel.counters.selection import Selection, SelectionError, select_rows
from sentinel.counters.triggers import DefinerTrigger

__all__ = [
    "BoundCounter",
    "ChildCount",
    "Counter",
    "CounterReport",
    "DefinerTrigger",
    "DerivedCounter",
    "Drift",
    "LedgerCounter",
    "LedgerTotal",
    "Problem",
    "RecordingError",
    "RepairLockLostError",
    "RepairReport",
    "RepairRunReport",
    "RepairRunningError",
    "RowValue",
    "Selection",
    "SelectionError",
    "Severity",
    "SkippedRows",
    "UnknownCounterError",
    "audit_counter",
    "audit_counters",
    "backfill_sql",
    "declared_counters",
    "find_counters",
    "find_problems",
    "inspect_health",
    "json_array_length",
    "preview_repair",
    "record_audits",
    "repair_counters",
    "select_rows",
]

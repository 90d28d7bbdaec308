"""Counters that PostgreSQL keeps exact: declared once, counted by triggers, proved by audits."""

from sentinel.counters.audit import CounterReport, Drift, audit_counter, audit_counters
from sentinel.counters.binding import BoundCounter, ChildCount, RowValue
from sentinel.counters.declaration import Counter, DerivedCounter, json_array_length
from sentinel.counters.health import Problem, find_problems
from sentinel.counters.registry import UnknownCounterError, declared_counters, find_counters
from sentinel.counters.triggers import DefinerTrigger

__all__ = [
    "BoundCounter",
    "ChildCount",
    "Counter",
    "CounterReport",
    "DefinerTrigger",
    "DerivedCounter",
    "Drift",
    "Problem",
    "RowValue",
    "UnknownCounterError",
    "audit_counter",
    "audit_counters",
    "declared_counters",
    "find_counters",
    "find_problems",
    "json_array_length",
]

"""The status in Prometheus' text format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from sentinel.counters.problems import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from sentinel.counters.status import StatusReport

COUNTER = ["counter"]


def expose_status(report: StatusReport) -> str:
    """Return a status as a complete file for Prometheus, such as a node exporter's textfile."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_StatusCollector(report))
    return generate_latest(registry).decode()


class _StatusCollector(Collector):
    def __init__(self, report: StatusReport) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        """See `Collector.collect`."""
        yield GaugeMetricFamily(
            "sentinel_status_ok",
            "1 where nothing has to be done: see manage.py counter_status.",
            value=float(self._report.ok),
        )
        yield from self._audits()
        yield from self._problems()
        yield from self._use()
        for line in self._report.lines:
            for figure in line.figures:
                yield GaugeMetricFamily(figure.name, figure.help, value=figure.value)

    def _audits(self) -> Iterator[Metric]:
        moment = GaugeMetricFamily(
            "sentinel_counter_audit_timestamp_seconds",
            "When the counter was last audited; 0 where it never was.",
            labels=COUNTER,
        )
        duration = GaugeMetricFamily(
            "sentinel_counter_audit_duration_seconds",
            "How long the last audit took.",
            labels=COUNTER,
        )
        checked = GaugeMetricFamily(
            "sentinel_counter_audited_rows",
            "Rows that the last audit compared.",
            labels=COUNTER,
        )
        drift = GaugeMetricFamily(
            "sentinel_counter_drift_rows",
            "Rows that the last audit found wrong.",
            labels=COUNTER,
        )
        for status in self._report.counters:
            audit = status.last_audit
            moment.add_metric([status.counter], audit.audited_at.timestamp() if audit else 0)
            if audit:
                duration.add_metric([status.counter], audit.seconds)
                checked.add_metric([status.counter], audit.rows_checked)
                drift.add_metric([status.counter], audit.rows_in_drift)
        yield from (moment, duration, checked, drift)

    def _problems(self) -> Iterator[Metric]:
        problems = GaugeMetricFamily(
            "sentinel_counter_problems",
            "What the health check has to say about what keeps the counter, by severity.",
            labels=["counter", "severity"],
        )
        for status in self._report.counters:
            for severity in Severity:
                found = sum(problem.severity is severity for problem in status.problems)
                problems.add_metric([status.counter, severity], found)
        yield problems

    def _use(self) -> Iterator[Metric]:
        updates = CounterMetricFamily(
            "sentinel_counter_parent_updates",
            "Updates of rows of the counter's table.",
            labels=COUNTER,
        )
        hot = CounterMetricFamily(
            "sentinel_counter_parent_hot_updates",
            "Those of them that made no new entry in any index.",
            labels=COUNTER,
        )
        scans = CounterMetricFamily(
            "sentinel_counter_index_scans",
            "Scans of an index that readers or recounts of the counter may use.",
            labels=["counter", "table", "index"],
        )
        size = GaugeMetricFamily(
            "sentinel_counter_index_size_bytes",
            "Size of that index.",
            labels=["counter", "table", "index"],
        )
        for status in self._report.counters:
            updates.add_metric([status.counter], status.updates.all)
            hot.add_metric([status.counter], status.updates.hot)
            for index in status.indexes:
                labels = [status.counter, index.table, index.name]
                scans.add_metric(labels, index.scans)
                size.add_metric(labels, index.size)
        yield from (updates, hot, scans, size)

"""The demo's past: half a year of usage, and two months of audits with an incident."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

from django.core.management import call_command

from sentinel.counters.models import CounterAudit, CounterRepairRun
from sentinel.demo.seeding import seed_demo
from usage.limit_models import LimitOverride
from usage.reporting import find_months, report_month

NOW = datetime(2026, 3, 14, 15, 9, tzinfo=UTC)
THREADS = 20


def test_each_part_of_the_dashboards_has_something_to_show(db: None) -> None:
    seed_demo(threads=120, now=NOW)
    months = find_months(now=NOW)
    assert len(months) == 6
    found = report_month(month=NOW.date(), now=NOW)
    assert {line.plan for line in found.users} == {"PRO", "BUSINESS", "ENTERPRISE"}
    for figure in (found.uses, found.active_users, found.refusals):
        assert figure.before is not None
        assert figure.current > figure.before > 0, "it grows"
    for figure in (found.near_limit, found.at_limit):
        assert figure.current > 0
        assert figure.before is not None
    assert len({line.last_at for line in found.users}) > 1
    assert all(line.last_at and line.last_at <= NOW for line in found.users)
    assert {line.plan for line in found.refused} == {"FREE", "PRO", "BUSINESS"}
    assert [report_month(month=month, now=NOW).archived for month in months] == (
        [False] * 4 + [True] * 2
    )
    assert LimitOverride.objects.count() == 2


def test_the_days_of_the_demo_s_months_add_up_to_their_uses(db: None) -> None:
    seed_demo(threads=THREADS, now=NOW)
    for month in find_months(now=NOW):
        found = report_month(month=month, now=NOW)
        assert sum(day.uses or 0 for day in found.days) == found.uses.current > 0


def test_an_incident_was_found_by_an_audit_and_repaired(db: None) -> None:
    seed_demo(threads=THREADS, now=NOW)
    [wrong] = CounterAudit.objects.filter(exact=False)
    [run] = CounterRepairRun.objects.all()
    assert wrong.problems[0]["id"] == "counters.trigger_disabled"
    assert wrong.rows_in_drift == run.rows_repaired == run.repairs.count()
    later = CounterAudit.objects.filter(counter=wrong.counter, audited_at__gt=run.started_at)
    assert later.exists()
    assert all(audit.exact for audit in later)
    newest = CounterAudit.objects.latest("audited_at").audited_at
    assert NOW - timedelta(days=1) < newest <= NOW


def test_audits_that_were_made_before_stay_alone(db: None) -> None:
    call_command("audit_counters", stdout=io.StringIO())
    audits = CounterAudit.objects.count()
    seed_demo(threads=2, now=NOW)
    assert CounterAudit.objects.count() == audits
    assert not CounterRepairRun.objects.exists()

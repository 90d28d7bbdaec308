"""More requests at once than a limit has left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection, connections

from sentinel.counters import audit_counters, declared_counters
from tests.gating.visitors import make_user, query, sign_in
from usage.factories import LimitOverrideFactory

pytestmark = [pytest.mark.usefixtures("committed"), pytest.mark.urls("tests.gating.gated_urls")]

AT_ONCE = 10
LIMIT = 4


@pytest.mark.parametrize("atomic", [0, 1], ids=["autocommit", "ATOMIC_REQUESTS"])
def test_no_more_requests_are_let_through_at_once_than_a_limit_has_left(
    atomic: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", atomic)
    user = make_user("PRO")
    LimitOverrideFactory.create(user=user, feature="pdf_exports_monthly", usage_limit=LIMIT)
    clients = [sign_in(user) for _ in range(AT_ONCE)]
    start = Barrier(AT_ONCE)

    def visit(number: int) -> int:
        try:
            connection.ensure_connection()
            start.wait()
            return clients[number].get("/export").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        came = list(pool.map(visit, range(AT_ONCE)))
    assert sorted(came) == [200] * LIMIT + [403] * (AT_ONCE - LIMIT)
    assert query("SELECT usage_count FROM feature_usage") == [(LIMIT,)]
    assert all(report.exact for report in audit_counters(declared_counters()))

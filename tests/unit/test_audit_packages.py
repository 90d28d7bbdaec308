"""What `make lint` makes of pip-audit's report."""

from __future__ import annotations

import runpy
from typing import Any

from tests.scratch import PROJECT

JUDGE = runpy.run_path(str(PROJECT / ".ci/audit_packages.py"))["judge"]

FINE = {"name": "django", "version": "5.2.9", "vulns": []}
VULNERABLE = {
    "name": "rich",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["1.1", "2.0"]}],
}
UNKNOWN = {"name": "ours", "skip_reason": "Dependency not found on PyPI"}


def judge(*packages: dict[str, Any]) -> tuple[int, str]:
    code, lines = JUDGE({"dependencies": packages})
    return code, "\n".join(lines)


def test_a_vulnerable_package_is_a_failure_and_is_named() -> None:
    code, said = judge(FINE, VULNERABLE)
    assert code == 1
    assert "rich 1.0 is vulnerable: PYSEC-2026-1, fixed in 1.1, 2.0" in said
    assert "2 packages were asked about" in said


def test_nothing_known_is_no_failure() -> None:
    assert judge(FINE) == (0, "pip-audit: 1 packages were asked about.")


def test_what_could_not_be_asked_is_told_aloud_and_is_no_failure() -> None:
    code, said = judge(FINE, UNKNOWN)
    assert code == 0
    assert "SKIPPED 1 packages" in said
    assert "ours" in said

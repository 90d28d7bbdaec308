#!/usr/bin/env python
"""Asks PyPI whether a pinned package is known to be vulnerable; says aloud what it could not ask.

Exit code 1 where one is. Where nobody answers, as without a network, that is no failure of ours:
the lines say so, and the exit code is 0.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
PINNED = "constraints.txt"  # every package with its version, so that nothing is resolved anew
COMMAND = (
    *("-m", "pip_audit", "--requirement", PINNED, "--no-deps", "--disable-pip"),
    *("--vulnerability-service", "pypi", "--timeout", "10"),
    *("--format", "json", "--progress-spinner", "off"),
)
PATIENCE = 300  # seconds for all of them


class UnansweredError(Exception):
    """Nothing could be asked at all. The message says why."""


def ask() -> dict[str, Any]:
    """Return what pip-audit reports.

    Raises:
        UnansweredError: it reports nothing.
    """
    try:
        done = subprocess.run(  # noqa: S603 (a module of the environment's)
            [sys.executable, *COMMAND],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        report: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise UnansweredError(f"no answer within {PATIENCE} seconds") from None
    except json.JSONDecodeError:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UnansweredError(said[-1]) from None
    return report


def judge(report: dict[str, Any]) -> tuple[int, list[str]]:
    """Return the exit code and what to say."""
    packages = report["dependencies"]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    vulnerable = [
        f"pip-audit: {package['name']} {package['version']} is vulnerable: {found['id']},"
        f" fixed in {', '.join(found['fix_versions']) or 'no version yet'}"
        for package in packages
        for found in package.get("vulns", ())
    ]
    lines = [*vulnerable, f"pip-audit: {len(packages) - len(skipped)} packages were asked about."]
    if skipped:
        lines.append(
            f"pip-audit: SKIPPED {len(skipped)} packages, of which PyPI's vulnerability service has"
            f" no answer: {', '.join(skipped[:3])}, ... Run it where it is reached."
        )
    return 1 if vulnerable else 0, lines


def main() -> int:
    """Ask, and print what came of it."""
    try:
        code, lines = judge(ask())
    except UnansweredError as error:
        code, lines = 0, [f"pip-audit: SKIPPED, nothing was asked: {error}"]
    sys.stdout.write("\n".join(lines) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())

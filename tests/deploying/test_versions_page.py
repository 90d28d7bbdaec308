"""The page about versions and topologies names tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.scratch import PROJECT

PAGE = (PROJECT / "docs/postgresql_versions.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_test_that_the_page_names_exists(file: str, test: str) -> None:
    assert f"def {test}(" in (PROJECT / file).read_text(encoding="utf-8")

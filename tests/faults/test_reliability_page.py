"""The page about reliability names tests that exist, and every hazard."""

from __future__ import annotations

import re

import pytest

from tests.scratch import PROJECT

PAGE = (PROJECT / "docs/reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
HAZARDS = 31  # of the list


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_test_that_the_page_names_exists(file: str, test: str) -> None:
    assert f"def {test}(" in (PROJECT / file).read_text(encoding="utf-8")


def test_the_page_has_a_line_for_every_hazard() -> None:
    lines = re.findall(r"^\| (\d+) \| .+ \| (`tests/|open)", PAGE, re.MULTILINE)
    assert [int(number) for number, _ in lines] == list(range(1, HAZARDS + 1))

"""A gate that could never work is an error when its module is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from usage import (
    InvalidGateError,
    UnknownFeatureError,
    feature_limit,
    feature_required,
    feature_tier,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

GATES: list[Callable[..., Any]] = [feature_required, feature_limit, feature_tier]


@pytest.mark.parametrize("gate", GATES)
def test_an_unknown_feature_is_told_the_closest(gate: Callable[..., Any]) -> None:
    with pytest.raises(UnknownFeatureError, match="Did you mean 'map_export'"):
        gate("map_exports")


@pytest.mark.parametrize(
    ("gate", "feature", "right"),
    [
        (feature_required, "pdf_exports_monthly", "feature_limit"),
        (feature_required, "map_export", "feature_tier"),
        (feature_limit, "api_access", "feature_required"),
        (feature_limit, "map_export", "feature_tier"),
        (feature_tier, "pdf_exports_monthly", "feature_limit"),
        (feature_tier, "api_access", "feature_required"),
    ],
)
def test_a_feature_of_another_kind_is_told_its_gate(
    gate: Callable[..., Any], feature: str, right: str
) -> None:
    with pytest.raises(InvalidGateError, match=f"put {right} in front of it"):
        gate(feature)


@pytest.mark.parametrize(
    ("gate", "feature"),
    [
        (feature_required, "api_access"),
        (feature_limit, "saved_searches"),
        (feature_tier, "map_export"),
    ],
)
def test_an_unknown_plan_is_told_which_there_are(gate: Callable[..., Any], feature: str) -> None:
    with pytest.raises(InvalidGateError, match=r"'GOLD': no such plan.*FREE, PRO, BUSINESS, ENT"):
        gate(feature, required_plan="GOLD")


@pytest.mark.parametrize("values", ["all", (), ("pdf",), ("csv", "pdf")])
def test_tiers_that_the_feature_does_not_have_are_refused(values: Any) -> None:
    with pytest.raises(InvalidGateError, match="one or more of csv, all"):
        feature_tier("map_export", allow_values=values)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{unknown} of {limit}", "names 'unknown'"),
        ("{limit.real}", "names 'limit.real'"),
        ("{}", "names ''"),
        ("{limit", "cannot be read"),
        ("{plan:d}", "cannot be filled in"),
    ],
)
def test_a_template_that_cannot_be_filled_in_is_refused(template: str, said: str) -> None:
    with pytest.raises(InvalidGateError, match=said):
        feature_limit("saved_searches", limit_message_template=template)


def test_a_template_may_name_every_field() -> None:
    feature_limit(
        "saved_searches",
        limit_message_template="{feature} {title} {one} {many} {plan} {required_plan} {limit:,} "
        "{used:,} {asked} {provided} {remaining} {resets_at}",
    )


class NoView:
    """A class that no request reaches."""


def generate() -> Iterator[int]:
    yield 1


async def generate_async() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("gated", "said"),
    [
        (NoView, "is no class of views"),
        (generate, "is a generator"),
        (generate_async, "is a generator"),
        ("export", "cannot be called"),
    ],
)
def test_what_cannot_be_gated_is_refused(gated: Any, said: str) -> None:
    with pytest.raises(InvalidGateError, match=said):
        feature_required("api_access")(gated)

"""The features that are declared, against the price list and against the database."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection

from sentinel.accounts.factories import UserFactory
from usage import FEATURES, Feature, Kind, Per, UnknownFeatureError, find_feature
from usage.limit_models import PlanLimit

# The list of the existing system, word for word: thirteen and one.
TRACKED = """
chat_messages_monthly, chat_export_pdf, route_analysis, briefing_packages, monthly_briefing,
custom_reports, safe_zones_overlay, map_export, team_users, api_access, analyst_access,
saved_searches, trip_planner_destinations; travel_assessments_monthly
"""

every_feature = pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)


def test_the_tracked_features_are_those_of_the_existing_system() -> None:
    expected = TRACKED.replace(";", ",").replace(",", " ").split()
    assert len(expected) == 14
    assert sorted(f.name for f in FEATURES if f.tracked) == sorted(expected)


def test_no_feature_is_declared_twice() -> None:
    assert len({feature.name for feature in FEATURES}) == len(FEATURES) == 32
    assert len({feature.title for feature in FEATURES}) == len(FEATURES)


@pytest.mark.django_db
def test_the_price_list_and_the_declaration_have_the_same_features() -> None:
    priced = set(PlanLimit.objects.values_list("feature", flat=True))
    assert priced == {feature.name for feature in FEATURES}


@every_feature
def test_a_feature_declares_what_its_kind_has_and_nothing_else(feature: Feature) -> None:
    assert len(feature.name) <= 50
    assert (feature.kind is Kind.METERED) == (feature.per is not None)
    assert (feature.kind is Kind.TIERED) == bool(feature.tiers)
    assert (feature.per is Per.OBJECT) == bool(feature.of)
    assert feature.lifetime_column is None or feature.per is Per.MONTH


@every_feature
def test_a_feature_is_found_by_its_name(feature: Feature) -> None:
    assert find_feature(feature.name) is feature


@pytest.mark.django_db
@pytest.mark.parametrize(
    "feature", [f for f in FEATURES if f.lifetime_column], ids=lambda feature: feature.name
)
def test_the_database_reads_the_lifetime_column_that_is_declared(feature: Feature) -> None:
    user = UserFactory.create(**{str(feature.lifetime_column): 11})
    with connection.cursor() as cursor:
        cursor.execute("SELECT feature_used(%s, %s, 'lifetime', now())", [user.pk, feature.name])
        assert cursor.fetchall() == [(11,)]


@pytest.mark.django_db
@every_feature
def test_the_database_takes_a_lifetime_limit_where_there_is_a_column(feature: Feature) -> None:
    rows = PlanLimit.objects.filter(plan="PRO", feature=feature.name)
    if feature.lifetime_column:
        assert rows.update(per=Per.LIFETIME) == 1
    else:
        with pytest.raises(IntegrityError, match="lifetime_check"):
            rows.update(per=Per.LIFETIME)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("map_exports", "map_export"),
        ("chat_message_monthly", "chat_messages_monthly"),
        ("Route_Analysis", "route_analysis"),
    ],
)
def test_a_misspelt_name_is_told_what_it_may_have_meant(written: str, meant: str) -> None:
    with pytest.raises(UnknownFeatureError, match=f"Did you mean '{meant}'"):
        find_feature(written)


@pytest.mark.parametrize("written", ["", "zzz", None, 7])
def test_a_name_like_no_other_is_told_all_there_are(written: object) -> None:
    with pytest.raises(
        UnknownFeatureError, match=r"There are: chat_messages_monthly, .*api_access"
    ):
        find_feature(written)  # type: ignore[arg-type]  # what a caller may get wrong

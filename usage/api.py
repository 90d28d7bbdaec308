"""Usage over HTTP: what you have used of what your plan gives, and a use of any feature."""

from datetime import datetime
from typing import Annotated, Any

from ninja import Header, Router, Schema
from pydantic import AfterValidator, Field

from sentinel.web.answers import ALWAYS, WITH_BODY, Problem
from sentinel.web.fields import LARGEST_INTEGER, require_storable
from sentinel.web.requests import CustomerRequest
from usage.answers import Refused
from usage.features import Per, find_feature
from usage.gating import KEY_HEADER, LONGEST_HEADER, require_use
from usage.limits import FeatureStanding, usage_for

router = Router(tags=["usage"])


def require_printable(key: str) -> str:
    """Refuse a key that nobody could write down.

    Raises:
        ValueError: it has characters that cannot be printed.
    """
    if not key.isprintable():
        raise ValueError("It has characters that cannot be printed.")
    return key


FeatureName = Annotated[str, Field(max_length=50), AfterValidator(require_storable)]
IdempotencyKey = Annotated[
    Annotated[str, AfterValidator(require_printable)] | None,
    Header(
        alias=KEY_HEADER,
        min_length=1,
        max_length=LONGEST_HEADER,
        description="A use with a key that you have sent for this feature before is not counted "
        "again.",
    ),
]


class Standing(Schema):
    """What you may use of a feature, and what you have used."""

    feature: str
    title: str
    included: bool = Field(description="Whether you have the feature at all.")
    limit: int | None = Field(description="null: unlimited, or nothing that is counted.")
    per: Per | None = Field(description="What the limit holds for.")
    tier: str | None = Field(description="The word of a tiered feature.")
    used: int | None = Field(
        description="In the month or lifetime, or held now; null where each object has a limit "
        "of its own, and where nothing is counted."
    )
    remaining: int | None = Field(description="null: unlimited, or nothing that is counted.")
    resets_at: datetime | None = Field(description="When a monthly limit starts anew.")

    @staticmethod
    def resolve_title(standing: FeatureStanding) -> str:
        """Return the feature's title."""
        return find_feature(standing.feature).title


class Usage(Schema):
    """What you may use of every feature, and what you have used."""

    plan: str
    features: list[Standing] = Field(description="All features, in the order of the price list.")


class UseBody(Schema):
    """A use of a feature."""

    amount: int = Field(
        default=1,
        ge=1,
        le=LARGEST_INTEGER,
        description="How many uses; for a limit of each object or of the account how much there "
        "would be with this use.",
    )
    tier: Annotated[str, Field(max_length=50), AfterValidator(require_storable)] | None = Field(
        default=None, description="The word of a tiered feature that is needed."
    )


class Use(Schema):
    """A use that was admitted."""

    feature: str
    plan: str | None
    limit: int | None
    used: int | None = Field(description="With this use; null where uses are not limited.")
    remaining: int | None
    resets_at: datetime | None
    duplicate: bool = Field(description="The key had been used: nothing was counted again.")


@router.get("/usage", response={200: Usage} | ALWAYS, operation_id="get_usage")
def get_usage(request: CustomerRequest) -> dict[str, Any]:
    """Read what you have used of every feature, and what is left."""
    standings = list(usage_for(user_id=request.user.pk).values())
    return {"plan": standings[0].plan, "features": standings}


@router.post(
    "/features/{feature}/use",
    response={200: Use} | WITH_BODY | {403: Refused | Problem, 404: Problem, 409: Problem},
    operation_id="use_feature",
)
def use_feature(
    request: CustomerRequest, feature: FeatureName, body: UseBody, key: IdempotencyKey = None
) -> dict[str, Any]:
    """Use a feature that has no address of its own, if your plan admits it: it is recorded."""
    came = require_use(
        user_id=request.user.pk,
        feature=feature,
        key=None if key is None else f"{feature}:{key}",  # as gates write it
        provided=body.amount,
        tiers=None if body.tier is None else [body.tier],
    )
    return {
        "feature": feature,
        "plan": came.plan,
        "limit": came.limit,
        "used": came.used_after,
        "remaining": came.remaining,
        "resets_at": came.resets_at,
        "duplicate": came.duplicate,
    }

"""What the API answers to a request that the plan does not admit."""

from datetime import datetime
from typing import Literal

from ninja import Schema
from pydantic import Field


class Refused(Schema):
    """A request that the plan does not admit. Nothing was done and nothing used."""

    error: str
    feature_locked: Literal[True]
    feature: str
    plan: str | None
    required_plan: str | None = Field(
        description="The cheapest plan that would admit it; null where none would."
    )
    limit: int | str | None = Field(
        description="What the plan allows; 0: the feature is not in it."
    )
    provided: int | str | None = Field(description="What was used, or asked for.")
    resets_at: datetime | None = Field(description="When a monthly limit starts anew.")

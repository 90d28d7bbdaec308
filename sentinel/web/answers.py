"""What the API answers when it does not do what was asked."""

from typing import Any

from ninja import Schema
from pydantic import Field


class Problem(Schema):
    """Why nothing was done."""

    error: str


class WrongValue(Schema):
    """One value of a request that cannot be taken."""

    place: str = Field(description="Where it stands, such as body.title.")
    message: str


class WrongValues(Problem):
    """Which values of a request cannot be taken."""

    problems: list[WrongValue]


# What any request may be answered with. Only signed in, and changes only with the CSRF token: the
# value of the cookie csrftoken, sent back in the header X-CSRFToken.
ALWAYS: dict[int, Any] = {401: Problem, 422: WrongValues, 503: Problem}
WITH_BODY: dict[int, Any] = ALWAYS | {400: Problem, 403: Problem, 413: Problem}

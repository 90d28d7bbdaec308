"""How customers are named on the dashboards: by email only to those who may see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sentinel.dashboards.permissions import Permission

if TYPE_CHECKING:
    from django.http import HttpRequest


@dataclass(frozen=True, kw_only=True)
class Naming:
    """Names customers for whoever looks.

    Attributes:
        with_emails: whether they may see email addresses.
    """

    with_emails: bool

    def name(self, *, user_id: int | None, name: str | None, email: str | None) -> str:
        """Return what stands for the customer in a list: a name, an email or "user 17"."""
        if user_id is None:
            return "nobody"
        return (name or "").strip() or self.email(email) or f"user {user_id}"

    def detail(self, *, user_id: int | None, name: str | None, email: str | None) -> str:
        """Return what stands below it: the email, or the account's number beside a name."""
        if user_id is None:
            return "written without an account"
        shown = self.email(email)
        if not (name or "").strip():
            return f"user {user_id}" if shown else ""
        return shown or f"user {user_id}"

    def email(self, email: str | None) -> str:
        """Return the email, or nothing to those who may not see it."""
        return (email or "") if self.with_emails else ""


def naming_for(request: HttpRequest) -> Naming:
    """Return how customers are named for the user of a request."""
    return Naming(with_emails=Permission.VIEW_EMAILS.is_held_by(request))

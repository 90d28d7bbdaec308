"""The account that a visitor of the demo logs in with."""

from __future__ import annotations

import secrets

from sentinel.accounts.models import User

EMAIL = "demo@example.org"
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another
GROUPS, GROUP_LENGTH = 4, 5  # 99 bits


def generate_password() -> str:
    """Return a new password that is easy to type."""
    return "-".join(
        "".join(secrets.choice(LETTERS) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS)
    )


def open_admin() -> str:
    """Give the demo's account every right and a new password, and return the password.

    The account is made where there is none. Whoever was logged in with it is logged out.
    """
    password = generate_password()
    user, _ = User.objects.get_or_create(email=EMAIL, defaults={"name": "Demo"})
    user.is_active = user.is_staff = user.is_superuser = True
    user.set_password(password)
    user.save(update_fields=["password", "is_active", "is_staff", "is_superuser"])
    return password

"""What the settings say of the gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

UNCHECKED = ("deny", "allow")


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """How strict the gates are.

    Attributes:
        limit_unchecked: `SENTINEL_LIMIT_UNCHECKED`: what becomes of a request whose limit the
            database could not check. "deny" answers 503. It is the default, since otherwise an
            outage would be a way past every limit, and the view mostly needs the same database.
        shadow: `SENTINEL_GATES_SHADOW`: whether nobody is refused, and the log tells who would be.
            Off by default: limits are there to bind.
    """

    limit_unchecked: Literal["deny", "allow"] = "deny"
    shadow: bool = False

    @property
    def lets_unchecked_pass(self) -> bool:
        """Whether a request goes on whose limit could not be checked."""
        return self.shadow or self.limit_unchecked == "allow"


def read_gate_settings() -> GateSettings:
    """Read the settings, at every request: they are two attributes.

    Raises:
        ImproperlyConfigured: a value means nothing.
    """
    unchecked: Any = getattr(settings, "SENTINEL_LIMIT_UNCHECKED", "deny")
    shadow = getattr(settings, "SENTINEL_GATES_SHADOW", False)
    if unchecked not in UNCHECKED:
        raise ImproperlyConfigured(
            f"SENTINEL_LIMIT_UNCHECKED={unchecked!r}: give {' or '.join(map(repr, UNCHECKED))}."
        )
    if not isinstance(shadow, bool):
        raise ImproperlyConfigured(f"SENTINEL_GATES_SHADOW={shadow!r}: give True or False.")
    return GateSettings(limit_unchecked=unchecked, shadow=shadow)

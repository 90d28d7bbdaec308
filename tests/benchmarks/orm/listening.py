"""Lets django-computedfields listen to signals while it is measured, and at no other time.

Its handlers are called for every model, and would cost the other peers their time.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.apps import apps
from django.db.models import signals

if TYPE_CHECKING:
    from collections.abc import Iterator

# As its AppConfig.ready connects them.
HANDLERS = (
    (signals.pre_save, "get_old_handler", "COMP_FIELD_PRESAVE"),
    (signals.post_save, "postsave_handler", "COMP_FIELD"),
    (signals.pre_delete, "predelete_handler", "COMP_FIELD_PREDELETE"),
    (signals.post_delete, "postdelete_handler", "COMP_FIELD_POSTDELETE"),
    (signals.m2m_changed, "m2m_handler", "COMP_FIELD_M2M"),
)


def stop_listening() -> None:
    """Disconnect the handlers."""
    for signal, _, uid in HANDLERS:
        signal.disconnect(dispatch_uid=uid)


@contextmanager
def listening() -> Iterator[None]:
    """Connect the handlers for the length of a block."""
    if not apps.is_installed("computedfields"):
        yield
        return
    from computedfields import handlers  # type: ignore[import-untyped]  # it has no types

    for signal, name, uid in HANDLERS:
        signal.connect(getattr(handlers, name), weak=False, dispatch_uid=uid)
    try:
        yield
    finally:
        stop_listening()

"""The classes of the admin's pages: the theme's, with the types of Django's.

What unfold says of the types of its classes contradicts those that they are derived from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.contrib.admin.views.main import ChangeList
else:
    from unfold.admin import ModelAdmin
    from unfold.views import ChangeList

__all__ = ["ChangeList", "ModelAdmin"]

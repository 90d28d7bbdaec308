"""Lists of the admin on tables of any length: no page counts what it does not show.

Django counts all rows that a list has, for its numbers of pages. On a table of ten million rows
that takes seconds, for every page. Here it counts up to a bound; beyond it the planner's estimate
is told, as one.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator

from sentinel.themed_admin import ChangeList, ModelAdmin

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest

MOST_COUNTED = 10_000  # rows: a hundred pages, more than anybody leafs through; some milliseconds


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # of rows of any table
    """Leafs through the first rows, and knows of the rest how many there are about."""

    object_list: QuerySet[Any]

    @cached_property
    def count(self) -> int:
        """How many rows there are to leaf through: all, or the most that are counted."""
        return min(self._counted, MOST_COUNTED)

    @property
    def is_exact(self) -> bool:
        """Whether these are all."""
        return self._counted <= MOST_COUNTED

    @cached_property
    def estimate(self) -> int:
        """How many rows there are about, by the statistics of the planner."""
        [explained] = json.loads(self.object_list.order_by().explain(format="json"))
        return max(int(explained["Plan"]["Plan Rows"]), self._counted)

    @property
    def template_name(self) -> str:
        """The template of the pages' numbers, which the theme asks a paginator for."""
        if self.is_exact:
            return "unfold/helpers/pagination_default.html"
        return "dashboards/bounded_pagination.html"

    @cached_property
    def _counted(self) -> int:
        rows = self.object_list.order_by().values("pk")
        return int(rows[: MOST_COUNTED + 1].count())


class LongList(ChangeList):
    """The list of an admin, whose heading tells a number of rows only where it is one."""

    def get_results(self, request: HttpRequest) -> None:
        """See `ChangeList.get_results`."""
        super().get_results(request)
        narrowed = bool(self.query or self.has_active_filters)
        if not (narrowed and self.paginator.is_exact):
            self.full_result_count = self.result_count


class LongListAdmin(ModelAdmin):  # type: ignore[type-arg]
    """Pages of a table that may be long."""

    paginator = BoundedPaginator
    show_full_result_count = False  # one count of the table less

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[ChangeList]:  # noqa: ARG002 (Django's signature)
        """See `ModelAdmin.get_changelist`."""
        return LongList

"""The parts that pages of the dashboards are made of, each with a template in `components/`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django import template

from sentinel.dashboards import formats
from sentinel.dashboards.figures import Tone
from sentinel.dashboards.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sentinel.dashboards.charts import Chart
    from sentinel.dashboards.figures import Figure
    from sentinel.dashboards.tables import Cell, Table

register = template.Library()

SHOWN: dict[Kind, Callable[[Any], str]] = {
    Kind.NUMBER: formats.show_number,
    Kind.DIFFERENCE: formats.show_difference,
    Kind.PERCENT: formats.show_percent,
    Kind.CHANGE: lambda share: formats.show_percent(share, signed=True),
    Kind.RATIO: formats.show_ratio,
    Kind.DAY: formats.show_day,
    Kind.MONTH: formats.show_month,
    Kind.MOMENT: lambda moment: formats.show_moment(moment, zone=False),  # the heading has it
}

register.filter("number", formats.show_number)
register.filter("percent", formats.show_percent)
register.filter("day", formats.show_day)
register.filter("month", formats.show_month)
register.filter("moment", formats.show_moment)


@register.filter
def unlocalized(value: float) -> str:
    """Return a number as SVG reads it, in whatever language the page is."""
    return f"{value:g}"


@register.filter
def bar_width(share: float) -> str:
    """Return a share as the width of a bar, 0 to 100, as SVG reads it."""
    return f"{100 * min(max(share, 0), 1):.2f}"


@register.inclusion_tag("dashboards/components/figures.html")
def figure_cards(figures: Sequence[Figure], label: str) -> dict[str, Any]:
    """Show figures on cards; the label says to screen readers what they are about."""
    return {"figures": figures, "label": label}


@register.inclusion_tag("dashboards/components/table.html")
def data_table(table: Table) -> dict[str, Any]:
    """Show a table with its heading, downloads and empty state."""
    return {"table": table} | _grid(table)


@register.inclusion_tag("dashboards/components/chart.html")
def chart(chart: Chart) -> dict[str, Any]:
    """Show a chart with its heading, legend, text alternative and table."""
    return {"chart": chart} | _grid(chart.table)


@register.inclusion_tag("dashboards/components/pill.html")
def pill(text: str, tone: str = Tone.NEUTRAL) -> dict[str, str]:
    """Show a word that says how something is: neutral, good, warning or bad."""
    return {"text": text, "tone": Tone(tone)}


@register.inclusion_tag("dashboards/components/meter.html")
def meter(share: float, tone: str = Tone.NEUTRAL) -> dict[str, Any]:
    """Draw a share, 0 to 1, as a bar. The number itself must stand beside it."""
    return {"share": share, "tone": Tone(tone)}


@register.inclusion_tag("dashboards/components/empty_state.html")
def empty_state(
    *, title: str, text: str = "", icon: str = "inbox", href: str = "", action: str = ""
) -> dict[str, str]:
    """Say that there is nothing to show, why, and what may be done."""
    return {"title": title, "text": text, "icon": icon, "href": href, "action": action}


def _grid(table: Table) -> dict[str, Any]:
    """Return the columns and rows of a table, every value as it is read."""
    kinds = [column.kind for column in table.columns]
    return {
        "columns": table.columns,
        "rows": [
            [
                {
                    "cell": cell,
                    "text": _show(cell, kind),
                    "numeric": kind.numeric,
                    "moment": kind is Kind.MOMENT,
                    "pill": cell.tone is not Tone.NEUTRAL,
                }
                for cell, kind in zip(row, kinds, strict=True)
            ]
            for row in table.rows
        ],
    }


def _show(cell: Cell, kind: Kind) -> str:
    show = SHOWN.get(kind)
    if show is not None and not isinstance(cell.value, str):
        return show(cell.value)
    return formats.NOTHING if cell.value in {None, ""} else cast("str", cell.value)

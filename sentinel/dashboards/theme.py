"""How the admin looks: the settings of django-unfold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.templatetags.static import static

if TYPE_CHECKING:
    from django.http import HttpRequest

# A quiet blue. 600 has a contrast of 5.2 with white, 400 one of 6.6 with the dark background.
PRIMARY = {
    "50": "oklch(97% .014 254.604)",
    "100": "oklch(93.2% .032 255.585)",
    "200": "oklch(88.2% .059 254.128)",
    "300": "oklch(80.9% .105 251.813)",
    "400": "oklch(70.7% .135 254.624)",
    "500": "oklch(62.3% .17 259.815)",
    "600": "oklch(52.6% .19 262.881)",
    "700": "oklch(46.8% .18 264.376)",
    "800": "oklch(40.4% .16 265.638)",
    "900": "oklch(35.9% .13 265.522)",
    "950": "oklch(26.2% .08 267.935)",
}


def theme_settings() -> dict[str, Any]:
    """Return Django's setting `UNFOLD`."""
    return {
        "SITE_TITLE": "Sentinel",
        "SITE_HEADER": "Sentinel",
        "SITE_SUBHEADER": "Exact counters",
        "SITE_SYMBOL": "monitoring",
        "SITE_URL": None,  # there is no other site than the admin
        "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _favicon}],
        "SHOW_HISTORY": True,
        "SHOW_VIEW_ON_SITE": False,
        "COLORS": {"primary": PRIMARY},
        "STYLES": [_admin_style],
        "SCRIPTS": [_admin_script],
        "SIDEBAR": {
            "show_search": True,
            "show_all_applications": False,  # the navigation has all of them
            # By name: it asks the admin for its pages, which are not there yet.
            "navigation": "sentinel.dashboards.navigation.sidebar_groups",
        },
    }


def _favicon(request: HttpRequest) -> str:  # noqa: ARG001 (unfold's signature)
    return static("dashboards/favicon.svg")


def _admin_script(request: HttpRequest) -> str:  # noqa: ARG001 (unfold's signature)
    return static("dashboards/admin.js")


def _admin_style(request: HttpRequest) -> str:  # noqa: ARG001 (unfold's signature)
    return static("dashboards/admin.css")

"""What is shown to whoever has typed too many wrong passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING

from axes.helpers import get_cool_off
from django.contrib import admin
from django.shortcuts import render

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

TOO_MANY_REQUESTS = 429


def show_pause(
    request: HttpRequest, _answer: HttpResponse | None, _credentials: dict[str, str] | None
) -> HttpResponse:
    """Answer a log-in that has to wait. It does not tell whether there is such an account."""
    pause = get_cool_off(request)
    context = admin.site.each_context(request) | {
        "title": "Please wait",
        "minutes": int(pause.total_seconds()) // 60 if pause else 0,
    }
    answer = render(request, "dashboards/login_pause.html", context, status=TOO_MANY_REQUESTS)
    if pause:
        answer["Retry-After"] = str(int(pause.total_seconds()))
    return answer

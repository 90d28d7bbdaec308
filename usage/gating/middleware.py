"""Answers requests for which a gated service has refused to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from usage.gating.refusals import GateClosedError, answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse


class ClosedGateMiddleware:
    """Answers a `GateClosedError` that a view has let pass as a gate around the view would."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Return what comes of the request; where that is awaited, what must be."""
        return self.get_response(request)

    def process_exception(self, _: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer what Django's handler would make a 500 of."""
        return answer(error) if isinstance(error, GateClosedError) else None

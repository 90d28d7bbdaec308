"""The JSON API: the apps' routers, who may use it, and what it answers when something is wrong.

Whoever is signed in by session may, with the CSRF token at every request that changes something.
The schema is at `openapi.json`. There is no page that shows it: django-ninja's loads scripts from
other hosts.
"""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from django.http import JsonResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser
from ninja.security import SessionAuth

from itineraries.api import router as itineraries
from sentinel.service_errors import ConflictError, NotFoundError
from threads.api import router as threads
from usage import UnknownFeatureError, UnknownUserError, UsageOverflowError
from usage.api import router as usage
from usage.gating import GateClosedError
from usage.gating import answer as answer_closed_gate

if TYPE_CHECKING:
    from django.http import HttpRequest

logger = logging.getLogger(__name__)

SECONDS_TO_WAIT = 1  # after a queue at a lock, which is gone by then


class StrictParser(Parser):
    """Reads JSON and nothing else: Python's own takes NaN and Infinity as well."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """Return the document of the body."""
        return json.loads(request.body, parse_constant=_refuse_constant)  # type: ignore[no-any-return]  # what is no object is refused by the schema


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


api = NinjaAPI(
    title="Sentinel",
    version="1",
    description="Threads, itineraries, and what your plan gives you. Sign in first: the session's "
    "cookie is the key. Requests that change something need the value of the cookie csrftoken in "
    "the header X-CSRFToken.",
    urls_namespace="api",
    docs_url=None,
    auth=SessionAuth(),
    parser=StrictParser(),
)
api.add_router("/threads", threads)
api.add_router("/itineraries", itineraries)
api.add_router("", usage)


def answer(message: str, *, status: int) -> JsonResponse:
    """Return what `Problem` describes."""
    return JsonResponse({"error": message}, status=status)


@api.exception_handler(ValidationError)
def answer_wrong_values(_: HttpRequest, error: ValidationError) -> JsonResponse:
    """Say which values are wrong and why, without repeating them."""
    problems = [
        {
            # A body is called so twice: as a part of the request, and as a view's parameter.
            "place": ".".join(map(str, found["loc"])).replace("body.body", "body", 1),
            "message": found["msg"].removeprefix("Value error, "),
        }
        for found in error.errors
    ]
    words = "; ".join(f"{found['place']}: {found['message']}" for found in problems)
    return JsonResponse({"error": words, "problems": problems}, status=422)


@api.exception_handler(HttpError)
def answer_refused_request(_: HttpRequest, error: HttpError) -> JsonResponse:
    """Say what is wrong with a request that did not get as far as its values."""
    words = {
        HTTPStatus.BAD_REQUEST: f"The body cannot be read as JSON: {_describe(error.__cause__)}.",
        HTTPStatus.UNAUTHORIZED: "Sign in first: this needs the cookie of a session.",
        HTTPStatus.FORBIDDEN: "The CSRF token is missing or wrong: send the value of the cookie "
        "csrftoken in the header X-CSRFToken.",
    }
    message = words.get(HTTPStatus(error.status_code), error.message)
    return answer(message, status=error.status_code)


def _describe(cause: BaseException | None) -> str:
    return "it is nested too deeply" if isinstance(cause, RecursionError) else str(cause)


@api.exception_handler(RequestDataTooBig)
def answer_too_big(*_: object) -> JsonResponse:
    """Say how large a body may be."""
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return answer(
        f"The body is too large: {most:,} bytes at most.",
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    )


@api.exception_handler(MultiPartParserError)
@api.exception_handler(SuspiciousOperation)
@api.exception_handler(UnreadablePostError)
def answer_unreadable(*_: object) -> JsonResponse:
    """Say that the request came in pieces, or in a form that is none."""
    return answer("The request cannot be read: send JSON.", status=HTTPStatus.BAD_REQUEST)


@api.exception_handler(NotFoundError)
@api.exception_handler(UnknownFeatureError)
def answer_not_found(_: HttpRequest, error: Exception) -> JsonResponse:
    """Say what there is not. What is somebody else's is not there either."""
    return answer(str(error), status=HTTPStatus.NOT_FOUND)


@api.exception_handler(UnknownUserError)
def answer_gone_user(*_: object) -> JsonResponse:
    """Say that the account was deleted while its request was under way."""
    return answer("Your account is gone.", status=HTTPStatus.UNAUTHORIZED)


@api.exception_handler(ConflictError)
@api.exception_handler(UsageOverflowError)
def answer_conflict(_: HttpRequest, error: Exception) -> JsonResponse:
    """Say what stands against it."""
    return answer(str(error), status=HTTPStatus.CONFLICT)


@api.exception_handler(GateClosedError)
def answer_gate(_: HttpRequest, error: GateClosedError) -> JsonResponse:
    """Answer as gates do, whoever was asked: a decorator or a service."""
    return answer_closed_gate(error)


@api.exception_handler(OperationalError)
def answer_unavailable(_: HttpRequest, error: OperationalError) -> JsonResponse:
    """Say that the database does not answer, or that too many wanted the same row."""
    logger.error("The database failed a request", exc_info=error)
    response = answer("The database is busy: try again.", status=HTTPStatus.SERVICE_UNAVAILABLE)
    response["Retry-After"] = SECONDS_TO_WAIT
    return response

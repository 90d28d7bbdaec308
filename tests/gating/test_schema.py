"""The API keeps to its own schema, whatever it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, connection, transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from itineraries.factories import TravelItineraryFactory
from sentinel.accounts.factories import UserFactory
from sentinel.api import api
from threads.factories import ChatMessageFactory, ChatThreadFactory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentinel.accounts.models import User

pytestmark = pytest.mark.django_db

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 25  # of each operation; all of them take some ten seconds

schema = schemathesis.openapi.from_dict(api.get_openapi_schema())
schema.app = get_wsgi_application()


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Let requests share the test's connection, as Django's own client lets them."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def session(one_connection: None) -> dict[str, Any]:
    """Headers and cookies of a customer with a few rows, whose keys are small as those of tests."""
    user: User = UserFactory.create(plan_id="BUSINESS")
    ChatMessageFactory.create_batch(3, thread=ChatThreadFactory.create(user=user, id=1))
    ChatThreadFactory.create(user=user, id=2, is_archived=True)
    TravelItineraryFactory.create(user=user, id=1, version=1)
    _pass_by(keys=2)
    client = Client()
    client.force_login(user)
    token = "t" * 32
    return {
        "headers": {"X-CSRFToken": token},
        "cookies": {"sessionid": client.cookies["sessionid"].value, "csrftoken": token},
    }


def _pass_by(*, keys: int) -> None:
    """Draw keys from the sequences, so that no new row is given one that the fixture took."""
    with connection.cursor() as cursor:
        for table in ("chat_threads", "travel_itineraries"):
            for _ in range(keys):
                cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id'))", [table])


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_schema_describes(
    case: schemathesis.Case[Any], session: dict[str, Any]
) -> None:
    with transaction.atomic():
        case.call_and_validate(checks=CHECKS, **session)
        transaction.set_rollback(True)  # the next one finds the rows of the fixture

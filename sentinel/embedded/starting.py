"""From Django's settings to a server that runs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.db.utils import OperationalError

from sentinel.embedded.errors import EmbeddedServerError
from sentinel.embedded.folder import PORT
from sentinel.embedded.server import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Mapping


def server_of(settings: Mapping[str, Any]) -> EmbeddedServer:
    """Return this process's server for an entry of `DATABASES`. It is not started.

    Raises:
        ImproperlyConfigured: the entry names no folder.
    """
    if not settings["HOST"]:
        raise ImproperlyConfigured("DATABASES: HOST must be the folder of the embedded server.")
    return _server_in(str(settings["HOST"]))


def start_server(server: EmbeddedServer) -> None:
    """Start `server`, or find that it runs.

    Raises:
        OperationalError: it cannot run. For Django that is a database that cannot be reached.
    """
    try:
        server.start()
    except EmbeddedServerError as error:
        raise OperationalError(str(error)) from error


def address_of(server: EmbeddedServer) -> dict[str, str]:
    """Return where a started server listens, in the words of libpq."""
    return {"host": str(server.socket_folder), "port": PORT}


@cache
def _server_in(folder: str) -> EmbeddedServer:
    return EmbeddedServer(Path(folder))

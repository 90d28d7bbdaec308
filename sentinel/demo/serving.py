"""Serves the admin from the process of the command, for as long as that lives."""

from __future__ import annotations

import errno
import logging

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.servers.basehttp import (
    ThreadedWSGIServer,
    WSGIRequestHandler,
    get_internal_wsgi_application,
)
from django.db import connection
from django.urls import reverse

HOST = "127.0.0.1"  # nobody but this machine
PORTS_TO_TRY = 50  # from the one that is asked for upwards
LAST_PORT = 65_535


class ServingError(Exception):
    """No port can be served on."""


def open_server(port: int) -> ThreadedWSGIServer:
    """Return a server that listens, on this port or the next that is free.

    A connection that comes before `serve_forever` waits.

    Raises:
        ServingError: there is none, or this user may not have it; the message says what to do.
    """
    for candidate in range(port, min(port + PORTS_TO_TRY, LAST_PORT + 1)):
        try:
            server = ThreadedWSGIServer((HOST, candidate), WSGIRequestHandler)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise ServingError(
                f"Port {candidate} cannot be used ({error.strerror}): choose another by --port."
            ) from error
        server.set_app(StaticFilesHandler(get_internal_wsgi_application()))
        return server
    raise ServingError(
        f"Port {port} is taken, and so are the next ones: choose another by --port, or stop at "
        "--no-serve."
    )


def admin_address(server: ThreadedWSGIServer) -> str:
    """Return what to type into a browser."""
    return f"http://{HOST}:{server.server_port}{reverse('admin:index')}"


def serve(server: ThreadedWSGIServer) -> None:
    """Serve until Ctrl-C. Requests are told of only where they fail."""
    for name in ("django.server", "django.request"):
        logging.getLogger(name).setLevel(logging.ERROR)
    connection.close()  # each request has its own
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()

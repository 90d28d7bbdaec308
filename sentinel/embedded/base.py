"""Django's backend of PostgreSQL, on a server that is started at the first connection.

`HOST` is the folder of the server. All else is as with `django.db.backends.postgresql`.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql.base import DatabaseWrapper as PostgreSQLWrapper

from sentinel.embedded.client import DatabaseClient
from sentinel.embedded.starting import address_of, server_of, start_server


class DatabaseWrapper(PostgreSQLWrapper):
    """A connection to the embedded server."""

    client_class = DatabaseClient

    def get_connection_params(self) -> dict[str, Any]:
        """Return what psycopg connects with, once the server runs.

        Raises:
            OperationalError: the server cannot run.
        """
        parameters = super().get_connection_params()
        server = server_of(self.settings_dict)
        if not server.is_started:
            start_server(server)
        return parameters | address_of(server)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; if the server has crashed since it was started, start it again.

        Raises:
            OperationalError: the server cannot run, or refuses the connection.
        """
        try:
            return super().get_new_connection(conn_params)
        except self.Database.OperationalError:
            server = server_of(self.settings_dict)
            if server.is_ready:
                raise
            start_server(server)
            return super().get_new_connection(conn_params)

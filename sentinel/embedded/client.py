"""What `manage.py dbshell` runs: the psql that comes with the embedded server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.backends.postgresql.client import DatabaseClient as PostgreSQLClient

from sentinel.embedded.starting import address_of, server_of, start_server

if TYPE_CHECKING:
    from collections.abc import Iterable


class DatabaseClient(PostgreSQLClient):
    """Opens a terminal on the embedded server, which it starts."""

    @classmethod
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: Iterable[str]
    ) -> tuple[list[str], dict[str, str] | None]:
        """Return the command line of psql, and what it needs in its environment.

        Raises:
            OperationalError: the server cannot run.
        """
        server = server_of(settings_dict)
        start_server(server)
        address = address_of(server)
        arguments, environment = super().settings_to_cmd_args_env(
            settings_dict | {"HOST": address["host"], "PORT": address["port"]}, parameters
        )
        return [str(server.psql), *arguments[1:]], environment

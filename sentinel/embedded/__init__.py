"""PostgreSQL 18 inside the project's folder: started when needed, gone when nobody uses it.

Also a database backend of Django: `ENGINE = "sentinel.embedded"`, with the server's folder as
`HOST`. How the processes of one folder get along is told in `sentinel.embedded.server`.
"""

from sentinel.embedded.errors import EmbeddedServerError
from sentinel.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer", "EmbeddedServerError"]

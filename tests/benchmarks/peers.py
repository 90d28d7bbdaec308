"""What a user would do instead, each in a schema of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg.sql import SQL, Identifier, Literal

from sentinel.counters import ChildCount, find_counters
from sentinel.counters.counting import counting_triggers
from sentinel.counters.registry import guards
from sentinel.counters.statements import named_queries

if TYPE_CHECKING:
    from tests.benchmarks.database import Connection

FOLDER = Path(__file__).with_name("sql")
MESSAGES_COUNT = "chat_threads.thread_messages_count"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One way to know how many messages a thread has.

    Attributes:
        name: also that of its schema.
        title: in words.
        column: of chat_threads, the number it keeps; None where it counts when asked.
        ours: whether Sentinel keeps it, so that drift is an error.
        triggers: the named queries that install what keeps it.
    """

    name: str
    title: str
    column: str | None = "thread_messages_count"
    ours: bool = False
    triggers: tuple[str, ...] = ()

    @property
    def schema(self) -> str:
        """Where its tables are."""
        return "public" if self.name == "sentinel" else self.name


PLAIN = Peer(name="plain", title="no counter, COUNT(*)", column=None)
COUNTER = Peer(name="counter", title="Sentinel, the counter alone", ours=True)
LOCK_FIRST = Peer(name="lock_first", title="Sentinel, the counter with lock_first", ours=True)
SENTINEL = Peer(name="sentinel", title="Sentinel with the guide's index and upkeep", ours=True)
CTE = Peer(name="cte", title="both writes in one CTE statement")
F_EXPRESSION = Peer(name="f_expression", title="F() in the application's transaction")
ROW_TRIGGERS = Peer(name="row_triggers", title="row triggers", triggers=("row_triggers",))
LEGACY = Peer(
    name="legacy",
    title="the legacy trigger, SELECT COUNT(*)",
    column="message_count",
    triggers=("legacy",),
)
SIGNALS = Peer(name="signals", title="Django signals")
COMPUTED = Peer(name="computed_fields", title="django-computedfields")

PEERS = (
    PLAIN,
    COUNTER,
    LOCK_FIRST,
    SENTINEL,
    CTE,
    F_EXPRESSION,
    ROW_TRIGGERS,
    LEGACY,
    SIGNALS,
    COMPUTED,
)
TABLES = ("chat_threads", "chat_messages")


def create_peer(connection: Connection, peer: Peer) -> None:
    """Make a peer's tables anew, empty, with what keeps its counter.

    `sentinel` is the migrated database itself; everything in it is emptied.
    """
    queries = named_queries("peers", FOLDER)
    with connection.transaction():
        if peer.schema == "public":
            empty_public(connection)
        else:
            connection.execute(
                SQL("DROP SCHEMA IF EXISTS {0} CASCADE; CREATE SCHEMA {0}").format(
                    Identifier(peer.schema)
                ),
            )
            connection.execute(
                SQL("SET LOCAL search_path = {}, pg_catalog").format(Identifier(peer.schema))
            )
            connection.execute(queries["tables"])
            for name in peer.triggers:
                connection.execute(queries[name])
            if peer in (COUNTER, LOCK_FIRST):
                install_counter(connection, peer.schema, lock_first=peer is LOCK_FIRST)
        for table in TABLES:
            connection.execute(
                SQL(queries["vacuum_settings"]).format(table=Identifier(peer.schema, table)),
            )


def empty_public(connection: Connection) -> None:
    """Empty the migrated tables, and add the one user who owns all threads."""
    connection.execute(
        """
        SET LOCAL session_replication_role = replica;
        TRUNCATE public.users, public.feature_usage_events, public.feature_usage_archive,
                 public.feature_usage_events_archive, public.feature_usage_archived_keys CASCADE;
        INSERT INTO public.users (id, email, password_hash, plan)
        VALUES (1, 'bench@example.org', '', 'ENTERPRISE');
        INSERT INTO public.user_usage (user_id) VALUES (1);
        SELECT setval(pg_get_serial_sequence('public.users', 'id'), 1);
        """,
    )


def install_counter(connection: Connection, schema: str, *, lock_first: bool = False) -> None:
    """Install the counter's triggers, text by text those of the migrations, in a schema.

    The search path begins with the schema.

    Args:
        connection: to the database.
        schema: where the tables are.
        lock_first: whether the counter is as if it were declared with this.
    """
    [declared] = find_counters([MESSAGES_COUNT])
    assert isinstance(declared, ChildCount)
    counter = replace(declared, lock_first=lock_first)
    counting = counting_triggers(
        name=counter.field, bind=lambda _model: counter, lock_first=lock_first
    )
    installed = [(counter.child, trigger) for trigger in counting]
    installed += [(counter.parent, guard) for guard in guards(counter)]
    for model, trigger in installed:
        text = str(trigger.compile(model).install_sql)
        connection.execute(text.replace('"public".', f'"{schema}".'))


def index_counter(connection: Connection, peer: Peer) -> None:
    """Give a peer the guide's index on the counter."""
    connection.execute(
        SQL(named_queries("peers", FOLDER)["index_counter"]).format(schema=Identifier(peer.schema))
    )


def fill_threads(
    connection: Connection, peer: Peer, *, first: int = 1, threads: int = 1, messages: int
) -> None:
    """Add threads with so many messages each and their true counts. No trigger fires."""
    query = SQL(named_queries("peers", FOLDER)["fill"]).format(
        schema=Identifier(peer.schema),
        first=Literal(first),
        last=Literal(first + threads - 1),
        messages=Literal(messages),
    )
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(query)


def tidy(connection: Connection, *peers: Peer) -> None:
    """Vacuum and analyse the tables of some peers, outside what is measured."""
    for peer in peers:
        for table in TABLES:
            connection.execute(SQL("VACUUM (ANALYZE) {}").format(Identifier(peer.schema, table)))

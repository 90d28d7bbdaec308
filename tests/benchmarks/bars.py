"""What must come out: every bar of the issues, each with its source."""

from __future__ import annotations

from tests.benchmarks.judging import Bar

ARCHIVE = "issue 6"
DASHBOARD = "issue 7"

BARS = (
    Bar(
        name="limit check grows",
        work="thread limit check by the counter, longest thread / shortest (server)",
        measured="limit check/counter, longest",
        against="limit check/counter, shortest",
        at_most=1.2,
    ),
    Bar(
        name="limit check 1,000",
        work="thread limit check, COUNT(*) / counter, thread of 1,000 (server)",
        measured="limit check/count, 1,000",
        against="limit check/counter, 1,000",
        at_least=5,
    ),
    Bar(
        name="limit check 100,000",
        work="the same, thread of 100,000",
        measured="limit check/count, 100,000",
        against="limit check/counter, 100,000",
        at_least=50,
    ),
    Bar(
        name="limit check 1,000,000",
        work="the same, thread of 1,000,000",
        measured="limit check/count, longest",
        against="limit check/counter, longest",
        at_least=500,
    ),
    Bar(
        name="itinerary check grows",
        work="itinerary check by the counter, most waypoints / fewest (server)",
        measured="itinerary check/counter, longest",
        against="itinerary check/counter, shortest",
        at_most=1.2,
    ),
    Bar(
        name="itinerary check 1,000",
        work="itinerary check, parsing / counter, 1,000 waypoints (server)",
        measured="itinerary check/parse, 1,000",
        against="itinerary check/counter, 1,000",
        at_least=5,
    ),
    Bar(
        name="insert one",
        work="insert of one message, the counter alone / no counter",
        measured="insert one/counter",
        against="insert one/plain",
        at_most=2.0,
    ),
    Bar(
        name="insert one, everything",
        work="insert of one message, with the guide's index and the legacy upkeep / no counter",
        measured="insert one/sentinel",
        against="insert one/plain",
        at_most=2.8,
    ),
    Bar(
        name="insert one, CTE",
        work="insert of one message, the same two writes in one CTE statement / counter",
        measured="insert one/cte",
        against="insert one/counter",
        at_least=1.0,
    ),
    Bar(
        name="insert one, F()",
        work="insert of one message, F() in the application's transaction / counter",
        measured="insert one/f_expression",
        against="insert one/counter",
        at_least=1.4,
    ),
    *(
        Bar(
            name=f"insert one, legacy {length}",
            work=f"insert of one message, legacy trigger in a thread of {length} / everything",
            measured=f"insert one, legacy/legacy, {length}",
            against=f"insert one, legacy/sentinel, {length}",
            at_least=1.0,
        )
        for length in ("100", "1,000", "10,000")
    ),
    Bar(
        name="insert 1,000",
        work="insert of 1,000 messages in one statement, one thread, counter / no counter",
        measured="insert few/counter",
        against="insert few/plain",
        at_most=1.3,
    ),
    Bar(
        name="insert 100,000",
        work="the same, 100,000 messages",
        measured="insert many/counter",
        against="insert many/plain",
        at_most=1.3,
    ),
    Bar(
        name="insert 1,000 over 1,000",
        work="insert of 1,000 messages over 1,000 threads, counter / no counter",
        measured="insert spread/counter",
        against="insert spread/plain",
        at_most=2.2,
    ),
    Bar(
        name="insert 100,000, row triggers",
        work="insert of 100,000 messages in one thread, row triggers / counter",
        measured="insert many, slow/row_triggers",
        against="insert many, slow/counter",
        at_least=50,
    ),
    Bar(
        name="16 clients, deadlocks",
        work="16 clients, 20-row inserts over 50 threads: transactions that failed",
        measured="16 clients, failed/counter",
        at_most=0,
    ),
    Bar(
        name="16 clients",
        work="16 clients, 20-row inserts over 50 threads, throughput, counter / no counter",
        measured="16 clients/counter",
        against="16 clients/plain",
        at_least=0.6,
    ),
    Bar(
        name="16 clients, lock_first",
        work="the same, counter with lock_first / no counter",
        measured="16 clients/lock_first",
        against="16 clients/plain",
        at_least=0.6,
    ),
    Bar(
        name="hot thread",
        work="8 clients into one thread, messages a second, counter / F()",
        measured="hot thread/counter",
        against="hot thread/f_expression",
        at_least=1.0,
    ),
    Bar(
        name="move",
        work="move of 10,000 messages in one statement, counter / no counter",
        measured="move/counter",
        against="move/plain",
        at_most=1.5,
    ),
    Bar(
        name="update of text",
        work="update of the text of 10,000 messages, counter / no counter",
        measured="update of text/counter",
        against="update of text/plain",
        at_most=1.5,
    ),
    Bar(
        name="delete of a thread",
        work="delete of a thread with 100,000 messages, counter / no counter",
        measured="delete of a thread/counter",
        against="delete of a thread/plain",
        at_most=1.5,
    ),
    Bar(
        name="audit",
        work="audit of 5,000,000 messages in 100,000 threads / a bare GROUP BY",
        measured="audit/audit",
        against="audit/group_by",
        at_most=1.5,
    ),
    Bar(
        name="audit, memory",
        work="peak memory of Python in an audit of all threads / of a tenth of them",
        measured="audit, memory/all",
        against="audit, memory/tenth",
        at_most=1.2,
    ),
    Bar(
        name="repair",
        work="repair of 100,000 drifting threads / one set-based UPDATE",
        measured="repair/repair",
        against="repair/set_based",
        at_most=2.0,
    ),
    Bar(
        name="repair, writers",
        work="throughput of 4 writers during the repair / before it",
        measured="repair, writers/during",
        against="repair, writers/before",
        at_least=0.7,
    ),
    Bar(
        name="repair, drift left",
        work="threads in drift after the repair under live writers",
        measured="repair, drift/sentinel",
        at_most=0,
    ),
    Bar(
        name="repair, a peer's",
        work="threads in drift after one set-based UPDATE under the same writers",
        measured="repair, drift/set_based",
        at_least=1,
    ),
    Bar(
        name="record, round trips",
        work="round trips of record",
        measured="round trips/record",
        at_most=1,
    ),
    Bar(
        name="consume, round trips",
        work="round trips of consume",
        measured="round trips/consume",
        at_most=1,
    ),
    Bar(
        name="consume",
        work="consume / a bare upsert",
        measured="use/consume",
        against="use/upsert",
        at_most=2.0,
    ),
    Bar(
        name="consume, admitted too many",
        work="8 clients at a limit: admitted beyond it by consume",
        measured="admitted too many/consume",
        at_most=0,
    ),
    Bar(
        name="check-then-act, admitted too many",
        work="the same by check-then-act",
        measured="admitted too many/check_then_act",
        at_least=1,
    ),
    Bar(
        name="gated view",
        work="round trips of a gated view beyond those of the bare view",
        measured="gated view, round trips/more",
        at_most=1,
    ),
    Bar(
        name="import",
        work="events a second, import / a bare COPY into a table with the same indexes",
        measured="import/import",
        against="import/copy",
        at_least=0.5,
    ),
    Bar(
        name="archive",
        work="archive of 1,000,000 events / a bare INSERT … SELECT and DELETE of the same rows",
        measured="archive/archive",
        against="archive/bare",
        at_most=2.0,
        source=ARCHIVE,
    ),
    *(
        Bar(
            name=f"dashboard, {page}",
            work=f"figures of {page}, ledger of 10,000,000 events / of 1,000,000",
            measured=f"dashboard, {page}/large ledger",
            against=f"dashboard, {page}/small ledger",
            at_most=1.2,
            source=DASHBOARD,
        )
        for page in ("a month", "a user")
    ),
)

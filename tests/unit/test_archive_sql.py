"""What the database itself promises: the guide's function and view, and keys that stay used."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from psycopg.sql import Identifier

from sentinel.accounts.factories import UserFactory
from tests.archiving import TOTALS, live_months, use
from tests.rows import execute, new_user
from usage import UnknownEventError, record, refund
from usage.archiving.models import FeatureUsageSummary
from usage.archiving.retention import archive_before

pytestmark = pytest.mark.django_db

ARCHIVE = "SELECT archive_old_feature_usage()"
RECENT = "to_char(now() AT TIME ZONE 'UTC' - interval '6 months', 'YYYY-MM')"


def test_the_guides_function_moves_what_is_older_than_six_months_and_says_how_many_rows() -> None:
    user = new_user()
    for day in ("2020-01-15", "2020-02-15"):
        use(user, day, quantity=3)
        use(user, day, feature="api_access")
    execute(
        "INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
        f" SELECT {user}, 'map_export', date_trunc('month', now() AT TIME ZONE 'UTC')"
        " AT TIME ZONE 'UTC' - interval '6 months'"
    )
    before = execute(TOTALS)
    assert execute(ARCHIVE) == [(4,)]
    assert execute(TOTALS) == before
    assert live_months() == [month for (month,) in execute(f"SELECT {RECENT}")]
    assert execute(ARCHIVE) == [(0,)]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"])
def test_the_guides_function_counts_its_months_in_utc_whatever_the_sessions_zone(zone: str) -> None:
    execute(f"SET LOCAL TIME ZONE '{zone}'")
    execute(ARCHIVE)
    [(before, now)] = execute("SELECT before, now() FROM feature_usage_archive_runs")
    assert before == archive_before(now=now)


def test_an_archived_row_keeps_its_figures_and_says_when_and_by_which_run() -> None:
    user = new_user()
    use(user, "2020-01-15", quantity=3, key="k")
    columns = "id, user_id, feature, usage_count, period_start, period_end, created_at, updated_at"
    events = (
        "id, user_id, feature, quantity, occurred_at, recorded_at, idempotency_key, source, reason,"
        " adopted, adopted_period, period_start"
    )
    month = execute(f"SELECT {columns} FROM feature_usage")
    event = execute(f"SELECT {events} FROM feature_usage_events")
    execute(ARCHIVE)
    assert execute(f"SELECT {columns} FROM feature_usage_archive") == month
    assert execute(f"SELECT {events} FROM feature_usage_events_archive") == event
    for table in ("feature_usage_archive", "feature_usage_events_archive"):
        [(by_last_run, now)] = execute(
            "SELECT run_id = (SELECT max(id) FROM feature_usage_archive_runs),"
            f" archived_at = now() FROM {table}"
        )
        assert (by_last_run, now) == (True, True)


def test_rows_without_a_user_are_archived_one_by_one() -> None:
    execute(
        "INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)"
        " SELECT NULL, 'map_export', number, '2020-01-01', '2020-01-31'"
        " FROM generate_series(1, 3) AS number"
    )
    assert execute(ARCHIVE) == [(3,)]
    assert execute("SELECT count(*), sum(usage_count) FROM feature_usage_archive") == [(3, 6)]


def test_a_month_in_drift_is_not_archived() -> None:
    use(new_user(), "2020-01-15")
    execute("SET LOCAL session_replication_role = replica")
    execute("UPDATE feature_usage SET usage_count = 7")
    execute("SET LOCAL session_replication_role = origin")
    with (
        pytest.raises(DatabaseError, match="2020-01 holds 7 uses, its events say 1"),
        transaction.atomic(),
    ):
        execute(ARCHIVE)
    assert live_months() == ["2020-01"]


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ("feature_usage", "DELETE"),
        ("feature_usage_archive", "INSERT"),
        ("feature_usage_events_archive", "INSERT"),
    ],
)
def test_what_a_foreign_trigger_keeps_back_rolls_the_batch_back(table: str, what: str) -> None:
    use(new_user(), "2020-01-15")
    execute(
        "CREATE FUNCTION keep_back() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    )
    execute(
        f"CREATE TRIGGER keeping BEFORE {what} ON {table} FOR EACH ROW EXECUTE FUNCTION keep_back()"
    )
    with (
        pytest.raises(DatabaseError, match="what was to be archived and what the archive holds"),
        transaction.atomic(),
    ):
        execute(ARCHIVE)
    assert live_months() == ["2020-01"]


@pytest.mark.parametrize("before", ["date_trunc('month', now())", "now() + interval '1 day'"])
def test_the_database_refuses_to_archive_a_month_that_is_not_over(before: str) -> None:
    with pytest.raises(DatabaseError, match="is not over"), transaction.atomic():
        execute(f"SELECT archive_usage_batch(1, ({before})::date, ARRAY[1])")


READS = """
    SELECT relname, seq_scan, idx_tup_fetch FROM pg_stat_xact_user_tables
     WHERE relname IN ('feature_usage', 'feature_usage_events') ORDER BY relname
"""


# Those of what other tests have committed, when autovacuum came by.
FORGET_STATISTICS = """
UPDATE pg_class SET reltuples = -1, relpages = 0
 WHERE oid IN ('feature_usage'::regclass, 'feature_usage_events'::regclass);
DELETE FROM pg_statistic
 WHERE starelid IN ('feature_usage'::regclass, 'feature_usage_events'::regclass)
"""


def test_a_batch_reads_its_own_rows_whatever_is_kept_beside_them() -> None:
    """By their keys, although no table has statistics, and each is small."""
    execute(FORGET_STATISTICS)
    for number in range(30):
        user = new_user()
        for month in range(1, 10):
            use(user, f"2020-{month:02}-15", feature=f"feature {number}")
    kept = 3_000
    execute(
        "INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
        f" SELECT {new_user()}, 'kept ' || n, '2020-05-15' FROM generate_series(1, {kept}) AS n"
    )
    [(run,)] = execute("SELECT begin_usage_archive('2020-02-01', NULL, NULL)")
    before = execute(READS)
    assert (
        execute(
            f"SELECT moved.* FROM list_usage_batches('2020-02-01', 10) AS batch,"
            f" archive_usage_batch({run}, '2020-02-01', batch.ids) AS moved"
        )
        == [(10, 10)] * 3
    )
    (_, months_scanned, months_read), (_, events_scanned, events_read) = (
        (table, scans - scans_before, reads - reads_before)
        for (table, scans, reads), (_, scans_before, reads_before) in zip(
            execute(READS), before, strict=True
        )
    )
    assert (months_scanned, events_scanned) == (0, 0)
    # An event is read to be summed and to be deleted. A row also when it is listed and locked, and
    # by the triggers that look whether it is there again.
    assert events_read == 2 * 30
    assert months_read < kept


def test_another_role_may_archive_only_if_it_may_delete() -> None:
    role = Identifier(f"reader_{uuid4().hex}")  # roles are shared by all databases of a server
    execute("CREATE ROLE {role}", role=role)
    execute("SET LOCAL ROLE {role}", role=role)
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
        execute(ARCHIVE)


def test_a_key_of_an_archived_event_is_a_duplicate() -> None:
    user = UserFactory.create(plan_id="PRO")
    first = use(user.pk, "2020-01-15", key="request 1")
    execute(ARCHIVE)
    again = record(user_id=user.pk, feature="api_access", key="request 1")
    assert (again.duplicate, again.event_id, again.used) == (True, first, 0)


@pytest.mark.parametrize("on_conflict", ["", " ON CONFLICT DO NOTHING"])
def test_a_plain_insert_of_an_archived_key_is_refused(on_conflict: str) -> None:
    user = new_user()
    use(user, "2020-01-15", key="request 1")
    execute(ARCHIVE)
    with (
        pytest.raises(IntegrityError, match="has used the key 'request 1' before"),
        transaction.atomic(),
    ):
        execute(
            "INSERT INTO feature_usage_events (user_id, feature, idempotency_key)"
            f" VALUES ({user}, 'map_export', 'new'), ({user}, 'map_export', 'request 1')"
            + on_conflict
        )
    use(new_user(), "2020-01-15", key="request 1")  # the key of somebody else


def test_a_key_that_was_used_again_while_the_triggers_were_off_is_found_once() -> None:
    user = new_user()
    use(user, "2020-01-15", key="request 1")
    execute(ARCHIVE)
    execute("SET LOCAL session_replication_role = replica")
    again = use(user, "2020-01-16", key="request 1")
    execute("SET LOCAL session_replication_role = origin")
    assert execute(f"SELECT find_usage_event({user}, 'request 1')") == [(again,)]


def test_copy_of_an_archived_key_is_refused() -> None:
    user = new_user()
    use(user, "2020-01-15", key="request 1")
    execute(ARCHIVE)
    with (
        pytest.raises(psycopg.IntegrityError, match="has used the key"),
        connection.cursor() as cursor,
        cursor.copy(
            "COPY feature_usage_events (user_id, feature, idempotency_key) FROM STDIN"
        ) as copy,
    ):
        copy.write_row((user, "map_export", "request 1"))


def test_a_refund_of_an_archived_event_says_how_to_bring_it_back() -> None:
    event = use(new_user(), "2020-01-15")
    execute(ARCHIVE)
    with pytest.raises(UnknownEventError, match="restore_feature_usage"):
        refund(event_id=event, reason="the export failed")


def test_the_summary_was_filled_by_its_migration() -> None:
    assert execute(
        "SELECT relispopulated FROM pg_class WHERE relname = 'feature_usage_summary'"
    ) == [(True,)]


def test_the_summary_tells_this_month_and_three_before_it_wherever_they_are() -> None:
    users = [new_user() for _ in range(3)]
    for number, user in enumerate(users, start=1):
        execute(
            "INSERT INTO feature_usage_events (user_id, feature, quantity, occurred_at)"
            f" SELECT {user}, 'map_export', {number}, moment"
            " FROM generate_series(date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
            " - interval '4 months', now(), '1 month') AS moment"
        )
    execute("REFRESH MATERIALIZED VIEW feature_usage_summary")
    before = list(FeatureUsageSummary.objects.values_list())
    figures = "unique_users", "total_usage", "avg_usage_per_user", "max_usage", "median_usage"
    assert list(FeatureUsageSummary.objects.values_list(*figures)) == [(3, 6, 2, 3, 2)] * 4
    [(run,)] = execute("SELECT begin_usage_archive('2020-01-01', NULL, NULL)")
    execute(
        f"SELECT archive_usage_batch({run}, month, array_agg(id))"
        " FROM feature_usage, (SELECT (date_trunc('month', now() AT TIME ZONE 'UTC')"
        " - interval '1 month')::date AS month) AS last"
        " WHERE period_start < month GROUP BY month"
    )
    execute("REFRESH MATERIALIZED VIEW feature_usage_summary")
    assert list(FeatureUsageSummary.objects.values_list()) == before
    assert len(live_months()) == 2


def test_a_migration_back_and_forth_keeps_the_archive(scratch_database) -> None:
    scratch_database.migrate()
    scratch_database.run(
        "INSERT INTO users (email, password_hash) VALUES ('a@example.org', '');"
        "INSERT INTO feature_usage_events (user_id, feature, occurred_at, idempotency_key)"
        " SELECT id, 'map_export', '2020-01-15', 'k' FROM users;"
        "SELECT archive_old_feature_usage()"
    )
    scratch_database.migrate("usage", "0003")
    assert scratch_database.rows("SELECT to_regprocedure('archive_old_feature_usage()')") == [
        (None,)
    ]
    scratch_database.migrate()
    assert scratch_database.rows("SELECT usage_count FROM feature_usage_archive") == [(1,)]
    # The guide's two lines, as they stand there.
    assert scratch_database.rows("SELECT archive_old_feature_usage();") == [(0,)]
    scratch_database.run("REFRESH MATERIALIZED VIEW CONCURRENTLY feature_usage_summary;")


def test_the_pages_of_the_archive_are_read(admin_client) -> None:
    use(new_user(), "2020-01-15", key="k")
    execute(ARCHIVE)
    for page in ("archiverun", "featureusagearchive", "featureusageeventarchive"):
        response = admin_client.get(f"/admin/usage/{page}/")
        assert response.status_code == 200, page
        assert "2020" in response.content.decode(), page
        assert admin_client.get(f"/admin/usage/{page}/add/").status_code == 403, page


def test_the_audit_knows_the_trigger_that_refuses_archived_keys() -> None:
    call_command("audit_counters", "--no-record", verbosity=0)

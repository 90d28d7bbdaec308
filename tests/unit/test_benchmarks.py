"""The harness of `make bench`: its arithmetic, its checks, and one run of it at a small size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING
from uuid import uuid4
from xml.etree import ElementTree as ET

import pytest
from django.db import connection as django_connection

from tests.benchmarks.arguments import parse_arguments
from tests.benchmarks.bars import BARS
from tests.benchmarks.checking import (
    find_itinerary_drift,
    find_thread_drift,
    find_usage_drift,
)
from tests.benchmarks.comparing import Change, compare_runs
from tests.benchmarks.database import Database
from tests.benchmarks.judging import Bar, Verdict, judge
from tests.benchmarks.measuring import (
    Measurement,
    Ratio,
    UnequalRoundsError,
    compare_rounds,
    measure_in_turns,
    quartiles,
)
from tests.benchmarks.peers import CTE, PEERS, create_peer, fill_threads
from tests.benchmarks.pgbench import PgbenchError, run_pgbench
from tests.benchmarks.plots import draw_values
from tests.benchmarks.program import find_recorded
from tests.benchmarks.record import RecordError, Run, read_runs, write_run
from tests.benchmarks.reporting import BEGIN, END, PageError, figure, write_page
from tests.benchmarks.sizes import FULL, NORMAL, QUICK, smaller_sizes
from tests.scratch import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

AT_MOST = Bar(name="a", work="a / b", measured="w/a", against="w/b", at_most=2)
AT_LEAST = Bar(name="b", work="b / a", measured="w/b", against="w/a", at_least=2)


def measurement(*values: float, unit: str = "ms") -> Measurement:
    return Measurement(unit=unit, values=values)


def run_of(measurements: dict[str, Measurement], *, server: str = "18.4", sizes: str = "quick"):
    return Run(
        server=server,
        date="2026-11-23",
        sizes=sizes,
        machine="a machine",
        versions={"Python": "3.11"},
        settings={"synchronous_commit": "off"},
        measurements=measurements,
        drifts=(),
        skipped=(),
    )


# ------------------------------------------------------------------------------- arithmetic --


def test_a_median_is_not_moved_by_one_slow_round() -> None:
    assert measurement(1.0, 1.2, 900.0).median == 1.2


def test_one_value_is_its_own_quartiles() -> None:
    assert quartiles([3.0]) == (3.0, 3.0)


def test_quartiles_leave_a_quarter_on_either_side() -> None:
    assert quartiles([5.0, 1.0, 2.0, 4.0, 3.0]) == (2.0, 4.0)


def test_a_ratio_is_taken_within_each_round() -> None:
    slow_machine_in_the_second_round = compare_rounds(
        measurement(2.0, 20.0, 2.0), measurement(1.0, 10.0, 1.0)
    )
    assert slow_machine_in_the_second_round == Ratio(median=2.0, low=2.0, high=2.0)


def test_measurements_of_other_rounds_are_not_compared() -> None:
    with pytest.raises(UnequalRoundsError, match="2 rounds cannot be compared with 1"):
        compare_rounds(measurement(1, 2), measurement(1))


def test_ways_take_turns_and_none_is_always_first() -> None:
    calls: list[str] = []

    def way(name: str):
        def work() -> float:
            calls.append(name)
            return float(len(calls))

        return work

    taken = measure_in_turns({"a": way("a"), "b": way("b")}, rounds=2)
    assert "".join(calls) == "baabba"
    assert taken == {"a": (3.0, 6.0), "b": (4.0, 5.0)}, "the round that warms up counts"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0123, "0.0123"), (2.0, "2"), (1234.5, "1,234"), (47.82, "47.8")]
)
def test_a_figure_has_the_digits_that_mean_something(value: float, text: str) -> None:
    assert figure(value) == text


def test_a_smaller_run_says_what_is_smaller() -> None:
    assert smaller_sizes(NORMAL)["archived_months"] == (10_000, 100_000)
    assert not smaller_sizes(FULL)


# ------------------------------------------------------------------------------------- bars --


def test_every_bar_has_a_name_of_its_own_and_one_limit() -> None:
    assert len({bar.name for bar in BARS}) == len(BARS)
    for bar in BARS:
        assert (bar.at_most is None) != (bar.at_least is None), bar.name


def test_a_bar_is_met_missed_or_not_measured() -> None:
    bars = (AT_MOST, AT_LEAST)
    measured = {"w/a": measurement(3.0), "w/b": measurement(1.0)}
    assert [verdict.word for verdict in judge(bars, measured)] == ["missed", "missed"]
    measured = {"w/a": measurement(1.0), "w/b": measurement(2.0)}
    assert [verdict.word for verdict in judge(bars, measured)] == ["met", "met"]
    assert [verdict.word for verdict in judge(bars, {})] == ["not measured"] * 2


def test_a_bar_without_a_second_measurement_looks_at_the_value() -> None:
    [verdict] = judge([Bar(name="n", work="n", measured="w/n", at_most=0)], {"w/n": measurement(0)})
    assert verdict == Verdict(bar=verdict.bar, ratio=Ratio(median=0, low=0, high=0))
    assert verdict.word == "met"


# ---------------------------------------------------------------------------------- compare --


@pytest.mark.parametrize(
    ("bar", "now", "worse"),
    [
        (AT_MOST, 1.2, False),  # within a quarter
        (AT_MOST, 1.6, False),  # beyond a quarter, within the recorded spread
        (AT_MOST, 1.9, True),
        (AT_MOST, 0.1, False),  # better
        (AT_LEAST, 0.85, False),
        (AT_LEAST, 0.6, False),
        (AT_LEAST, 0.4, True),
        (AT_LEAST, 9.0, False),
    ],
)
def test_a_ratio_is_worse_beyond_the_spread_and_a_quarter(
    bar: Bar, now: float, *, worse: bool
) -> None:
    recorded = Ratio(median=1.0, low=0.5, high=1.8)
    change = Change(bar=bar, recorded=recorded, present=Ratio(median=now, low=now, high=now))
    assert change.worse is worse


@pytest.mark.parametrize(("now", "worse"), [(9, False), (1, False), (0, True)])
def test_a_number_that_is_no_ratio_is_worse_where_it_misses_its_bar(
    now: float, *, worse: bool
) -> None:
    bar = Bar(name="n", work="n", measured="w/n", at_least=1)
    recorded, present = (Ratio(median=it, low=it, high=it) for it in (4, now))
    assert Change(bar=bar, recorded=recorded, present=present).worse is worse


def test_runs_of_other_sizes_are_not_compared() -> None:
    with pytest.raises(RecordError, match="full sizes, this one quick"):
        compare_runs(run_of({}, sizes="full"), run_of({}))


def test_a_run_that_measured_less_is_compared_in_what_it_measured() -> None:
    view = {"gated view, round trips/more": measurement(1.0)}
    trips = {"round trips/record": measurement(1.0)}
    [change] = compare_runs(run_of(view | trips), run_of(view))
    assert change.bar.name == "gated view"


# ----------------------------------------------------------------------------------- record --


def test_a_record_keeps_one_run_of_each_major_version(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    first, second = run_of({"w/a": measurement(1.0)}, server="15.20"), run_of({})
    write_run(first, path)
    write_run(second, path)
    runs = read_runs(path)
    assert list(runs) == ["15", "18"]
    assert runs["15"].measurements == first.measurements
    assert runs["18"].server == second.server


def test_what_cannot_be_compared_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    write_run(run_of({}, sizes="full"), path)
    assert find_recorded(path, major="18", sizes=None).sizes == "full"
    with pytest.raises(RecordError, match="No run of PostgreSQL 15 is recorded"):
        find_recorded(path, major="15", sizes=None)
    with pytest.raises(RecordError, match="has full sizes: ratios of quick sizes cannot"):
        find_recorded(path, major="18", sizes="quick")


@pytest.mark.parametrize("part", ["--quick", "--only=views"])
def test_a_part_of_a_run_is_not_recorded(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_arguments(["--write", part])
    assert "records a whole run" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{}", '{"runs": {"18": {}}}', '{"runs": []}'])
def test_a_file_that_is_no_record_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "runs.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=r"runs\.json is no record of runs"):
        read_runs(path)


def test_a_page_keeps_what_stands_around_the_tables(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    run = run_of({"gated view, round trips/more": measurement(1.0, unit="more")})
    write_page({"18": run}, {"plot.svg": "<svg/>"}, page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| 1 | 1 to 1 | ≤ 1 | issue 10 | met |" in text
    assert "![plot](images/plot.svg)" in text
    assert (tmp_path / "images" / "plot.svg").read_text() == "<svg/>"


def test_a_page_without_markers_is_left_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("mine")
    with pytest.raises(PageError, match="needs the lines"):
        write_page({}, {}, page)
    assert page.read_text() == "mine"


def test_a_plot_can_be_read_without_being_seen() -> None:
    plot = draw_values("a < b", {"counter": 0.02, "count": 50.0}, unit="ms")
    texts = {element.tag.rpartition("}")[2]: element.text for element in ET.fromstring(plot)}  # noqa: S314 (our own)
    assert texts["title"] == "a < b"
    assert texts["desc"] == "counter: 0.02 ms, count: 50 ms"


def test_only_values_of_one_size_are_bars() -> None:
    assert "<rect" in draw_values("near", {"a": 1.0, "b": 2.0}, unit="ms")
    far = draw_values("far", {"a": 1.0, "b": 2_000.0}, unit="ms")
    assert "<rect" not in far
    assert far.count("<circle") == 2


# --------------------------------------------------------------------------------- checking --


@pytest.fixture
def database(db: None) -> psycopg.Connection[tuple[object, ...]]:
    """The test's connection, whose transaction is rolled back at the end."""
    # It begins with the first statement. Before that, what psycopg calls a transaction would be
    # one of its own, and be committed.
    with django_connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return django_connection.connection


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_drift_of_any_peer_is_found(peer, database) -> None:
    create_peer(database, peer)
    fill_threads(database, peer, threads=3, messages=4)
    assert find_thread_drift(database, peer, work="a test").rows == 0
    database.execute("SET LOCAL session_replication_role = replica")
    database.execute(
        f"UPDATE {peer.schema}.chat_threads"
        " SET thread_messages_count = 9, message_count = 9 WHERE id = 2"
    )
    found = find_thread_drift(database, peer, work="a test")
    assert (found.rows, found.largest) == ((1, 5) if peer.column else (0, 0))


def test_drift_of_months_and_itineraries_is_found(database) -> None:
    database.execute("SET LOCAL session_replication_role = replica")
    database.execute(
        "INSERT INTO travel_itineraries (user_id, data, destinations_count)"
        """ VALUES (1, '{"waypoints": [1, 2]}', 5), (1, '{"waypoints": 7}', 0)"""
    )
    database.execute(
        "INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)"
        " VALUES (1, 'map_export', 3, '2026-11-01', '2026-11-30')"
    )
    itineraries = find_itinerary_drift(database, "public", work="a test")
    months = find_usage_drift(database, work="a test")
    assert (itineraries.rows, itineraries.largest) == (1, 3)
    assert (months.rows, months.largest) == (1, 3)


def test_a_script_that_fails_is_told_with_its_peer(database) -> None:
    parameters = django_connection.get_connection_params()
    known = {key: parameters[key] for key in ("host", "port", "user") if parameters.get(key)}
    nowhere = Database(parameters={**known, "dbname": f"missing_{uuid4().hex}"})
    with pytest.raises(PgbenchError, match="insert_one in cte: pgbench ended with 1"):
        run_pgbench(nowhere, "insert_one", schema=CTE.schema, transactions=1, thread=1)


# -------------------------------------------------------------------------------------- run --


def test_a_quick_run_measures_every_bar_and_says_what_got_worse_and_who_drifted(
    tmp_path: Path, django_db_setup: None
) -> None:
    """Everything in one run of the program: it makes a database of its own."""
    impossible = {
        "limit check/count, longest": measurement(1e9),
        "limit check/counter, longest": measurement(1.0),
    }
    for major in (15, 16, 17, 18):
        write_run(run_of(impossible, server=f"{major}.0"), tmp_path / "recorded.json")
    done = subprocess.run(  # noqa: S603 (our own program)
        [
            *(sys.executable, "-m", "tests.benchmarks", "--quick", "--check"),
            *("--recorded", str(tmp_path / "recorded.json")),
            *("--output", str(tmp_path / "run.json")),
        ],
        cwd=PROJECT,
        env=os.environ | {"TEST_DATABASE_NAME": f"test_bench_{uuid4().hex}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "WORSE" in done.stdout, done.stderr
    [run] = read_runs(tmp_path / "run.json").values()
    assert run.sizes == QUICK.name
    assert [verdict.bar.name for verdict in run.verdicts if verdict.ratio is None] == []
    drifted = {drift.peer for drift in run.drifts if drift.rows}
    assert {"legacy", "signals"} <= drifted, json.dumps([vars(drift) for drift in run.drifts])
    assert not run.ours_drifted
    trips = {name: run.measurements[f"round trips/{name}"].values for name in ("record", "consume")}
    assert trips == {"record": (1,), "consume": (1,)}

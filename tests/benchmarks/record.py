"""A run as it is kept: machine, versions, what was measured, what came of it."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.arguments import RECORD
from tests.benchmarks.bars import BARS
from tests.benchmarks.checking import Drift
from tests.benchmarks.database import SETTINGS
from tests.benchmarks.judging import judge
from tests.benchmarks.measuring import Measurement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from tests.benchmarks.bench import Bench
    from tests.benchmarks.database import Database
    from tests.benchmarks.judging import Verdict

LIBRARIES = ("Django", "psycopg", "django-pgtrigger", "django-computedfields")
DIGITS = 4  # that mean something


class RecordError(Exception):
    """What was recorded cannot be read, or does not fit the run."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run.

    Attributes:
        server: PostgreSQL's version, such as 18.4.
        date: on which it began, in UTC.
        sizes: the name of its sizes.
        machine: processor, processors, memory and system.
        versions: of Python and the libraries.
        settings: of the server, the same for all ways.
        measurements: by name.
        drifts: how each peer stood in the end.
        skipped: what was not measured, and why.
    """

    server: str
    date: str
    sizes: str
    machine: str
    versions: Mapping[str, str]
    settings: Mapping[str, str]
    measurements: Mapping[str, Measurement]
    drifts: Sequence[Drift]
    skipped: Sequence[str]

    @property
    def major(self) -> str:
        """PostgreSQL's major version."""
        return self.server.partition(".")[0]

    @property
    def verdicts(self) -> list[Verdict]:
        """Every bar beside what came out."""
        return judge(BARS, self.measurements)

    @property
    def ours_drifted(self) -> bool:
        """Whether a number that Sentinel keeps was wrong."""
        return any(drift.ours and drift.rows for drift in self.drifts)


def describe_run(bench: Bench, *, now: datetime) -> Run:
    """Return what a run has measured, with where it was measured."""
    return Run(
        server=_server_version(bench.database),
        date=now.date().isoformat(),
        sizes=bench.sizes.name,
        machine=_machine(),
        versions=_versions(),
        settings=SETTINGS | _server_settings(bench.database),
        measurements=bench.measurements,
        drifts=bench.drifts,
        skipped=bench.skipped,
    )


def read_runs(path: Path = RECORD) -> dict[str, Run]:
    """Return the recorded runs by PostgreSQL's major version; none where nothing was recorded.

    Raises:
        RecordError: the file is not one of ours.
    """
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {major: _read_run(run) for major, run in document["runs"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"{path} is no record of runs: {error!r}. Run make bench.") from error


def write_run(run: Run, path: Path = RECORD) -> None:
    """Keep a run in the place of the recorded one of the same major version."""
    runs = read_runs(path) | {run.major: run}
    document = {"runs": {major: _document(runs[major]) for major in sorted(runs, key=int)}}
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _document(run: Run) -> dict[str, Any]:
    document = asdict(run)
    for measurement in document["measurements"].values():
        measurement["values"] = [float(f"{value:.{DIGITS}g}") for value in measurement["values"]]
    return document


def _read_run(document: dict[str, Any]) -> Run:
    measurements = {
        name: Measurement(unit=found["unit"], values=tuple(found["values"]))
        for name, found in document["measurements"].items()
    }
    drifts = [Drift(**drift) for drift in document["drifts"]]
    return Run(**(document | {"measurements": measurements, "drifts": drifts}))


def _server_version(database: Database) -> str:
    with database.connect() as connection:
        [(version,)] = connection.execute("SHOW server_version").fetchall()
    return str(version).split()[0]


def _server_settings(database: Database) -> dict[str, str]:
    """Return the settings that figures depend on, where nobody has set them alike."""
    names = ("shared_buffers", "work_mem", "max_wal_size", "fsync", "full_page_writes")
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY (%s)"
            " ORDER BY name",
            [list(names)],
        ).fetchall()
    return dict(rows)


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} processors, {memory:.0f} GiB,"
        f" {platform.system()} {platform.release()}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _versions() -> dict[str, str]:
    installed = {"Python": platform.python_version()}
    for library in LIBRARIES:
        try:
            installed[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            installed[library] = "not installed"
    return installed

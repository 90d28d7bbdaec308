"""psql and `manage.py migrate` on one database: each finds what the other has made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.deploying.catalog import differences, of_the_deployed_system, read_definitions
from tests.deploying.psql import FORWARD, ROLLBACK, run_files
from tests.deploying.rows import CONTENTS, ROWS, WRONG

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase


def test_psql_and_migrate_make_the_same_and_take_the_same_back(
    production: ScratchDatabase,
) -> None:
    legacy, rows = read_definitions(production), production.rows(ROWS)
    run_files(production, *FORWARD)
    by_psql, contents = read_definitions(production), production.rows(CONTENTS)

    production.migrate()
    assert differences(by_psql, read_definitions(production)) == {}, "migrate changed something"
    assert production.rows(CONTENTS) == contents

    run_files(production, ROLLBACK)
    production.migrate()
    by_migrate = read_definitions(production)
    assert differences(by_psql, by_migrate) == {}, "the rollback was not forgotten by migrate"
    assert production.rows(CONTENTS) == contents

    production.migrate_to_0001()
    after = read_definitions(production)
    assert differences(legacy, of_the_deployed_system(after, legacy)) == {}
    assert production.rows(ROWS) == rows
    assert production.rows(WRONG) == []

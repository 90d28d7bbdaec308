"""The text that installs a trigger. Migrations refer to these classes by name.

A released class is never edited: an old migration would install something else than it did. A new
text is a new class, and `sentinel.counters.triggers` uses the newest.
"""

from __future__ import annotations

from pgtrigger.compiler import UpsertTriggerSql

BODY_QUOTE = "$sentinel$"


class DefinerTriggerSqlV1(UpsertTriggerSql):
    """Installs a trigger whose function runs with its owner's rights.

    What is different from django-pgtrigger's own text, and why:

    - `SECURITY DEFINER` with a pinned `search_path`: whoever writes the children needs no rights on
      the parent, and cannot put objects of his own in the place of ours. `public` is in the path
      for the triggers of others that stand on the parent and inherit it: without it they would
      not find their tables.
    - Nobody may call the function from a trigger of his own, which would run it with our rights.
    - `sentinel.engine` is put back to the caller's value when the function ends.
    - `CREATE OR REPLACE TRIGGER` takes SHARE ROW EXCLUSIVE, so that readers go on; DROP TRIGGER
      takes ACCESS EXCLUSIVE.
    - No check of `pgtrigger.ignore`, a setting with which any session could switch counting off.
    """

    def get_template(self) -> str:
        """See `UpsertTriggerSql.get_template`."""
        return """\
CREATE OR REPLACE FUNCTION {pgid}() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$
{declare}
BEGIN
{func}
END;
$sentinel$;
REVOKE ALL ON FUNCTION {pgid}() FROM PUBLIC;
CREATE OR REPLACE {constraint} TRIGGER {pgid}
    {when} {operation} ON {table}
    {timing} {referencing}
    FOR EACH {level} {condition}
    EXECUTE FUNCTION {execute};
COMMENT ON TRIGGER {pgid} ON {table} IS '{hash}';
"""

    @property
    def function_body(self) -> str:
        """The function's text as PostgreSQL keeps it (`pg_proc.prosrc`)."""
        return str(self).split(BODY_QUOTE)[1]

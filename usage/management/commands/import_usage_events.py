"""`manage.py import_usage_events`."""

from sentinel.imports.command import ImportCommand
from usage.arguments import LONGEST_KEY
from usage.importing import EARLIEST_YEAR, LATEST_YEAR, USAGE_EVENTS


class Command(ImportCommand):
    """Imports usage events."""

    help = f"""Import usage events from a file of JSON Lines, one record a line:

  {{"key": text, "user": email, "feature": text, "quantity": whole number,
   "occurred_at": "2026-03-15T12:00:00+00:00"}}

All or nothing: a line that is no such record ends the import with its number, and
nothing is kept. An event is known by its user and key: what the user's ledger has
already is not counted again, and of two records with one key the first counts. An
event counts in the month, in UTC, in which it occurred; limits are not asked, and
what a user has used in a lifetime stays as it is. Users who are not there yet are
added, with the domain of the email in lower case; they cannot log in.

A key has 1 to {LONGEST_KEY} characters, feature is one that is declared, quantity is 1 or
more, occurred_at is ISO 8601 with an offset, of the years {EARLIEST_YEAR} to {LATEST_YEAR};
other fields are ignored. Whoever counts a use in a month that the file has as well
waits until the import has ended: bring in the present month when little is used."""
    examples = """\
  manage.py import_usage_events usage_events.jsonl.gz
  manage.py import_usage_events usage_events.jsonl --dry-run
  manage.py import_usage_events usage_events.jsonl --skip-invalid --rejected wrong.jsonl
  zstdcat usage_events.jsonl.zst | manage.py import_usage_events - --format json"""
    kind = USAGE_EVENTS

"""`manage.py import_itineraries`."""

from itineraries.importing import ITINERARIES, LONGEST_TITLE
from sentinel.imports.command import ImportCommand


class Command(ImportCommand):
    """Imports itineraries."""

    help = f"""Import itineraries from a file of JSON Lines, one record a line:

  {{"id": text, "user": email, "title": text, "data": {{"waypoints": [...], ...}}}}

All or nothing: a line that is no such record ends the import with its number, and
nothing is kept. An itinerary is known by the record's id: what is there already stays
as it is, deleted or not, and of two records with one id the first counts. Users who
are not there yet are added, with the domain of the email in lower case; they cannot
log in. Titles have 1 to {LONGEST_TITLE} characters. data is stored as it stands,
numbers to the last digit; other fields than these are ignored."""
    examples = """\
  manage.py import_itineraries itineraries.jsonl.gz
  manage.py import_itineraries itineraries.jsonl --dry-run
  manage.py import_itineraries itineraries.jsonl --skip-invalid --rejected wrong.jsonl
  zstdcat itineraries.jsonl.zst | manage.py import_itineraries - --format json"""
    kind = ITINERARIES

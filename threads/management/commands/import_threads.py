"""`manage.py import_threads`."""

from sentinel.imports.command import ImportCommand
from threads.importing import CONVERSATIONS, LONGEST_TITLE


class Command(ImportCommand):
    """Imports conversations."""

    help = f"""Import conversations from a file of JSON Lines, one record a line:

  {{"id": text, "user": email, "title": text, "topic": text,
   "messages": [{{"role": "user" | "assistant" | "system", "content": text}}, ...]}}

All or nothing: a line that is no such record ends the import with its number, and
nothing is kept. A thread is known by the record's id: what is there already stays as
it is, deleted or not, and of two records with one id the first counts. Users who are
not there yet are added, with the domain of the email in lower case; they cannot log
in. Titles have 1 to {LONGEST_TITLE} characters, other fields than these are ignored."""
    examples = """\
  manage.py import_threads conversations.jsonl.gz
  manage.py import_threads conversations.jsonl --dry-run
  manage.py import_threads conversations.jsonl --skip-invalid --rejected wrong.jsonl
  zstdcat conversations.jsonl.zst | manage.py import_threads - --format json"""
    kind = CONVERSATIONS

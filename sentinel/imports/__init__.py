"""Imports of JSON Lines files: read strictly, load in batches, all or nothing.

`source` reads lines, `records` makes records of them, `fields` checks what they hold, `loading`
puts them into the database, and `command` is the command line of it all. What is special about
one kind of record stands in the app that owns its tables, as a `RecordKind`.
"""

from sentinel.imports.errors import InputError, RecordError
from sentinel.imports.loading import ImportReport, RecordKind, import_records
from sentinel.imports.rejects import RejectedLines
from sentinel.imports.source import Source, open_source

__all__ = [
    "ImportReport",
    "InputError",
    "RecordError",
    "RecordKind",
    "RejectedLines",
    "Source",
    "import_records",
    "open_source",
]

"""What the import commands have in common: options, summary, exit codes."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sentinel.console import FOUND_SOMETHING, ConsoleCommand, print_table
from sentinel.imports.errors import InputError
from sentinel.imports.loading import ImportReport, RecordKind, import_records
from sentinel.imports.rejects import RejectedLines, default_path
from sentinel.imports.source import Source, open_source
from sentinel.progress import open_progress

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class ImportCommand(ConsoleCommand):
    """Parses, imports, prints. A subclass says what the records are.

    Attributes:
        kind: what the records become.
    """

    kind: ClassVar[RecordKind]
    expected_errors = (InputError,)
    when_interrupted = "Everything was rolled back. It can be run again."

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        parser.add_argument(
            "file",
            metavar="FILE",
            help="JSON Lines, plain or gzip (told by the content); - for standard input",
        )
        parser.add_argument(
            "--skip-invalid",
            action="store_true",
            help="import the rest when lines are wrong: these go to a file, each with its line "
            "number and reason, and the command exits with 1",
        )
        parser.add_argument(
            "--rejected",
            metavar="PATH",
            type=Path,
            help="the file for the lines that --skip-invalid skips (default: "
            "FILE.rejected.jsonl, or stdin.rejected.jsonl for standard input). It is replaced, "
            "or removed when no line is wrong",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="do everything, say what would be added, and roll back",
        )
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def run(self, **options: Any) -> int:
        """See `ConsoleCommand.run`."""
        if options["rejected"] and not options["skip_invalid"]:
            raise InputError("--rejected needs --skip-invalid: without it no line is skipped.")
        report = self.import_file(options)
        self.print_report(report, output=options["format"])
        return FOUND_SOMETHING if report.rejected else 0

    def import_file(self, options: dict[str, Any]) -> ImportReport:
        """Open what is to be read and written, and import."""
        with (
            open_source(options["file"]) as source,
            self.open_rejects(source, options) as rejects,
            open_progress(
                self.stderr, name=source.name, unit="records", total=source.size
            ) as progress,
        ):
            return import_records(
                self.kind,
                source,
                rejects=rejects,
                dry_run=options["dry_run"],
                progress=progress,
            )

    def open_rejects(
        self, source: Source, options: dict[str, Any]
    ) -> RejectedLines | nullcontext[None]:
        """Return where wrong lines go, if they may go anywhere."""
        if not options["skip_invalid"]:
            return nullcontext()
        return RejectedLines(options["rejected"] or default_path(source), source=source)

    def print_report(self, report: ImportReport, *, output: str) -> None:
        """Print what was done, with the names that the rows have."""
        names = {
            "records_read": report.records_read,
            f"{self.kind.rows}_added": report.rows_added,
            f"{self.kind.rows}_already_there": report.already_there,
            **(
                {f"{self.kind.children}_added": report.children_added} if self.kind.children else {}
            ),
            "users_added": report.users_added,
            "lines_rejected": report.rejected,
        }
        if output == "json":
            document = {
                **names,
                "rejected_file": report.rejected_file and str(report.rejected_file),
                "dry_run": report.dry_run,
                "seconds": report.seconds,
            }
            self.stdout.write(json.dumps(document, indent=2))
            return
        rows = [(name.replace("_", " "), count) for name, count in names.items()]
        print_table(self.stdout, ("", "count"), rows)
        self.stdout.write(f"{report.seconds:.1f} seconds.")
        if not report.records_read:
            self.stdout.write("The file holds no records.")
        if report.rejected_file:
            self.stdout.write(f"The rejected lines and their reasons: {report.rejected_file}")
        if report.dry_run:
            self.stdout.write("A dry run: everything was rolled back.")

"""Tables as files: CSV and XLSX, row by row, however many there are."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, time
from enum import StrEnum
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from django.http import FileResponse, StreamingHttpResponse
from xlsxwriter import Workbook

from sentinel.dashboards.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from django.http import HttpResponseBase
    from xlsxwriter.worksheet import Worksheet

    from sentinel.dashboards.tables import Column, Value

# Spreadsheets take a text that begins so for a formula, and run it; the wide forms too.
FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
BYTE_ORDER_MARK = "\ufeff"  # without it Excel reads UTF-8 as something else
SHEET_ROWS = 1_048_576  # what a sheet of Excel holds, the heading included
PLACES = 4  # of shares and ratios: a hundredth of a percent
NUMBER_FORMATS = {
    Kind.NUMBER: "#,##0",
    Kind.DIFFERENCE: "+#,##0;-#,##0;0",
    Kind.PERCENT: "0.0%",
    Kind.CHANGE: "+0.0%;-0.0%;0%",
    Kind.RATIO: "0.0",
    Kind.DAY: "yyyy-mm-dd",
    Kind.MONTH: "yyyy-mm",
    Kind.MOMENT: "yyyy-mm-dd hh:mm:ss",
}


class Format(StrEnum):
    """What a table can be downloaded as."""

    CSV = "csv"
    XLSX = "xlsx"


def download(
    *, name: str, columns: Sequence[Column], rows: Iterable[Sequence[Value]], file_format: Format
) -> HttpResponseBase:
    """Answer with a table as a file. Rows are asked for while the file is sent or written.

    Args:
        name: of the file, without its ending.
        columns: their titles are the heading.
        rows: the values of each, unformatted.
        file_format: of the file.
    """
    if file_format is Format.XLSX:
        return FileResponse(
            _write_workbook(columns, rows), as_attachment=True, filename=f"{name}.xlsx"
        )
    answer = StreamingHttpResponse(_write_lines(columns, rows), content_type="text/csv")
    answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return answer


def defuse(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


class _Line:
    """What `csv.writer` writes to: it hands back each line."""

    def write(self, line: str) -> str:
        return line


def _write_lines(columns: Sequence[Column], rows: Iterable[Sequence[Value]]) -> Iterator[str]:
    writer: Any = csv.writer(_Line())  # typed as returning nothing of what it writes
    yield BYTE_ORDER_MARK + writer.writerow([_heading(column) for column in columns])
    for row in rows:
        yield writer.writerow([_plain(value) for value in row])


def _heading(column: Column) -> str:
    return f"{column.title} (UTC)" if column.kind is Kind.MOMENT else column.title


def _plain(value: Value) -> object:
    if isinstance(value, str):
        return defuse(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
    if isinstance(value, date):
        return value.isoformat()
    return round(value, PLACES) if isinstance(value, float) else value


def _write_workbook(columns: Sequence[Column], rows: Iterable[Sequence[Value]]) -> IO[bytes]:
    """Write to the disk, row by row: nothing of it is held in memory."""
    file = TemporaryFile()  # noqa: SIM115 (closed by the answer, when it is sent)
    options = {
        "constant_memory": True,
        "default_date_format": "yyyy-mm-dd",
        "strings_to_formulas": False,
        "strings_to_urls": False,
    }
    with Workbook(file, options) as book:
        formats = [
            book.add_format({"num_format": NUMBER_FORMATS.get(column.kind, "General")})
            for column in columns
        ]
        bold = book.add_format({"bold": True})
        sheet, line = _begin_sheet(book, columns, bold), 1
        for row in rows:
            if line == SHEET_ROWS:
                sheet, line = _begin_sheet(book, columns, bold), 1
            for place, (value, cell_format) in enumerate(zip(row, formats, strict=True)):
                _write_cell(sheet, line, place, value, cell_format)
            line += 1
    file.seek(0)
    return file


def _begin_sheet(book: Workbook, columns: Sequence[Column], bold: Any) -> Worksheet:
    sheet = book.add_worksheet()
    for place, column in enumerate(columns):
        width = 16 if column.kind.numeric else 24
        sheet.set_column(place, place, width)
        sheet.write_string(0, place, _heading(column), bold)
    sheet.freeze_panes(1, 0)
    return sheet


def _write_cell(sheet: Worksheet, line: int, place: int, value: Value, cell_format: Any) -> None:
    if isinstance(value, datetime):
        naive = value.astimezone(UTC).replace(tzinfo=None)  # XLSX knows no zones
        sheet.write_datetime(line, place, naive, cell_format)
    elif isinstance(value, date):
        midnight = datetime.combine(value, time())
        sheet.write_datetime(line, place, midnight, cell_format)
    elif isinstance(value, str):
        sheet.write_string(line, place, defuse(value))
    elif value is not None:
        sheet.write_number(line, place, value, cell_format)

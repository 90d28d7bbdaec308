"""The parts of the pages: numbers in words, charts, files."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from django.template import Context, Template
from django.utils import translation

from sentinel.dashboards import exports, formats
from sentinel.dashboards.charts import HEIGHT, WIDTH, Chart, Mark, Series
from sentinel.dashboards.exports import Format, defuse, download
from sentinel.dashboards.figures import describe_change
from sentinel.dashboards.tables import Cell, Column, Kind, Table, cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


# ---------------------------------------------------------------------------------------- formats


@pytest.mark.parametrize(
    ("language", "number", "share"), [("en", "12,345", "9.9"), ("de", "12.345", "9,9")]
)
def test_numbers_are_written_as_the_reader_writes_them(
    language: str, number: str, share: str
) -> None:
    with translation.override(language):
        assert formats.show_number(12345) == number
        assert formats.show_percent(0.0994).startswith(share)


def test_numbers_are_rounded_and_not_cut_off() -> None:
    assert formats.show_number(2.96, decimals=1) == "3.0"
    assert formats.show_percent(0.996).startswith("100")
    assert formats.show_number(-0.2) == "0", "there is no minus 0"


def test_a_moment_is_told_in_utc_wherever_it_was_noted() -> None:
    tokyo = timezone(timedelta(hours=9))
    moment = datetime(2026, 3, 1, 8, 30, tzinfo=tokyo)
    assert formats.show_moment(moment) == "28 Feb 2026, 23:30 UTC"


@pytest.mark.parametrize(
    ("difference", "change", "words"),
    [
        (None, None, ""),
        (0, 0.0, "no change"),
        (5, None, "+5"),
        (5, 0.5, "+5 (+50 %)"),
        (-1200, -0.25, "-1,200 (-25 %)"),
    ],
)
def test_a_change_is_told_with_its_sign(
    difference: int | None, change: float | None, words: str
) -> None:
    told = describe_change(difference=difference, change=change)
    assert told.replace(formats.MINUS, "-").replace("\N{NARROW NO-BREAK SPACE}", " ") == words


# ----------------------------------------------------------------------------------------- charts


def chart(*series: Sequence[float | None], mark: Mark = Mark.LINE) -> Chart:
    return Chart(
        slug="uses",
        title="Uses",
        description="What was used.",
        axis="Day",
        labels=[str(day) for day in range(1, len(series[0]) + 1)],
        series=[
            Series(name=f"no {n}", values=values, mark=mark) for n, values in enumerate(series)
        ],
    )


@pytest.mark.parametrize(
    ("highest", "top"),
    [(0, 4), (1, 4), (5, 8), (11, 20), (100, 100), (101, 200), (378, 400), (7001, 8000)],
)
def test_a_scale_ends_at_a_round_number_that_holds_all(highest: int, top: int) -> None:
    assert chart([highest]).top == top


def test_a_line_is_inside_the_picture_and_breaks_where_there_is_nothing() -> None:
    [drawn] = chart([4, 0, None, 2, 4]).drawn
    assert drawn.line == "M100.0 0.0 L300.0 200.0 M700.0 100.0 L900.0 0.0"
    assert drawn.area.endswith("Z")
    assert (WIDTH, HEIGHT) == (1000, 200), "as the template says"


def test_bars_of_two_series_stand_beside_each_other() -> None:
    first, second = chart([4, 2], [1, 3], mark=Mark.BARS).drawn
    for one, other in zip(first.bars, second.bars, strict=True):
        assert one.x + one.width == pytest.approx(other.x, abs=0.02)
        assert other.y + other.height == pytest.approx(HEIGHT)


def test_what_is_below_0_is_not_drawn_outside() -> None:
    [drawn] = chart([-5, 10]).drawn
    assert "M250.0 200.0" in drawn.line


def test_no_more_labels_are_written_than_fit_on_a_phone() -> None:
    written = [tick for tick in chart([1] * 31).ticks if tick]
    assert len(written) <= 8
    assert written[0] == "1"


def test_a_chart_without_values_is_none() -> None:
    assert chart([None, None]).is_empty
    shown = render("{% chart one %}", one=chart([None, None]))
    assert "<path d=" not in shown
    assert "Nothing yet." in shown


def test_a_chart_is_told_in_words_and_has_a_table() -> None:
    shown = render("{% chart one %}", one=chart([1200, None]))
    root = ET.fromstring(f"<root>{shown.replace('&nbsp;', ' ')}</root>")  # noqa: S314 (ours)
    [picture] = [svg for svg in root.iter("svg") if svg.get("role") == "img"]
    names = {node.get("id"): node.text for node in picture}
    assert [names[name] for name in picture.attrib["aria-labelledby"].split()] == [
        "Uses",
        "What was used. The table below has the numbers.",
    ]
    assert "1,200" in shown.partition("<tbody>")[2]


# ----------------------------------------------------------------------------------------- tables


def render(template: str, **context: object) -> str:
    return Template("{% load dashboards %}" + template).render(Context(context))


def test_a_table_names_its_rows_and_columns() -> None:
    table = Table(
        slug="t",
        title="Plans",
        columns=[Column(title="Plan"), Column(title="Uses", kind=Kind.NUMBER, hint="Of all")],
        rows=[cells(Cell(value="<b>", href="/x"), 1234)],
    )
    shown = render("{% data_table table %}", table=table)
    assert '<th scope="col" class="dash-numeric" title="Of all">Uses</th>' in shown
    assert '<th scope="row">' in shown
    assert "&lt;b&gt;" in shown
    assert "1,234" in shown


def test_a_row_of_another_length_is_an_error_of_ours() -> None:
    table = Table(slug="t", title="T", columns=[Column(title="One")], rows=[cells(1, 2)])
    with pytest.raises(ValueError, match="shorter"):
        render("{% data_table table %}", table=table)


@pytest.mark.parametrize("share", [-1, 0, 0.125, 1, 7])
def test_a_bar_is_as_wide_as_its_share_in_any_language(share: float) -> None:
    with translation.override("de"):
        shown = render("{% meter share %}", share=share)
    width = shown.partition('dash-meter-part" width="')[2].partition('"')[0]
    assert float(width) == pytest.approx(100 * min(max(share, 0), 1))


# ------------------------------------------------------------------------------------------ files

COLUMNS = [
    Column(title="Name"),
    Column(title="Uses", kind=Kind.NUMBER),
    Column(title="Share", kind=Kind.PERCENT),
    Column(title="Day", kind=Kind.DAY),
    Column(title="Last", kind=Kind.MOMENT),
]
MOMENT = datetime(2026, 3, 5, 12, 30, tzinfo=UTC)
ROW = ['Zoë, "the" 1st', -3, 1 / 3, date(2026, 3, 5), MOMENT]


def read(rows: Any, file_format: Format, columns: Sequence[Column] = COLUMNS) -> bytes:
    answer: Any = download(name="uses", columns=columns, rows=rows, file_format=file_format)
    try:
        return b"".join(answer.streaming_content)
    finally:
        for close in answer._resource_closers:  # as close(), which tells Django of a request's end
            close()


def cells_of(workbook: bytes) -> list[list[str | None]]:
    """The texts and numbers of the first sheet, as a spreadsheet reads them."""
    with zipfile.ZipFile(io.BytesIO(workbook)) as archive:
        sheet = ET.fromstring(archive.read("xl/worksheets/sheet1.xml"))  # noqa: S314 (ours)
    return [
        [cell.findtext(f".//{SHEET}t") or cell.findtext(f"{SHEET}v") for cell in row]
        for row in sheet.iter(f"{SHEET}row")
    ]


def test_a_csv_is_read_back_as_it_was() -> None:
    text = read([ROW], Format.CSV).decode("utf-8-sig")
    heading, line = csv.reader(io.StringIO(text))
    assert heading == ["Name", "Uses", "Share", "Day", "Last (UTC)"]
    assert line == ['Zoë, "the" 1st', "-3", "0.3333", "2026-03-05", "2026-03-05 12:30:00"]


def test_an_xlsx_is_read_back_as_it_was() -> None:
    heading, line = cells_of(read([ROW], Format.XLSX))
    assert heading == ["Name", "Uses", "Share", "Day", "Last (UTC)"]
    assert line[0] == 'Zoë, "the" 1st'
    assert float(line[1] or 0) == -3
    assert float(line[3] or 0) == 46086, "days since 1900, as spreadsheets count"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1+1"])
@pytest.mark.parametrize("file_format", Format)
def test_a_text_that_begins_like_a_formula_is_none(text: str, file_format: Format) -> None:
    columns = [Column(title="Name")]
    content = read([[text]], file_format, columns)
    if file_format is Format.CSV:
        [_, [value]] = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        assert value == f"'{text}"
    else:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert b"<f>" not in archive.read("xl/worksheets/sheet1.xml")
    assert defuse("a=1") == "a=1"


def test_a_csv_is_sent_while_it_is_written() -> None:
    asked = []

    def rows() -> Iterator[list[int]]:
        for number in range(100_000):
            asked.append(number)
            yield [number]

    answer: Any = download(
        name="n", columns=[Column(title="N")], rows=rows(), file_format=Format.CSV
    )
    parts = iter(answer.streaming_content)
    assert (next(parts), next(parts)) == (b"\xef\xbb\xbfN\r\n", b"0\r\n")
    assert len(asked) == 1


def test_rows_that_do_not_fit_on_a_sheet_go_on_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "SHEET_ROWS", 3)
    content = read([[n] for n in range(5)], Format.XLSX, [Column(title="N")])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/sheet")]
    assert len(sheets) == 3


def test_an_empty_table_is_a_file_with_a_heading() -> None:
    assert read([], Format.CSV).decode("utf-8-sig") == "Name,Uses,Share,Day,Last (UTC)\r\n"
    assert len(cells_of(read([], Format.XLSX))) == 1

"""Workbooks: one sheet becomes records, and a cell that is not what it shows refuses its row."""

import io
import json
import re
import struct
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from include.contracts.dialect import Dialect
from include.contracts.model import Column, ColumnType, RowRule, UnknownColumns
from include.errors import Code
from include.ingestion.readers import sheet_scan
from include.ingestion.readers.workbook import sheet_records
from include.ingestion.records import FileFormat
from include.settings import IngestSettings
from tests.binary_workbook_files import Formula, xlsb
from tests.unit.ingestion.conftest import EVERY_TYPE
from tests.workbook_files import ods, sheet_xml, table, xlsx, zipped

pytestmark = pytest.mark.unit

RESOURCES = Path(__file__).parents[2] / "resources" / "workbooks"
COLUMNS = (
    Column("id", ColumnType.TEXT, required=True),
    Column("t", ColumnType.TEXT),
    Column("i", ColumnType.INTEGER),
    Column("n", ColumnType.NUMBER, precision=12, scale=2),
    Column("d", ColumnType.DATE),
    Column("ts", ColumnType.TIMESTAMP),
    Column("b", ColumnType.BOOLEAN),
)
HEADER = [column.name for column in COLUMNS]
ROWS: list[list[object]] = [
    [],
    [],
    HEADER,
    ["1", "plain", 12, 12.5, date(2026, 1, 2), datetime(2026, 1, 2, 3, 4, 5), True],  # noqa: DTZ001
    ["0012", "0012", -7, 0.1, date(1999, 12, 31), datetime(1999, 12, 31, 23, 59, 59), False],  # noqa: DTZ001
    [],
    ["3", None, None, None, None, None, None],
]
CSV = (
    "id,t,i,n,d,ts,b\n1,plain,12,12.5,2026-01-02,2026-01-02T03:04:05,true\n"
    "0012,0012,-7,0.1,1999-12-31,1999-12-31T23:59:59,false\n3,,,,,,\n"
)
BOOKS: dict[FileFormat, Callable[[], bytes]] = {
    FileFormat.XLSX: lambda: xlsx({"Notes": sheet_xml([["x"]]), "Things": sheet_xml(ROWS)}, hidden=["Notes"]),
    FileFormat.XLSB: lambda: xlsb({"Notes": [["x"]], "Things": ROWS}, hidden=["Notes"]),
    FileFormat.ODS: lambda: ods({"Notes": [["x"]], "Things": ROWS}, hidden=["Notes"]),
    FileFormat.XLS: (RESOURCES / "things.xls").read_bytes,
}


@pytest.fixture
def contract(contract_of):
    return contract_of(*COLUMNS)


def without_row_numbers(rows: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if name != "_source_row"} for row in rows]


@pytest.mark.parametrize("kind", BOOKS)
def test_a_workbook_has_the_rows_of_a_csv_file(stages, contract, kind: FileFormat) -> None:
    validated = stages.validate(contract, BOOKS[kind]())
    assert (validated.layout.format, validated.rows_read, validated.rejects.rows) == (kind, 3, 0)
    expected = stages.rows(contract, CSV.encode())
    assert without_row_numbers(stages.processed(contract, validated)) == without_row_numbers(expected)


@pytest.mark.parametrize(
    ("writer", "faults"),
    [
        ("openpyxl.xlsx", [("i", Code.UNCALCULATED_FORMULA), ("t", Code.UNCALCULATED_FORMULA)]),
        ("xlsxwriter.xlsx", [("i", Code.UNCALCULATED_FORMULA)]),
        ("odfpy.ods", []),
    ],
)
def test_a_workbook_that_a_library_wrote_has_the_rows_of_a_csv_file(
    stages, contract, writer: str, faults: list[tuple[str, Code]]
) -> None:
    validated = stages.validate(contract, (RESOURCES / f"written_{writer}").read_bytes())
    assert [(one.column, one.code) for one in validated.rejects.first] == faults
    expected = stages.rows(contract, CSV.encode())
    assert without_row_numbers(stages.processed(contract, validated)) == without_row_numbers(expected)


# Faults: each row of the table with the cells behind the id, and the column and code that refuse it.

DAY = date(2026, 1, 2)
FAULTS: dict[str, tuple[list[object], str, Code]] = {
    "error-in-a-text": (["#N/A", 1, 1, DAY], "t", Code.ERROR_CELL),
    "error-in-a-number": (["t", "#DIV/0!", 1, DAY], "i", Code.ERROR_CELL),
    "number-in-a-date": (["t", 1, 1, 46024], "d", Code.BAD_DATE),
    "day-60": (["t", 1, 1, (60, 1)], "d", Code.BAD_DATE),
    "negative-day": (["t", 1, 1, (-5, 1)], "d", Code.BAD_DATE),
    "too-large": (["t", 1e17, 1, DAY], "i", Code.INEXACT_NUMBER),
    "too-large-in-a-text": ([float(2**53), 1, 1, DAY], "t", Code.INEXACT_NUMBER),
    "too-many-decimals": (["t", 1, 0.1 + 0.2, DAY], "n", Code.TOO_MANY_DECIMALS),
    "text-in-a-number": (["t", "1,5", 1, DAY], "i", Code.BAD_INTEGER),
}


def as_xlsx(value: object) -> object:
    match value:
        case "#N/A" | "#DIV/0!":
            return f'<c {{r}} t="e"><v>{value}</v></c>'
        case (number, style):
            return f'<c {{r}} s="{style}"><v>{number}</v></c>'
        case _:
            return value


@pytest.mark.parametrize("kind", [FileFormat.XLSX, FileFormat.XLSB])
def test_faults_refuse_their_rows_with_the_number_in_excel(stages, contract, kind: FileFormat) -> None:
    bad = [[f"b{at}", *cells] for at, (cells, _, _) in enumerate(FAULTS.values())]
    rows = [HEADER[:5], ["good", "t", 1, 1.5, DAY], [], *bad]
    body = table([[as_xlsx(cell) for cell in row] for row in rows]) if kind is FileFormat.XLSX else xlsb({"S": rows})
    validated = stages.validate(contract, body)
    found = [(one.source_line, one.column, one.code) for one in validated.rejects.first]
    assert found == [(at, column, code) for at, (_, column, code) in enumerate(FAULTS.values(), 4)]
    first = validated.rejects.first[0]
    assert first.message == "t holds the error #N/A."
    assert first.raw == '{"id":"b0","t":"#N/A","i":"1","n":"1","d":"2026-01-02"}'
    assert [row["id"] for row in stages.processed(contract, validated)] == ["good"]


ERROR = '<c {r} t="e"><v>#N/A</v></c>'


def test_every_bad_cell_of_a_row_is_named_whatever_its_column_is(stages, contract_of) -> None:
    """Errors, numbers too large, numbers in dates, and texts that do not fit; the text of the row stays as it is."""
    contract = contract_of(*(replace(column, source_names=(column.name,)) for column in EVERY_TYPE))
    names = [column.name for column in contract.columns]
    rows = [[f"r{at}", *(ERROR if at == bad else None for bad in range(1, len(names)))] for at in range(len(names))]
    rows.append(["all", *[ERROR] * (len(names) - 1)])
    mixed = {"t": "a\\u0000", "i": 1e17, "n": "x", "d": 46024, "ts": 46024, "b": ERROR}
    rows.append(["mixed", *(mixed.get(name) for name in names[1:])])
    validated = stages.validate(contract, table([names, *rows]))
    found = [(one.source_row, one.column, one.code, one.value) for one in validated.rejects.first]
    alone = [(at + 1, name, Code.ERROR_CELL, "#N/A") for at, name in enumerate(names) if at]
    every = [(len(names) + 1, name, Code.ERROR_CELL, "#N/A") for name in names[1:]]
    last = len(names) + 2
    assert sorted(found[: 2 * len(alone)]) == sorted(alone + every)
    assert sorted(found[2 * len(alone) :]) == sorted(
        [
            (last, "i", Code.INEXACT_NUMBER, "100000000000000000"),
            (last, "n", Code.BAD_NUMBER, "x"),
            (last, "d", Code.BAD_DATE, "46024"),
            (last, "ts", Code.BAD_TIMESTAMP, "46024"),
            (last, "b", Code.ERROR_CELL, "#N/A"),
        ]
    )
    raw = json.loads(validated.rejects.first[-1].raw)
    assert (raw["t"], raw["b"], raw["d"]) == ("a\\u0000", "#N/A", "46024")
    assert validated.rejects.rows == len(names) + 1
    assert [row["id"] for row in stages.processed(contract, validated)] == ["r0"]


def test_rules_see_a_bad_cell_as_null(stages, contract_of) -> None:
    rules = (RowRule("known", "i IS NOT NULL", "There is a number", "i"), RowRule("short", "length(t) < 3", "", "t"))
    contract = contract_of(*COLUMNS[:3], row_rules=rules)
    validated = stages.validate(contract, table([["id", "t", "i"], ["1", "long", ERROR], ["2", ERROR, 5]]))
    assert [(one.source_row, one.column, one.code) for one in validated.rejects.first] == [
        (1, "i", Code.ERROR_CELL),
        (1, "i", Code.RULE_BROKEN),
        (1, "t", Code.RULE_BROKEN),
        (2, "t", Code.ERROR_CELL),
    ]


@pytest.mark.parametrize("mode", [UnknownColumns.RESCUE, UnknownColumns.EVOLVE])
def test_a_bad_cell_of_an_unknown_column_is_named_once_beside_the_others(stages, contract_of, mode) -> None:
    contract = contract_of(COLUMNS[0], COLUMNS[2], unknown_columns=mode)
    validated = stages.validate(contract, table([["id", "i", "new", "more"], ["1", "x", 1e17, 1e17], ["2", 2, 3, 4]]))
    found = [(one.source_row, one.column, one.code) for one in validated.rejects.first]
    assert found == [(1, "i", Code.BAD_INTEGER), (1, None, Code.INEXACT_NUMBER)]


def test_a_row_that_is_too_long_is_refused_for_that_beside_a_bad_cell_of_an_unknown_column(stages, contract_of) -> None:
    contract = contract_of(COLUMNS[0], unknown_columns=UnknownColumns.RESCUE)
    body = table([["id", "new", "more"], ["1", 1e17, "x" * 300], ["2", 1e17, "x"]])
    validated = stages.validate(contract, body, IngestSettings(max_row_bytes=200))
    found = [(one.source_row, one.column, one.code) for one in validated.rejects.first]
    assert found == [(1, None, Code.ROW_TOO_LONG), (2, None, Code.INEXACT_NUMBER)]


def test_rules_without_a_column_see_a_bad_text_as_null(stages, contract_of) -> None:
    rules = (RowRule("short", "length(t) < 3", "Short"), RowRule("fits", "i <= length(t)", "Fits", "i"))
    contract = contract_of(*COLUMNS[:3], row_rules=rules)
    validated = stages.validate(contract, table([["id", "t", "i"], ["1", ERROR, 7]]))
    assert [(one.column, one.code) for one in validated.rejects.first] == [("t", Code.ERROR_CELL)]


def test_bad_cells_of_one_kind_take_their_memory_once(tmp_path: Path, contract_of) -> None:
    """A sheet may have a million rows with a number in each date column."""
    path = tmp_path / "raw"
    path.write_bytes(table([["id", "d", "ts"], *([str(at), 46024 + at, 46024.5] for at in range(50))]))
    contract = contract_of(COLUMNS[0], COLUMNS[4], COLUMNS[5])
    records = sheet_records(path, FileFormat.XLSX, contract, IngestSettings())
    assert len(list(records.lines)) == 51
    cells = [cell for found in records.bad_cells.values() for cell in found.values()]
    assert (len(cells), len(set(map(id, cells)))) == (100, 2)


def test_a_number_in_a_date_column_with_formats_is_read_by_them(stages, contract_of) -> None:
    columns = (COLUMNS[0], Column("d", ColumnType.DATE, formats=("%Y%m%d",)))
    validated = stages.validate(contract_of(*columns), table([["id", "d"], ["1", 20260102], ["2", 46024]]))
    assert [(one.source_row, one.code) for one in validated.rejects.first] == [(2, Code.BAD_DATE)]
    assert [row["d"] for row in stages.processed(contract_of(*columns), validated)] == [DAY]


def test_faults_of_an_xls_file_are_found(stages, contract) -> None:
    validated = stages.validate(contract, (RESOURCES / "faults.xls").read_bytes())
    assert [(one.source_line, one.column, one.code) for one in validated.rejects.first] == [
        (3, "t", Code.ERROR_CELL),
        (4, "i", Code.ERROR_CELL),
        (5, "i", Code.UNCALCULATED_FORMULA),
        (6, "d", Code.BAD_DATE),
        (7, "d", Code.BAD_DATE),
        (8, "d", Code.BAD_DATE),
        (9, "i", Code.INEXACT_NUMBER),
    ]


ODS_ERROR = (
    '<table:table-cell table:formula="of:=1/0" office:value-type="string" office:string-value="" '
    'calcext:value-type="error"><text:p>#DIV/0!</text:p></table:table-cell>'
)


def ods_text(inside: str) -> str:
    return f'<table:table-cell office:value-type="string">{inside}</table:table-cell>'


PERCENT = '<table:table-cell office:value-type="percentage" office:value="0.07"><text:p>7 %</text:p></table:table-cell>'
CALCULATED = '<table:table-cell table:formula="of:=1+1" office:value-type="float" office:value="2"/>'
NOTE = "<office:annotation><text:p>no<text:tab/></text:p></office:annotation>"
ODS_CELLS: dict[str, tuple[str, Code | str | None]] = {
    "error": (ODS_ERROR, Code.ERROR_CELL),
    "error-of-excel": (ODS_ERROR.replace('calcext:value-type="error"', ""), Code.ERROR_CELL),
    "uncalculated": ('<table:table-cell table:formula="of:=1+1"/>', Code.UNCALCULATED_FORMULA),
    "calculated": (CALCULATED, "2"),
    "two-lines": (ods_text("<text:p>a</text:p><text:p>b</text:p>"), "a\nb"),
    "tab": (ods_text('<text:p>a<text:tab/>b<text:s text:c="2"/>c</text:p>'), "a\tb  c"),
    "line-break": (ods_text("<text:p>a<text:line-break/>b</text:p>"), "a\nb"),
    "comment": (ods_text(f"{NOTE}<text:p>yes</text:p>"), "yes"),
    "percent": (PERCENT, "0.07"),
    "empty": ("<table:table-cell/>", None),
}


@pytest.mark.parametrize(("cell", "expected"), ODS_CELLS.values(), ids=list(ODS_CELLS))
def test_cells_of_ods(stages, contract, cell: str, expected: Code | str | None) -> None:
    body = ods({"S": [["id", "t"], ["1", cell], ["2", "x"]]})
    validated = stages.validate(contract, body)
    if isinstance(expected, Code):
        assert [(one.source_line, one.column, one.code) for one in validated.rejects.first] == [(2, "t", expected)]
    else:
        assert [row["t"] for row in stages.processed(contract, validated)] == [expected, "x"]


def test_repeated_rows_of_ods_are_counted(stages, contract) -> None:
    body = rewritten(
        ods({"S": [["id", "t"], ["1", "x"], ["2", ODS_ERROR]]}),
        "content.xml",
        lambda xml: xml.replace(
            "<table:table-row><table:table-cell office:value-type=\"string\"><text:p>2",
            '<table:table-row table:number-rows-repeated="40"><table:table-cell table:number-columns-repeated="9"/>'
            '</table:table-row><table:table-row table:number-rows-repeated="2"><table:table-cell '
            'office:value-type="string"><text:p>2',
        ),
    )  # fmt: skip
    found = stages.validate(contract, body).rejects.first
    assert [(one.source_line, one.code) for one in found] == [(43, Code.ERROR_CELL), (44, Code.ERROR_CELL)]


def rewritten(body: bytes, part: str, change: Callable[[str], str]) -> bytes:
    """The workbook with one part changed."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    changed = change(parts[part].decode())
    assert changed != parts[part].decode()
    return zipped(parts | {part: changed})


XLSX_CELLS: dict[str, tuple[object, Code | str | None]] = {
    "formula-without-a-value": ("<c {r}><f>1+1</f></c>", Code.UNCALCULATED_FORMULA),
    "formula-with-an-empty-value": ("<c {r}><f>1+1</f><v></v></c>", Code.UNCALCULATED_FORMULA),
    "formula-of-text-without-a-value": ('<c {r} t="str"><f>A1</f></c>', Code.UNCALCULATED_FORMULA),
    "formula-of-empty-text": ('<c {r} t="str"><f>""</f><v></v></c>', None),
    "formula-with-a-value": ("<c {r}><f>1+1</f><v>2</v></c>", "2"),
    "formula-of-error": ('<c {r} t="e"><f>1/0</f><v>#DIV/0!</v></c>', Code.ERROR_CELL),
    "text-that-looks-like-an-error": ('<c {r} t="str"><v>#N/A</v></c>', "#N/A"),
    "integral": (12.0, "12"),
    "largest-exact": (float(2**53 - 1), "9007199254740991"),
    "small": (1e-7, "0.0000001"),
    "negative": (-1.5, "-1.5"),
    "zeros-kept-as-text": ("007", "007"),
    "percent": ('<c {r} s="5"><v>0.07</v></c>', "0.07"),
    "boolean": (True, "true"),
    "date-in-a-text": (DAY, "2026-01-02"),
    "time-of-day": ('<c {r} s="3"><v>0.75</v></c>', "18:00:00"),
    "duration": (timedelta(hours=26, minutes=30), "26:30:00"),
    "negative-duration": ('<c {r} s="4"><v>-0.25</v></c>', "-06:00:00"),
    "time-below-zero": ('<c {r} s="3"><v>-0.25</v></c>', Code.BAD_DATE),
    "day-60": ('<c {r} s="1"><v>60</v></c>', Code.BAD_DATE),
    "day-59": ('<c {r} s="1"><v>59</v></c>', "1900-02-28"),
    "day-61": ('<c {r} s="1"><v>61</v></c>', "1900-03-01"),
    "sixty": (60, "60"),
    "no-number": ("<c {r}><v>1e400</v></c>", Code.INEXACT_NUMBER),
    "line-end": ("a\nb", "a\nb"),
    "not-latin": ("Größe 😀", "Größe 😀"),
    "blank": ("", None),
}


@pytest.mark.parametrize(("cell", "expected"), XLSX_CELLS.values(), ids=list(XLSX_CELLS))
def test_cells_of_xlsx(stages, contract, cell: object, expected: Code | str | None) -> None:
    validated = stages.validate(contract, table([["id", "t"], ["1", cell], ["2", "x"]]))
    if isinstance(expected, Code):
        assert [(one.source_line, one.column, one.code) for one in validated.rejects.first] == [(2, "t", expected)]
    else:
        assert [row["t"] for row in stages.processed(contract, validated)] == [expected, "x"]


def test_a_formula_of_value_0_in_a_workbook_to_be_calculated_is_refused(stages, contract) -> None:
    """XlsxWriter writes 0 for every formula, and asks Excel to calculate."""
    rows = [["id", "i"], ["1", "<c {r}><f>1+1</f><v>0</v></c>"], ["2", "<c {r}><f>1+1</f><v>2</v></c>"], ["3", 0]]
    asks = xlsx({"S": sheet_xml(rows)}, workbook='<calcPr fullCalcOnLoad="1"/>')
    found = stages.validate(contract, asks).rejects.first
    assert [(one.source_line, one.column, one.code) for one in found] == [(2, "i", Code.UNCALCULATED_FORMULA)]
    assert [row["i"] for row in stages.rows(contract, xlsx({"S": sheet_xml(rows)}))] == [0, 2, 0]


def test_days_of_a_workbook_that_counts_from_1904(stages, contract) -> None:
    cells = [f'<c {{r}} s="1"><v>{number}</v></c>' for number in (60, 0, -1, 44562)]
    body = xlsx({"S": sheet_xml([["id", "d"], *([str(at), cell] for at, cell in enumerate(cells))])},
                workbook='<workbookPr date1904="1"/>')  # fmt: skip
    validated = stages.validate(contract, body)
    assert [(one.source_line, one.code) for one in validated.rejects.first] == [(3, Code.BAD_DATE), (4, Code.BAD_DATE)]
    rows = stages.processed(contract, validated)
    assert [row["d"] for row in rows] == [date(1904, 3, 1), date(2026, 1, 2)]


def test_numbers_beyond_a_double_load_into_a_double_column(stages, contract_of) -> None:
    contract = contract_of(COLUMNS[0], Column("f", ColumnType.FLOAT))
    rows = stages.rows(contract, table([["id", "f"], ["1", 1e300], ["2", 0.1 + 0.2], ["3", float(2**60)]]))
    assert [row["f"] for row in rows] == [1e300, 0.1 + 0.2, float(2**60)]


JSON_TEXTS = ['{"a": 1.10,\n"b": [1]}', "{broken", '{"a":1,"a":2}', '"text"', "null", " ", "text", 5, True]


def test_json_columns_read_the_text_of_a_cell_as_csv_does(stages, contract_of) -> None:
    contract = contract_of(COLUMNS[0], Column("j", ColumnType.JSON))
    rows = [["id", "j"], *([str(at), text] for at, text in enumerate(JSON_TEXTS))]
    quoted = [[str(cell).lower() if isinstance(cell, bool) else str(cell) for cell in row] for row in rows]
    plain = "".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in quoted)
    validated = [stages.validate(contract, body) for body in (table(rows), plain.encode())]
    reasons = [[(one.source_row, one.column, one.code, one.message) for one in it.rejects.first] for it in validated]
    assert reasons[0] == reasons[1]
    assert [(row, code) for row, _, code, _ in reasons[0]] == [
        (2, Code.BAD_JSON),
        (3, Code.BAD_JSON),
        (7, Code.BAD_JSON),
    ]
    found = [[row["j"] for row in stages.processed(contract, it)] for it in validated]
    assert found[0] == found[1]
    assert [None if text is None else text.replace(" ", "").replace("\n", "") for text in found[0]] == [
        '{"a":1.10,"b":[1]}', '"text"', "null", None, "5", "true",
    ]  # fmt: skip


def test_good_json_columns_are_read_on_the_fast_path(stages, contract_of) -> None:
    contract = contract_of(COLUMNS[0], Column("j", ColumnType.JSON))
    rows = [["id", "j"], *([str(at), text] for at, text in enumerate(["{}", "null", "", '"a"', 7, date(2026, 1, 2)]))]
    validated = stages.validate(contract, table(rows))
    assert validated.path_taken == "fast"
    found = [row["j"] for row in stages.processed(contract, validated)]
    assert found == ["{}", "null", None, '"a"', "7", '"2026-01-02"']


def test_the_dialect_says_how_texts_write_numbers_and_nulls(stages, contract_of) -> None:
    """A text such as 1.234 is not read with a point where the contract says comma; cells of numbers are numbers."""
    dialect = Dialect(decimal=",", thousands=".", trailing_minus=True, null_values=("n/a",))
    contract = contract_of(*COLUMNS[:4], dialect=dialect)
    rows = [["id", "t", "i", "n"], ["1", "n/a", "1.234", "1.234,50-"], ["2", 1.5, 7, 1.5], ["3", "n/a ", "n/a", 0.25],
            ["4", "x", "12.34", "1,5"], ["5", "x", 1.5, "1.5"]]  # fmt: skip
    validated = stages.validate(contract, table(rows))
    assert [(one.source_row, one.column, one.value) for one in validated.rejects.first] == [
        (4, "i", "12.34"), (5, "i", "1,5"), (5, "n", "1.5"),
    ]  # fmt: skip
    assert [(row["id"], row["t"], row["i"], row["n"]) for row in stages.processed(contract, validated)] == [
        ("1", None, 1234, Decimal("-1234.50")), ("2", "1.5", 7, Decimal("1.50")), ("3", "n/a ", None, Decimal("0.25")),
    ]  # fmt: skip


def test_every_bad_cell_of_a_row_is_named_beside_a_bad_document(stages, contract_of) -> None:
    contract = contract_of(COLUMNS[0], Column("i", ColumnType.INTEGER), Column("j", ColumnType.JSON))
    validated = stages.validate(contract, table([["id", "i", "j"], ["1", "x", "{"], ["2", "2", "{}"]]))
    reasons = [(one.source_line, one.column, one.code) for one in validated.rejects.first]
    assert reasons == [(2, "i", Code.BAD_INTEGER), (2, "j", Code.BAD_JSON)]


def test_a_sheet_may_have_fewer_columns_than_the_contract_has_names(stages, contract_of) -> None:
    columns = (COLUMNS[0], Column("t", ColumnType.TEXT), Column("i", ColumnType.INTEGER))
    contract = replace(contract_of(*columns), dialect=Dialect(has_header=False))
    assert [(row["id"], row["t"], row["i"]) for row in stages.rows(contract, table([["1"], ["2"]]))] == [
        ("1", None, None),
        ("2", None, None),
    ]


# Which sheet


@pytest.mark.parametrize("kind", ["xlsx", "xlsb", "ods", "xls"])
def test_several_visible_sheets_are_refused_with_their_names(stages, contract_of, kind: str) -> None:
    contract = contract_of(COLUMNS[0])
    body = {
        "xlsx": lambda: xlsx({name: sheet_xml(rows) for name, rows in TWO.items()}),
        "xlsb": lambda: xlsb(TWO),
        "ods": lambda: ods(TWO),
        "xls": (RESOURCES / "two_sheets.xls").read_bytes,
    }[kind]()
    refusal = stages.refusal(contract, body)
    assert (refusal.code, "'North', 'South'" in refusal.message) == (Code.UNCLEAR_SHEET, True)
    assert "sheet" in refusal.remedy
    for name, expected in (("South", "2"), ("north", "1")):
        named = replace(contract, dialect=Dialect(sheet=name))
        assert [row["id"] for row in stages.rows(named, body)] == [expected]
    missing = stages.refusal(replace(contract, dialect=Dialect(sheet="West")), body)
    assert (missing.code, "'West'" in missing.message, "'South'" in missing.message) == (Code.UNCLEAR_SHEET, True, True)


TWO: dict[str, Sequence[Sequence[object]]] = {"North": [["id"], ["1"]], "South": [["id"], ["2"]]}


def test_a_hidden_sheet_is_read_only_if_it_is_named(stages, contract_of) -> None:
    contract = contract_of(COLUMNS[0])
    body = xlsx({"Hidden": sheet_xml([["id"], ["1"]])}, hidden=["Hidden"])
    refusal = stages.refusal(contract, body)
    assert (refusal.code, "no visible sheet" in refusal.message) == (Code.UNCLEAR_SHEET, True)
    assert [row["id"] for row in stages.rows(replace(contract, dialect=Dialect(sheet="Hidden")), body)] == ["1"]


# Headers


def test_columns_of_a_workbook_without_header_and_values_are_left_out(stages, contract) -> None:
    rows = [[None, "id", "t", "", None], [None, "1", "x", None, None], [None, "2", "y", None, ""]]
    assert [row["t"] for row in stages.rows(contract, table(rows))] == ["x", "y"]


def test_values_under_an_empty_header_are_kept_as_in_csv(stages, contract) -> None:
    rows = stages.rows(contract, table([["id", None], ["1", "note"]]))
    assert rows[0]["_rescued"] == stages.rows(contract, b"id,\n1,note\n")[0]["_rescued"] == '{"":"note"}'


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (["id", "t", "T"], Code.DUPLICATE_COLUMNS),
        (["id", None, None], Code.DUPLICATE_COLUMNS),
        (["t"], Code.MISSING_COLUMNS),
        (["id", '<c {r} t="e"><v>#REF!</v></c>'], Code.UNREADABLE_FILE),
    ],
    ids=["twice", "two-empty", "missing", "error"],
)
def test_headers_that_are_refused(stages, contract, header: list[object], code: Code) -> None:
    assert stages.refusal(contract, table([header, ["1", "2", "3"]])).code is code


@pytest.mark.parametrize("rows", [[], [["id", "t"]], [[], ["id", "t"], [], []]], ids=["none", "header", "blank"])
def test_a_sheet_without_rows_is_refused(stages, contract, rows: list[list[object]]) -> None:
    assert stages.refusal(contract, table(rows)).code is Code.NO_ROWS


def test_headers_may_be_numbers_and_dates(stages, contract_of) -> None:
    contract = replace(contract_of(COLUMNS[0]), unknown_columns=UnknownColumns.RESCUE)
    rows = stages.rows(contract, table([["id", 2024, DAY], ["1", 5, 6]]))
    assert rows[0]["_rescued"] == '{"2024":"5","2026-01-02":"6"}'


def test_errors_in_unknown_columns_refuse_nothing(stages, contract) -> None:
    error = '<c {r} t="e"><v>#N/A</v></c>'
    rows = stages.rows(contract, table([["id", "other"], ["1", error], ["2", 1e17]]), slow=False)
    assert [row["_rescued"] for row in rows] == ['{"other":"#N/A"}']


# Rows around the table

TITLED: list[list[object]] = [
    ["Prices of autumn", None, None, "a note beside the table"],
    [],
    ["t", "i"],
    ["id", "t", "i"],
    ["1", "x", 5],
    ["2", "y", 6],
    [],
    ["Total", None, 11],
    [],
]
AROUND = {
    "titles": (Dialect(skip_lines=3), ["1", "2", "Total"], [5, 6, 8]),
    "titles and totals": (Dialect(skip_lines=3, footer_lines=1), ["1", "2"], [5, 6]),
    "an empty row before the totals": (Dialect(skip_lines=3, footer_lines=2), ["1", "2"], [5, 6]),
    "names in the contract": (
        Dialect(skip_lines=4, footer_lines=1, has_header=False, header=("id", "t", "i")), ["1", "2"], [5, 6]
    ),
    "no header": (Dialect(skip_lines=4, footer_lines=1, has_header=False), ["1", "2"], [5, 6]),
}  # fmt: skip


@pytest.mark.parametrize("around", AROUND.values(), ids=list(AROUND))
@pytest.mark.parametrize("kind", ["xlsx", "ods", "xlsb"])
def test_rows_around_the_table_are_left_out(stages, contract_of, kind: str, around: tuple) -> None:
    dialect, ids, lines = around
    body = {"xlsx": lambda: table(TITLED), "ods": lambda: ods({"S": TITLED}), "xlsb": lambda: xlsb({"S": TITLED})}[
        kind
    ]()
    contract = replace(contract_of(*COLUMNS[:3]), dialect=dialect)
    rows = stages.rows(contract, body)
    assert [row["id"] for row in rows] == ids
    assert all(row["_rescued"] is None for row in rows)
    refused = replace(contract, columns=(replace(COLUMNS[0], pattern="none"), *COLUMNS[1:3]))
    rejects = stages.validate(refused, body).rejects
    assert [one.source_line for one in rejects.first] == lines


def test_more_footer_rows_than_records_leave_none(stages, contract_of) -> None:
    contract = replace(contract_of(*COLUMNS[:3]), dialect=Dialect(skip_lines=3, footer_lines=50))
    assert stages.refusal(contract, table(TITLED)).code is Code.NO_ROWS


# Hostile and broken files

GOOD = table([["id", "t"], ["1", "x"]])
OLE = (RESOURCES / "things.xls").read_bytes()


def ole_with(name: str) -> bytes:
    """The .xls file with another name of its stream: 64 bytes of the directory's entry, and the length in bytes."""
    at = OLE.index("Workbook".encode("utf-16-le"))
    data = (name + "\0").encode("utf-16-le")
    return OLE[:at] + data.ljust(64, b"\0") + struct.pack("<H", len(data)) + OLE[at + 66 :]


def broken_sheet(*changes: tuple[str, str]) -> bytes:
    def change(xml: str) -> str:
        for old, new in changes:
            assert old in xml
            xml = xml.replace(old, new)
        return xml

    return rewritten(GOOD, "xl/worksheets/sheet1.xml", change)


ENTITY = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
BROKEN: dict[str, tuple[bytes, Code]] = {
    "cut-zip": (GOOD[:-30], Code.UNREADABLE_FILE),
    "half": (GOOD[: len(GOOD) // 2], Code.UNREADABLE_FILE),
    "four-bytes": (GOOD[:4], Code.UNREADABLE_FILE),
    "broken-xml": (broken_sheet(("</row>", "")), Code.UNREADABLE_FILE),
    "doctype": (broken_sheet(("<worksheet", ENTITY + "<worksheet")), Code.UNREADABLE_FILE),
    "cells-out-of-order": (broken_sheet(('r="B2"', 'r="A2"')), Code.UNREADABLE_FILE),
    "rows-out-of-order": (broken_sheet(('<row r="2"', '<row r="1"')), Code.UNREADABLE_FILE),
    "foreign-reference": (broken_sheet(('r="B2"', 'r="B9"')), Code.UNREADABLE_FILE),
    "row-beyond-excel": (
        broken_sheet(('<row r="2"', '<row r="9999999"'), ('"A2"', '"A9999999"'), ('"B2"', '"B9999999"')),
        Code.UNREADABLE_FILE,
    ),
    "column-beyond-excel": (broken_sheet(('"B2"', '"ZZZ2"')), Code.UNREADABLE_FILE),
    "sparse": (broken_sheet(('<row r="2"', '<row r="1048576"'), ('"A2"', '"A1048576"'), ('"B2"', '"XFD1048576"')),
               Code.TOO_LARGE),
    "sheet-missing": (rewritten(GOOD, "xl/_rels/workbook.xml.rels", lambda xml: xml.replace("sheet1", "sheet7")),
                      Code.UNREADABLE_FILE),
    "shared-text-missing": (broken_sheet(('t="inlineStr"><is><t xml:space="preserve">x</t></is>', 't="s"><v>7</v>')),
                            Code.UNREADABLE_FILE),
    "cut-ole": (OLE[:700], Code.UNREADABLE_FILE),
    "ole-of-zeros": (OLE[:8] + bytes(600), Code.UNREADABLE_FILE),
    "cut-xls": (OLE[:2048], Code.UNREADABLE_FILE),
    "powerpoint": (ole_with("PowerPoint Document"), Code.UNSUPPORTED_WORKBOOK),
    "word": (ole_with("WordDocument"), Code.UNSUPPORTED_WORKBOOK),
    "plain-zip": (zipped({"a.csv": "id\n1\n"}), Code.UNKNOWN_FORMAT),
    "docx": (zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": "<w/>"}), Code.UNKNOWN_FORMAT),
}  # fmt: skip


@pytest.mark.parametrize(("body", "code"), BROKEN.values(), ids=list(BROKEN))
def test_broken_workbooks_are_refused(stages, contract, body: bytes, code: Code) -> None:
    assert stages.refusal(contract, body).code is code


def encrypted_zip() -> bytes:
    """The workbook with the flag of encryption on every part, in both headers."""
    body = bytearray(GOOD)
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = 0
        while (start := body.find(magic, start)) >= 0:
            body[start + at] |= 1
            start += 4
    return bytes(body)


def test_encrypted_workbooks_are_refused(stages, contract) -> None:
    for body in (encrypted_zip(), ole_with("EncryptedPackage"), protected_xls()):
        refusal = stages.refusal(contract, body)
        assert (refusal.code, "encrypted" in refusal.message) == (Code.UNSUPPORTED_WORKBOOK, True)


@pytest.mark.parametrize("at", [48, 534, 668, 911, 1601, 1609, 5369])
def test_a_damaged_byte_of_xls_is_refused_without_names_of_python(stages, contract, at: int) -> None:
    """xlrd raises AssertionError, KeyError, LookupError, struct.error and others, most of them without a text."""
    refusal = stages.refusal(contract, OLE[:at] + b"\xff" + OLE[at + 1 :])
    assert refusal.code is Code.UNREADABLE_FILE
    assert not re.search(r"Error|: \.|unpack|index|\d{2}'", refusal.message), refusal.message


def protected_xls() -> bytes:
    """The .xls file with the record FILEPASS in the place of the first record behind BOF that is long enough."""
    at = OLE.index(b"\x09\x08\x10\x00") + 20
    while struct.unpack_from("<H", OLE, at + 2)[0] < 6:
        at += 4 + struct.unpack_from("<H", OLE, at + 2)[0]
    return OLE[:at] + struct.pack("<H", 0x2F) + OLE[at + 2 :]


def test_a_bomb_is_refused_before_it_is_expanded(stages, contract) -> None:
    bomb = xlsx({"S": sheet_xml([["id"], ["1"]])}, parts={"xl/media/image.bin": bytes(2_000_000)})
    settings = IngestSettings(max_expansion_ratio=10, expansion_free_bytes=100_000)
    assert stages.refusal(contract, bomb, settings).code is Code.TOO_LARGE


def test_a_part_that_is_larger_than_the_archive_says_is_refused(stages, contract) -> None:
    body = bytearray(GOOD)
    at = body.find(b"PK\x01\x02", body.find(b"PK\x01\x02") + 4 * 46)
    struct.pack_into("<I", body, at + 24, 3)
    refusal = stages.refusal(contract, bytes(body))
    assert refusal.code is Code.UNREADABLE_FILE


def test_one_long_text_in_many_cells_is_refused(stages, contract, monkeypatch) -> None:
    """Each cell would get a copy of the shared text."""
    monkeypatch.setattr(sheet_scan, "MOST_BYTES", 1_000_000)
    strings = f'<sst xmlns="x"><si><t>{"x" * 30_000}</t></si></sst>'
    rows = [["id", "t"], *([str(at), '<c {r} t="s"><v>0</v></c>'] for at in range(100))]
    body = xlsx({"S": sheet_xml(rows)}, parts={"xl/sharedStrings.xml": strings})
    assert stages.refusal(contract, body).code is Code.TOO_LARGE


@pytest.mark.parametrize("number", ["1e9", "-1e9", "1e300"])
@pytest.mark.parametrize("row", [0, 1], ids=["header", "record"])
def test_a_duration_beyond_all_days_refuses_the_file(stages, contract_of, number: str, row: int) -> None:
    rows = [["id", "t"], ["1", "a"]]
    rows[row][1] = f'<c {{r}} s="4"><v>{number}</v></c>'
    refusal = stages.refusal(contract_of(*COLUMNS[:2]), table(rows))
    assert (refusal.code, "duration" in refusal.message) == (Code.UNREADABLE_FILE, True)


def test_formulas_of_xlsb_have_their_values(stages, contract) -> None:
    rows = [["id", "t", "i"], ["1", Formula("text"), Formula(3)], ["2", Formula("#REF!"), Formula(4)]]
    validated = stages.validate(contract, xlsb({"S": rows}))
    assert [(one.source_line, one.column, one.code) for one in validated.rejects.first] == [(3, "t", Code.ERROR_CELL)]
    assert [(row["t"], row["i"]) for row in stages.processed(contract, validated)] == [("text", 3)]


def test_a_moment_without_time_fits_date_and_timestamp_columns(stages, contract_of) -> None:
    columns = (COLUMNS[0], Column("d", ColumnType.DATE), Column("ts", ColumnType.TIMESTAMP),
               Column("tz", ColumnType.TIMESTAMPTZ))  # fmt: skip
    midnight = datetime.combine(DAY, time())
    cell = '<c {r} s="2"><v>46024</v></c>'
    (row,) = stages.rows(contract_of(*columns), table([["id", "d", "ts", "tz"], ["1", cell, DAY, cell]]))
    assert (row["d"], row["ts"], row["tz"].replace(tzinfo=None)) == (DAY, midnight, midnight)

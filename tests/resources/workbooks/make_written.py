# ruff: noqa: DTZ001 - workbooks have no zones
"""Wrote written_*.xlsx and written_*.ods of this folder, with the libraries that programs export workbooks with.

In an environment of its own, as the project does not need all of them: `python3 -m venv /tmp/written`,
`/tmp/written/bin/pip install openpyxl==3.1.5 xlsxwriter==3.3.1 odfpy==1.4.1`, `/tmp/written/bin/python
make_written.py`.
"""

from datetime import date, datetime
from pathlib import Path

import openpyxl
import xlsxwriter
from odf import opendocument, table, text

HERE = Path(__file__).parent
HEADER = ["id", "t", "i", "n", "d", "ts", "b"]
# The rows of `tests/unit/ingestion/test_workbooks.py`.
ROWS = [
    ["1", "plain", 12, 12.5, date(2026, 1, 2), datetime(2026, 1, 2, 3, 4, 5), True],
    ["0012", "0012", -7, 0.1, date(1999, 12, 31), datetime(1999, 12, 31, 23, 59, 59), False],
    ["3", None, None, None, None, None, None],
]


def with_openpyxl():
    book = openpyxl.Workbook()
    sheet = book.active
    for row in [HEADER, *ROWS]:
        sheet.append(row)
    # As a program writes it that does not calculate: no result is stored.
    sheet.append(["formula", None, "=1+1"])
    sheet.append(["error", "=1/0", 1])
    book.save(HERE / "written_openpyxl.xlsx")


def with_xlsxwriter():
    with xlsxwriter.Workbook(HERE / "written_xlsxwriter.xlsx") as book:
        sheet = book.add_worksheet("Things")
        styles = {
            date: book.add_format({"num_format": "dd.mm.yyyy"}),
            datetime: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
        }
        for at, row in enumerate([HEADER, *ROWS]):
            for column, value in enumerate(row):
                if isinstance(value, str):
                    sheet.write_string(at, column, value)
                elif value is not None:
                    sheet.write(at, column, value, styles.get(type(value)))
        # It stores 0 and asks for a recalculation when the file is opened.
        sheet.write_row(len(ROWS) + 1, 0, ["formula", None])
        sheet.write_formula(len(ROWS) + 1, 2, "=1+1")


def with_odfpy():
    document = opendocument.OpenDocumentSpreadsheet()
    sheet = table.Table(name="Things")
    for row in [HEADER, *ROWS]:
        line = table.TableRow()
        for value in row:
            line.addElement(ods_cell(value))
        sheet.addElement(line)
    document.spreadsheet.addElement(sheet)
    document.save(HERE / "written_odfpy.ods")


def ods_cell(value):
    match value:
        case None:
            return table.TableCell()
        case bool():
            return table.TableCell(valuetype="boolean", booleanvalue=str(value).lower())
        case int() | float():
            return table.TableCell(valuetype="float", value=value)
        case date():
            return table.TableCell(valuetype="date", datevalue=value.isoformat())
    cell = table.TableCell(valuetype="string")
    cell.addElement(text.P(text=value))
    return cell


with_openpyxl()
with_xlsxwriter()
with_odfpy()

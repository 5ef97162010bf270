# ruff: noqa: DTZ001 - workbooks have no zones
"""Wrote the .xls files of this folder, with xlwt 1.3.0 in an environment of its own: the project does not need it.

python3 -m venv /tmp/xls && /tmp/xls/bin/pip install xlwt==1.3.0 && /tmp/xls/bin/python make_xls.py
"""

from datetime import date, datetime, time
from pathlib import Path

import xlwt

HERE = Path(__file__).parent
STYLES = {
    date: xlwt.easyxf(num_format_str="YYYY-MM-DD"),
    datetime: xlwt.easyxf(num_format_str="YYYY-MM-DD HH:MM:SS"),
    time: xlwt.easyxf(num_format_str="HH:MM:SS"),
}


def write(name, sheets, hidden=()):
    book = xlwt.Workbook()
    for title, rows in sheets.items():
        sheet = book.add_sheet(title)
        sheet.visibility = 1 if title in hidden else 0
        for at, row in enumerate(rows):
            for column, value in enumerate(row):
                if isinstance(value, str) and value.startswith("#"):
                    sheet.row(at).set_cell_error(column, {"#N/A": 0x2A, "#DIV/0!": 0x07}[value])
                elif isinstance(value, tuple):
                    sheet.write(at, column, value[0], STYLES[date])
                elif value is not None:
                    sheet.write(at, column, value, STYLES.get(type(value), xlwt.Style.default_style))
    book.save(str(HERE / name))


# The rows of `tests/unit/ingestion/test_workbooks.py`, from the header in row 3 on.
write(
    "things.xls",
    {
        "Notes": [["hidden"]],
        "Things": [
            [],
            [],
            ["id", "t", "i", "n", "d", "ts", "b"],
            ["1", "plain", 12, 12.5, date(2026, 1, 2), datetime(2026, 1, 2, 3, 4, 5), True],
            ["0012", "0012", -7, 0.1, date(1999, 12, 31), datetime(1999, 12, 31, 23, 59, 59), False],
            [],
            ["3", None, None, None, None, None, None],
        ],
    },
    hidden=["Notes"],
)
write(
    "faults.xls",
    {
        "Things": [
            ["id", "t", "i", "n", "d"],
            ["1", "good", 1, 1, date(2026, 1, 2)],
            ["2", "#N/A", 1, 1, date(2026, 1, 2)],
            ["3", "t", "#DIV/0!", 1, date(2026, 1, 2)],
            ["4", "t", xlwt.Formula("1+1"), 1, date(2026, 1, 2)],
            ["5", "t", 1, 1, 46024],
            ["6", "t", 1, 1, (60,)],
            ["7", "t", 1, 1, (-5,)],
            ["8", "t", 1e17, 1, date(2026, 1, 2)],
        ]
    },
)
write("two_sheets.xls", {"North": [["id"], ["1"]], "South": [["id"], ["2"]]})

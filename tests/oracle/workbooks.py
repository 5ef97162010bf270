"""Reads workbooks of .xlsx: one sheet, as records.

What belongs here: what the case generator writes. What does not: damage, which `readers` refuses.
"""

from __future__ import annotations

import io
import zipfile
from datetime import date, timedelta
from decimal import Decimal
from itertools import zip_longest
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from include.errors import Code
from tests.oracle.documents import Number, Text
from tests.oracle.records import Record, Source
from tests.oracle.verdict import FileRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.contracts.model import Contract

ZIP = b"PK\x03\x04"
_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_DATE_STYLE = "1"
_DAY_0 = date(1899, 12, 30)


def of_sheet(rows: list[tuple[int, list[str]]], contract: Contract) -> Source:
    """Rows of a workbook count as those of CSV; their lines are their numbers in Excel."""
    dialect = contract.dialect
    last = rows[-1][0] - dialect.footer_lines if rows else 0
    others = [(line, row) for line, row in rows if line > dialect.skip_lines]
    if dialect.has_header:
        if not others:
            raise FileRefused(Code.NO_ROWS)
        (_, header), *others = others
    else:
        header = list(dialect.header or [column.name for column in contract.source_columns])
        header += [""] * (len(rows[0][1]) - len(header) if rows else 0)
    if dialect.footer_lines:
        others = [(line, row) for line, row in others if line <= last]
    used = [at for at, name in enumerate(header) if name or any(row[at : at + 1] != [""] for _, row in others)]
    header, others = (
        [header[at] for at in used],
        [(line, [row[at] for at in used if at < len(row)]) for line, row in others],
    )
    # A sheet may have fewer columns than the contract has names.
    nulls = dialect.null_values
    rows = [(line, ["" if cell in nulls and type(cell) is str else cell for cell in row]) for line, row in others]
    found = [Record(at, line, dict(zip_longest(header, row, fillvalue=""))) for at, (line, row) in enumerate(rows, 1)]
    return Source(tuple(header), tuple(found), is_table=True)


def sheet_rows(content: bytes, wanted: str | None) -> Iterator[tuple[int, list[str]]]:
    """The rows of the wanted sheet that are not empty: the number in Excel, and the texts of the cells.

    Raises:
        FileRefused: it is unclear which sheet is wanted.
        zipfile.BadZipFile: the file is cut off.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        root = ET.fromstring(archive.read(f"xl/{_part(archive, wanted)}"))
    rows = {
        int(row.attrib["r"]): {_at(cell.attrib["r"]): _text(cell) for cell in row} for row in root.iter(f"{_SHEET}row")
    }
    width = max((at + 1 for cells in rows.values() for at in cells), default=0)
    for number, cells in rows.items():
        if any(cells.values()):
            yield number, [cells.get(at, "") for at in range(width)]


def _part(archive: zipfile.ZipFile, wanted: str | None) -> str:
    """The part with the sheet of that name in any case, or with the only visible one."""
    sheets = list(ET.fromstring(archive.read("xl/workbook.xml")).iter(f"{_SHEET}sheet"))
    if wanted is None:
        found = [sheet for sheet in sheets if sheet.attrib.get("state", "visible") == "visible"]
    else:
        found = [sheet for sheet in sheets if sheet.attrib["name"].casefold() == wanted.casefold()]
    if len(found) != 1:
        raise FileRefused(Code.UNCLEAR_SHEET)
    relations = ET.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
    return next(one.attrib["Target"] for one in relations if one.attrib["Id"] == found[0].attrib[_RELATION])


def _at(reference: str) -> int:
    letters = [ord(letter) - ord("A") + 1 for letter in reference if letter.isalpha()]
    return int(sum(value * 26**power for power, value in enumerate(reversed(letters)))) - 1


def _text(cell: ET.Element) -> str:
    value = cell.findtext(f"{_SHEET}v")
    if value is None:
        return "".join(cell.itertext())
    if cell.attrib.get("s") == _DATE_STYLE:
        # It is a text in a JSON column, too.
        return Text((_DAY_0 + timedelta(days=int(value))).isoformat())
    return Number(format(Decimal(value).normalize(), "f"))

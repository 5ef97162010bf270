"""Scans the XML of a sheet of .xlsx or .ods for error cells, formulas without a value, and the sheet's extent.

What belongs here: what the XML says about cells. What does not: their values (`workbook`), the ZIP file around it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.errors import Code
from include.ingestion.readers.sheet_scan import SheetFault, SheetScan, unreadable
from include.ingestion.readers.workbook_zip import first_of, parser, relations

if TYPE_CHECKING:
    import zipfile

_ERROR_SHOWN = re.compile(r"#(DIV/0!|N/A|NAME\?|NULL!|NUM!|REF!|VALUE!)|Err:\d+")
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_TRUE = {"1", "true", "on"}


def scan_xlsx(archive: zipfile.ZipFile, workbook: str, sheet: str) -> SheetScan:
    """Scan a sheet of .xlsx.

    Raises:
        FileRefusedError: the sheet is not there, broken, or too large to be read.
    """
    book = _Workbook()
    with archive.open(workbook) as stream:
        parser(book.start).parse(stream)
    if book.names.count(sheet) != 1:
        raise unreadable(f"it has {book.names.count(sheet)} sheets of the name '{sheet}'")
    _, part = relations(archive, workbook).get(book.ids[book.names.index(sheet)], ("", ""))
    if part not in archive.namelist():
        raise unreadable(f"the part of the sheet '{sheet}' is missing")
    strings = first_of(archive, workbook, "sharedStrings")
    scanner = _XlsxScanner(book, _lengths(archive, strings) if strings else [])
    with archive.open(part) as stream:
        scanner.parser.parse(stream)
    return scanner.scan


@dataclass
class _Workbook:
    """What the workbook's own part says."""

    names: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    from_1904: bool = False
    recalculates: bool = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "sheet":
            self.names.append(attributes.get("name", ""))
            self.ids.append(next((value for key, value in attributes.items() if key.rpartition(":")[2] == "id"), ""))
        elif name == "workbookPr":
            self.from_1904 = attributes.get("date1904") in _TRUE
        elif name == "calcPr":
            self.recalculates = attributes.get("fullCalcOnLoad") in _TRUE


def _lengths(archive: zipfile.ZipFile, part: str) -> list[int]:
    """The length of each shared text."""
    lengths: list[int] = []

    def start(name: str, _: dict[str, str]) -> None:
        if name == "si":
            lengths.append(0)
        made.expat.CharacterDataHandler = add if name == "t" else None

    def end(_: str) -> None:
        made.expat.CharacterDataHandler = None

    def add(text: str) -> None:
        if lengths:
            lengths[-1] += len(text)

    made = parser(start, end)
    with archive.open(part) as stream:
        made.parse(stream)
    return lengths


class _XlsxScanner:
    """Handles the elements of a sheet. Rows and cells are in ascending order, else the sheet is refused."""

    def __init__(self, book: _Workbook, lengths: list[int]) -> None:
        self.scan = SheetScan()
        self.parser = parser(self._start, self._end)
        self._expat = self.parser.expat
        self._book, self._lengths = book, lengths
        self._row, self._column = -1, -1
        self._cell: dict[str, str] = {}
        self._value: str | None = None
        self._has_formula = self._is_inline = False

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        match name:
            case "c":
                self._cell, self._value = attributes, None
                self._has_formula = self._is_inline = False
            case "v":
                self._value = ""
                self._expat.CharacterDataHandler = self._text
            case "f":
                self._has_formula = True
            case "is":
                self._is_inline = True
            case "row":
                number = attributes.get("r")
                row = self._row + 1 if number is None else _number(number) - 1
                if row <= self._row:
                    raise unreadable(f"row {row + 1} is not behind row {self._row + 1}")
                self._row, self._column = row, -1

    def _text(self, text: str) -> None:
        self._value = (self._value or "") + text

    def _end(self, name: str) -> None:
        if name == "v":
            self._expat.CharacterDataHandler = None
        elif name == "c":
            self._find_column()
            self._end_of_cell()

    def _find_column(self) -> None:
        """The cell's column, by its reference; without one it follows the cell before."""
        reference = self._cell.get("r")
        column = self._column + 1
        if reference is not None:
            found = _REFERENCE.fullmatch(reference)
            if found is None or int(found[2]) != self._row + 1:
                raise unreadable(f"row {self._row + 1} has a cell '{reference[:20]}'")
            column = 0
            for letter in found[1]:
                column = column * 26 + ord(letter) - ord("A") + 1
            column -= 1
        if column <= self._column:
            raise unreadable(f"the cells of row {self._row + 1} are not in order")
        self._column = column

    def _end_of_cell(self) -> None:
        kind, value = self._cell.get("t", "n"), self._value
        if value is None and not self._has_formula and not self._is_inline:
            return
        length = self._length(value) if kind == "s" and value else 0
        self.scan.cell(self._row, self._column, length)
        if kind == "e":
            self._fault(Code.ERROR_CELL, value or "an error")
        elif self._has_formula and self._is_uncalculated(kind, value):
            self._fault(Code.UNCALCULATED_FORMULA, "")
        elif kind == "n" and value and (value[0] in "-6" or self._book.from_1904) and self._cell.get("s", "0") != "0":
            self.scan.note_number(self._row, self._column, _float(value), from_1904=self._book.from_1904)

    def _length(self, index: str) -> int:
        try:
            return self._lengths[int(index)]
        except (ValueError, IndexError) as error:
            raise unreadable(f"the text {index[:20]} of row {self._row + 1} is not there") from error

    def _is_uncalculated(self, kind: str, value: str | None) -> bool:
        """Whether a formula has no value. A program that does not calculate writes none, or 0 and asks Excel to do it.

        An empty text is the value of a formula of type `str`.
        """
        if kind == "str":
            return value is None
        if not (value or "").strip():
            return True
        return kind == "n" and self._book.recalculates and _float(value or "") == 0

    def _fault(self, code: Code, shown: str) -> None:
        self.scan.fault(self._row, self._column, SheetFault(code, shown[:40]))


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 7 or int(text) < 1:
        raise unreadable(f"it has a row or a repetition of number '{text[:20]}'")
    return int(text)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise unreadable(f"'{text[:20]}' is no number") from error


def scan_ods(archive: zipfile.ZipFile, sheet: str) -> SheetScan:
    """Scan a sheet of .ods.

    Raises:
        FileRefusedError: the sheet is not there, broken, or too large to be read.
    """
    scanner = _OdsScanner(sheet)
    with archive.open("content.xml") as stream:
        scanner.parser.parse(stream)
    if scanner.found != 1:
        raise unreadable(f"it has {scanner.found} sheets of the name '{sheet}'")
    return scanner.scan


class _OdsScanner:
    """Handles the elements of one sheet. Rows and cells may be repeated."""

    def __init__(self, sheet: str) -> None:
        self.scan = SheetScan()
        self.found = 0
        self.parser = parser(self._start, self._end)
        self._expat = self.parser.expat
        self._sheet = sheet
        self._is_sheet = self._in_cell = False
        self._skipped = 0  # depth of comments and other objects inside a cell, whose text is not the cell's
        self._row = self._column = self._rows = 0
        self._cell: dict[str, str] = {}
        self._text: list[str] = []
        self._respelled = False

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "table" and not self._in_cell:
            given = _local(attributes)
            self._is_sheet = given.get("name") == self._sheet
            self.found += self._is_sheet
            self._row = 0
        elif not self._is_sheet:
            return
        elif self._skipped or (self._in_cell and name not in {"p", "s", "tab", "line-break", "span", "a"}):
            self._skipped += 1
        elif name == "table-row":
            self._rows, self._column = _repeated(_local(attributes), "number-rows-repeated"), 0
        elif name in {"table-cell", "covered-table-cell"}:
            self._cell, self._text, self._respelled = _local(attributes), [], False
            self._in_cell = True
            self._expat.CharacterDataHandler = self._add
        elif self._in_cell:
            self._inside(name, _local(attributes))

    def _inside(self, name: str, attributes: dict[str, str]) -> None:
        if name == "p":
            self._text.append("\n" if self._text else "")
        elif name == "s":
            self._text.append(" " * _repeated(attributes, "c"))
        elif name in {"tab", "line-break"}:
            # The library leaves these out.
            self._text.append("\t" if name == "tab" else "\n")
            self._respelled = True

    def _add(self, text: str) -> None:
        if not self._skipped:
            self._text.append(text)

    def _end(self, name: str) -> None:
        if not self._is_sheet:
            return
        if self._skipped:
            self._skipped -= 1
        elif name in {"table-cell", "covered-table-cell"}:
            self._expat.CharacterDataHandler = None
            self._in_cell = False
            self._end_of_cell()
        elif name == "table-row":
            self._row += self._rows
        elif name == "table" and not self._in_cell:
            self._is_sheet = False

    def _end_of_cell(self) -> None:
        columns = _repeated(self._cell, "number-columns-repeated")
        at, self._column = self._column, self._column + columns
        kind, text = self._cell.get("value-type"), "".join(self._text)
        has_formula = "formula" in self._cell
        if kind is None and not has_formula and not text:
            return
        self.scan.cell(self._row, at, len(text), rows=self._rows, columns=columns)
        fault: SheetFault | None = None
        if self._cell.get("calcext:value-type") == "error" or (has_formula and _ERROR_SHOWN.fullmatch(text.strip())):
            fault = SheetFault(Code.ERROR_CELL, text.strip()[:40] or "an error")
        elif has_formula and kind is None:
            fault = SheetFault(Code.UNCALCULATED_FORMULA, "")
        if fault is None and not (self._respelled and kind == "string"):
            return
        for row in range(self._row, self._row + self._rows):
            for column in range(at, at + columns):
                if fault is None:
                    self.scan.replace(row, column, text)
                else:
                    self.scan.fault(row, column, fault)


def _local(attributes: dict[str, str]) -> dict[str, str]:
    """Attributes without their prefix, but for LibreOffice's own type of a value."""
    return {
        name if name == "calcext:value-type" else name.rpartition(":")[2]: value for name, value in attributes.items()
    }


def _repeated(attributes: dict[str, Any], name: str) -> int:
    return _number(attributes[name]) if name in attributes else 1

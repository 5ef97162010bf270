"""Scans a sheet of .xlsb or .xls for error cells, formulas without a value, and the sheet's extent.

What belongs here: what the records of the binary formats say about cells ([MS-XLSB], and xlrd for .xls). What does not:
their values (`workbook`).
"""

from __future__ import annotations

import io
import struct
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import xlrd

from include.errors import BROKEN_RULES, Code, reason_of
from include.ingestion.readers.sheet_scan import SheetFault, SheetScan, unreadable
from include.ingestion.readers.workbook_zip import first_of, relations
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator
    from pathlib import Path

_ERRORS = {
    0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!", 0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}  # fmt: skip
# Records of .xlsb.
_ROW, _BLANK, _RK, _ERROR, _BOOLEAN, _REAL, _TEXT, _SHARED_TEXT = range(8)
_FORMULA_TEXT, _FORMULA_NUMBER, _FORMULA_BOOLEAN, _FORMULA_ERROR = range(8, 12)
_RICH_TEXT = 62
_CELLS = {*range(_RK, _FORMULA_ERROR + 1), _RICH_TEXT}
_SHARED_ITEM, _SHEET_DATA_END, _WORKBOOK_PROPERTIES, _SHEET = 19, 146, 153, 156
_CONTINUES = 0x80
_CELL_HEAD = 8  # bytes: the column, and the style in the lower three bytes of the next four
_STYLE = 0xFFFFFF
# .xls is read in memory.
_MOST_XLS_BYTES = 64 * 1024**2
_OLE_KINDS = {
    "WordDocument": "a Word document",
    "PowerPoint Document": "a PowerPoint presentation",
    "__properties_version1.0": "an Outlook message",
}


def scan_xlsb(archive: zipfile.ZipFile, workbook: str, sheet: str) -> SheetScan:
    """Scan a sheet of .xlsb. Its formulas always have a value.

    Raises:
        FileRefusedError: the sheet is not there, broken, or too large to be read.
    """
    from_1904, parts = False, []
    targets = relations(archive, workbook)
    for kind, content in _records(archive, workbook):
        if kind == _WORKBOOK_PROPERTIES:
            from_1904 = bool(content[:1] and content[0] & 1)
        elif kind == _SHEET:
            reference, end = _wide_text(content, 8)
            if _wide_text(content, end)[0] == sheet:
                parts.append(targets.get(reference, ("", ""))[1])
    if len(parts) != 1 or parts[0] not in archive.namelist():
        raise unreadable(f"it has {len(parts)} sheets of the name '{sheet}', or its part is missing")
    strings = first_of(archive, workbook, "sharedStrings")
    lengths = [_unsigned(content, 1) for kind, content in _records(archive, strings) if kind == _SHARED_ITEM] if (
        strings
    ) else []  # fmt: skip
    scan, row, column = SheetScan(), -1, -1
    for kind, content in _records(archive, parts[0]):
        if kind == _ROW:
            if (number := _unsigned(content, 0)) <= row:
                raise unreadable(f"row {number + 1:,} is not behind row {row + 1:,}")
            row, column = number, -1
        elif kind in _CELLS:
            if (number := _unsigned(content, 0)) <= column or row < 0:
                raise unreadable(f"the cells of row {row + 1:,} are not in order")
            column = number
            scan.cell(row, column, _length(content, lengths) if kind == _SHARED_TEXT else 0)
            _scan_cell(scan, (row, column), kind, content, from_1904=from_1904)
        elif kind == _SHEET_DATA_END:
            break
    return scan


def _scan_cell(scan: SheetScan, at: tuple[int, int], kind: int, content: bytes, *, from_1904: bool) -> None:
    if kind in {_ERROR, _FORMULA_ERROR}:
        code = content[_CELL_HEAD] if len(content) > _CELL_HEAD else -1
        scan.fault(*at, SheetFault(Code.ERROR_CELL, _ERRORS.get(code, "an error")))
    elif kind in {_RK, _REAL, _FORMULA_NUMBER} and _unsigned(content, 4) & _STYLE:
        scan.note_number(*at, _number(kind, content), from_1904=from_1904)


def _length(content: bytes, lengths: list[int]) -> int:
    """The length of a cell's shared text."""
    if (index := _unsigned(content, _CELL_HEAD)) >= len(lengths):
        raise unreadable(f"the shared text {index} is not there")
    return lengths[index]


def _number(kind: int, content: bytes) -> float:
    if kind != _RK:
        return float(_unpacked("<d", content, _CELL_HEAD))
    # RkNumber: 30 bits of an integer or of a double, and two flags.
    rk = _unsigned(content, _CELL_HEAD)
    if rk & 2:
        value = float((rk >> 2) - ((rk >> 31) << 30))
    else:
        value = float(struct.unpack("<d", struct.pack("<Q", (rk & 0xFFFFFFFC) << 32))[0])
    return value / 100 if rk & 1 else value


def _records(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[int, bytes]]:
    """The records of a part, each with its type and content."""
    with archive.open(part) as raw, io.BufferedReader(raw, 1024**2) as stream:  # type: ignore[type-var]
        while (kind := _varint(stream, 2)) is not None:
            size = _varint(stream, 4)
            content = stream.read(size or 0)
            if size is None or len(content) < size:
                raise unreadable(f"the part {part} is cut off")
            yield kind, content


def _varint(stream: IO[bytes], most: int) -> int | None:
    """A number of seven bits per byte; None at the end of the part."""
    value = 0
    for at in range(most):
        byte = stream.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << (7 * at)
        if byte[0] < _CONTINUES:
            break
    return value


def _unsigned(content: bytes, at: int) -> int:
    return int(_unpacked("<I", content, at))


def _unpacked(form: str, content: bytes, at: int) -> float:
    try:
        value: float = struct.unpack_from(form, content, at)[0]
    except struct.error as error:
        raise unreadable("one of its records is too short") from error
    return value


def _wide_text(content: bytes, at: int) -> tuple[str, int]:
    """A text of UTF-16 behind its length, and where it ends."""
    length = _unsigned(content, at)
    if length == 0xFFFFFFFF:  # no text
        return "", at + 4
    end = at + 4 + 2 * length
    return content[at + 4 : end].decode("utf-16-le", "replace"), end


def refuse_other_ole(path: Path) -> None:
    """Raise if an OLE file is no workbook of .xls, or an encrypted one.

    Raises:
        FileRefusedError: so it is, or the file is broken.
    """
    with _xlrd_errors():
        names = {entry.name for entry in xlrd.compdoc.CompDoc(_content(path), logfile=io.StringIO()).dirlist}
    if "EncryptedPackage" in names:
        raise FileRefusedError.for_code(Code.UNSUPPORTED_WORKBOOK, "encrypted")
    if not names & {"Workbook", "Book", "WORKBOOK", "BOOK"}:
        kind = next((kind for name, kind in _OLE_KINDS.items() if name in names), "an OLE document")
        raise FileRefusedError.for_code(Code.UNSUPPORTED_WORKBOOK, "no workbook", kind=kind)


def scan_xls(path: Path, sheet: str) -> SheetScan:
    """Scan a sheet of .xls. An empty text of a formula may also be a missing value: it is a fault.

    Raises:
        FileRefusedError: the workbook is broken, encrypted, of an old version, or too large to be read.
    """
    scan = SheetScan()
    with _xlrd_errors():
        book = xlrd.open_workbook(
            file_contents=_content(path), on_demand=True, ragged_rows=True, logfile=io.StringIO(), use_mmap=False
        )
        found = book.sheet_by_name(sheet)
        for row in range(found.nrows):
            values = found.row_values(row)
            for column, kind in enumerate(found.row_types(row)):
                if kind not in {xlrd.XL_CELL_EMPTY, xlrd.XL_CELL_BLANK}:
                    _scan_xls_cell(scan, (row, column), kind, values[column], from_1904=book.datemode == 1)
    return scan


def _scan_xls_cell(scan: SheetScan, at: tuple[int, int], kind: int, value: object, *, from_1904: bool) -> None:
    scan.cell(*at, len(value) if isinstance(value, str) else 0)
    if kind == xlrd.XL_CELL_ERROR:
        scan.fault(*at, SheetFault(Code.ERROR_CELL, _ERRORS.get(int(str(value)), "an error")))
    elif kind == xlrd.XL_CELL_TEXT and not value:
        scan.fault(*at, SheetFault(Code.UNCALCULATED_FORMULA, ""))
    elif kind == xlrd.XL_CELL_DATE and isinstance(value, float):
        scan.note_number(*at, value, from_1904=from_1904)


def _content(path: Path) -> bytes:
    if (size := path.stat().st_size) > _MOST_XLS_BYTES:
        raise FileRefusedError.for_code(Code.TOO_LARGE, "xls", size=size, limit=_MOST_XLS_BYTES)
    return path.read_bytes()


@contextmanager
def _xlrd_errors() -> Iterator[None]:
    """Errors of reading .xls as refusals: xlrd raises errors of many types for broken files."""
    try:
        yield
    except FileRefusedError:
        raise
    except (xlrd.XLRDError, xlrd.compdoc.CompDocError) as error:
        if "encrypted" in str(error).lower():
            raise FileRefusedError.for_code(Code.UNSUPPORTED_WORKBOOK, "encrypted") from error
        raise unreadable(reason_of(error)) from error
    except Exception as error:  # such as an AssertionError; the text of one is about xlrd's own variables
        raise unreadable(BROKEN_RULES) from error

"""Turns one sheet of a workbook into records: a line of JSON for each row, with the number of the row in Excel.

What belongs here: which sheet is taken, and what each kind of cell becomes. What does not: finding errors and missing
values of formulas, which the library that reads the values does not tell (`sheet_xml`, `sheet_binary`).

The header is the first row that is not empty behind the `skipLines` of the contract. The line of an empty row, and of
all rows up to the header, is blank. A cell that the contract keeps and that has no usable value ends with
the mark of `bad_cells`, which has the reason; of the unknown columns of a row, only the first such cell.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson
import python_calamine as calamine

from include.errors import BROKEN_RULES, Code, reason_of, visible
from include.ingestion.bad_cells import MARK, BadCell
from include.ingestion.expansion import allowed_bytes
from include.ingestion.header import map_columns, refuse_nul
from include.ingestion.readers import sheet_binary, sheet_xml
from include.ingestion.readers.sheet_scan import SheetFault, SheetScan, unreadable
from include.ingestion.readers.workbook_zip import first_of, open_parts, verify
from include.ingestion.records import FileFormat, FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.contracts.dialect import Dialect
    from include.contracts.model import Column, Contract
    from include.settings import IngestSettings

_EXACT = 2**53  # from here on a double is not every whole number
_DAY_59 = date(1900, 2, 28)  # also what the library makes of day 60, 29 February 1900, which does not exist


@dataclass
class SheetRecords:
    """The lines of a sheet; `bad_cells` is filled while they are read."""

    lines: Iterator[bytes]
    bad_cells: dict[int, dict[str | None, BadCell]] = field(default_factory=dict)


def zip_workbook(path: Path) -> FileFormat | None:
    """The format of a workbook in a ZIP file; None for any other ZIP file.

    Raises:
        FileRefusedError: the ZIP file is broken.
    """
    with open_parts(path) as archive:
        if _main_part(path, ".xml"):
            return FileFormat.XLSX
        if _main_part(path, ".bin"):
            return FileFormat.XLSB
        names = set(archive.namelist())
        if "mimetype" in names and "content.xml" in names:
            with archive.open("mimetype") as stream:
                is_ods = stream.read(100).strip() == b"application/vnd.oasis.opendocument.spreadsheet"
            return FileFormat.ODS if is_ods else None
    return None


def _main_part(path: Path, ending: str) -> str:
    """The part with the list of sheets; empty if the file has none of that ending."""
    with open_parts(path) as archive:
        part = first_of(archive, "", "officeDocument") or ""
    return part if part.startswith("xl/") and part.endswith(ending) else ""


def sheet_records(path: Path, kind: FileFormat, contract: Contract, settings: IngestSettings) -> SheetRecords:
    """The records of the one sheet that a contract takes.

    Raises:
        FileRefusedError: the workbook is broken, encrypted, or too large, or it is unclear which sheet is meant.
    """
    rows = _Rows(*_sheet(path, kind, contract.dialect.sheet, settings), contract, settings.max_columns)
    records = SheetRecords(iter(()))
    records.lines = rows.lines(records.bad_cells)
    return records


def sheet_header(path: Path, kind: FileFormat, dialect: Dialect, settings: IngestSettings) -> list[str]:
    """The names in the header of a sheet; those of the dialect if the sheet has none.

    Raises:
        FileRefusedError: as `sheet_records`.
    """
    if not dialect.has_header:
        return list(dialect.header)
    return [name for name in _header(*_sheet(path, kind, dialect.sheet, settings), dialect.skip_lines)[1] if name]


def _sheet(
    path: Path, kind: FileFormat, wanted: str | None, settings: IngestSettings
) -> tuple[calamine.CalamineSheet, SheetScan]:
    workbook = _opened(path, kind, settings)
    with _calamine_errors():
        name = _chosen(workbook.sheets_metadata, wanted)
    scan = _scan(path, kind, name)
    with _calamine_errors():
        return workbook.get_sheet_by_name(name), scan


def visible_grids(path: Path, kind: FileFormat, settings: IngestSettings) -> dict[str, list[list[str]]]:
    """The cells of each visible sheet as texts, from its first row on, for looking at a workbook without a contract.

    Raises:
        FileRefusedError: the workbook is broken, encrypted, or too large.
    """
    workbook = _opened(path, kind, settings)
    grids: dict[str, list[list[str]]] = {}
    with _calamine_errors():
        for sheet in workbook.sheets_metadata:
            if sheet.typ == calamine.SheetTypeEnum.WorkSheet and sheet.visible == calamine.SheetVisibleEnum.Visible:
                _scan(path, kind, sheet.name)  # refuses a sheet that does not fit into memory
                rows = workbook.get_sheet_by_name(sheet.name).iter_rows()
                grids[sheet.name] = [[_name(cell) for cell in row] for row in rows]
    return grids


def _opened(path: Path, kind: FileFormat, settings: IngestSettings) -> calamine.CalamineWorkbook:
    if kind is not FileFormat.XLS:
        with open_parts(path) as archive:
            verify(archive, allowed_bytes(path.stat().st_size, settings))
    named = path.with_name(f"workbook.{kind}")  # the library chooses its reader by the ending
    with _calamine_errors():
        named.symlink_to(path.name)
        try:
            return calamine.CalamineWorkbook.from_path(str(named))
        finally:
            named.unlink()


def _scan(path: Path, kind: FileFormat, sheet: str) -> SheetScan:
    if kind is FileFormat.XLS:
        return sheet_binary.scan_xls(path, sheet)
    with open_parts(path) as archive:
        match kind:
            case FileFormat.XLSX:
                return sheet_xml.scan_xlsx(archive, _main_part(path, ".xml"), sheet)
            case FileFormat.XLSB:
                return sheet_binary.scan_xlsb(archive, _main_part(path, ".bin"), sheet)
            case _:
                return sheet_xml.scan_ods(archive, sheet)


def _chosen(sheets: list[calamine.SheetMetadata], wanted: str | None) -> str:
    """The name of the sheet to read: the one that the contract names, or the only visible one."""
    tables = [sheet for sheet in sheets if sheet.typ == calamine.SheetTypeEnum.WorkSheet]
    if wanted is not None:
        # Excel does not distinguish names by case.
        found = [sheet.name for sheet in tables if sheet.name.casefold() == wanted.casefold()]
        if len(found) != 1:
            raise FileRefusedError.for_code(Code.UNCLEAR_SHEET, "missing", sheet=wanted, sheets=_names(tables))
        return found[0]
    shown = [sheet for sheet in tables if sheet.visible == calamine.SheetVisibleEnum.Visible]
    if len(shown) != 1:
        raise FileRefusedError.for_code(
            Code.UNCLEAR_SHEET, "several" if shown else "hidden", sheets=_names(shown or tables)
        )
    return shown[0].name


def _names(sheets: list[calamine.SheetMetadata]) -> str:
    most = 20
    shown = ", ".join(f"'{visible(sheet.name[:60])}'" for sheet in sheets[:most])
    return (shown or "none") + (f" and {len(sheets) - most} more" if len(sheets) > most else "")


def _cells(sheet: calamine.CalamineSheet) -> Iterator[list[Any]]:
    """The rows of a sheet.

    Raises:
        FileRefusedError: a cell cannot be converted.
    """
    with _calamine_errors():
        yield from sheet.iter_rows()


class _Rows:
    """The rows of a sheet with its header, which is the first row that is not empty."""

    def __init__(self, sheet: calamine.CalamineSheet, scan: SheetScan, contract: Contract, max_columns: int) -> None:
        self._sheet, self._scan, self._contract = sheet, scan, contract.of_text_table
        self._first_column = (sheet.start or (0, 0))[1]
        self._header_row, header = self._header(contract.dialect)
        self._footer_row = self._footer(contract.dialect.footer_lines)
        nameless = {at for at, name in enumerate(header) if not name}
        self._positions = [at for at in range(len(header)) if at not in nameless or self._is_used(at)]
        names = [header[at] for at in self._positions]
        refuse_nul(names)
        self._columns = map_columns(names, contract, max_columns)
        self._keeps_unknown = {at for at, _ in self._columns.extra}
        self._shared: dict[BadCell, BadCell] = {}  # equal ones take their memory once: each row may have many

    def _header(self, dialect: Dialect) -> tuple[int, list[str]]:
        """The row of the header, or the one before the records if there is none, and the names of the columns."""
        if not dialect.has_header:
            names = dialect.header or tuple(column.name for column in self._contract.source_columns)
            used = max((len(cells) for cells in _cells(self._sheet)), default=0)
            return dialect.skip_lines - 1, [*names, *("" for _ in range(used - len(names)))]
        return _header(self._sheet, self._scan, dialect.skip_lines)

    def _footer(self, lines: int) -> int | None:
        """The first of the last rows that are no records; None without any. Empty rows behind the last one are none."""
        if not lines:
            return None
        rows = (at for at, cells in enumerate(_cells(self._sheet)) if any(cell != "" for cell in cells))
        last = max([*rows, *self._scan.faults], default=-1)
        return max(last + 1 - lines, self._header_row + 1)

    def _is_used(self, at: int) -> bool:
        column = at + self._first_column
        has_fault = any(column in faults for row, faults in self._scan.faults.items() if row > self._header_row)
        rows = islice(_cells(self._sheet), self._header_row + 1, self._footer_row)
        return has_fault or any(at < len(cells) and cells[at] != "" for cells in rows)

    def lines(self, bad_cells: dict[int, dict[str | None, BadCell]]) -> Iterator[bytes]:
        """A line for each row of the sheet, blank for an empty one; the reasons of bad cells go to `bad_cells`."""
        yield b"\n" * (self._header_row + 1)  # the rows up to the header
        number = 0
        for row, cells in enumerate(_cells(self._sheet)):
            if row <= self._header_row:
                continue
            if self._footer_row is not None and row >= self._footer_row:
                return
            faults = self._scan.faults.get(row, {})
            if not faults and not any(cell != "" for cell in cells):
                yield b"\n"
                continue
            number += 1
            record = _Record(self._scan, row, faults, self._contract.dialect.null_values)
            members: dict[str, Any] = {}
            for at, (position, name, own) in enumerate(
                zip(self._positions, self._columns.given, self._columns.names, strict=True)
            ):
                column = None if own is None else self._contract.by_name[own]
                value = cells[position] if position < len(cells) else ""  # the sheet may have fewer columns than names
                cell = record.member(value, position + self._first_column, column)
                if isinstance(cell, SheetFault):
                    members[name] = cell.shown
                    is_kept = own is not None or (at in self._keeps_unknown and cell.code is not Code.ERROR_CELL)
                    if is_kept and own not in bad_cells.get(number, {}):
                        members[name] += MARK
                        found = BadCell(cell.code, name, cell.shown if own is None else None)
                        bad_cells.setdefault(number, {})[own] = self._shared.setdefault(found, found)
                else:
                    members[name] = cell
            yield orjson.dumps(members) + b"\n"


def _header(sheet: calamine.CalamineSheet, scan: SheetScan, skipped: int) -> tuple[int, list[str]]:
    """The first row behind `skipped` ones that is not empty: its number, and its cells as names."""
    for row, cells in enumerate(_cells(sheet)):
        if row < skipped:
            continue
        faults = scan.faults.get(row, {})
        if faults or any(cell != "" for cell in cells):
            if faults:
                column, fault = next(iter(sorted(faults.items())))
                where = f"the cell of row {row + 1:,}, column {column + 1} holds {fault.shown or 'no value'}"
                raise FileRefusedError.for_code(Code.UNREADABLE_FILE, "header", reason=f"{where}.")
            first = (sheet.start or (0, 0))[1]
            return row, [_name(scan.texts.get((row, at + first), cell)) for at, cell in enumerate(cells)]
    raise FileRefusedError.for_code(Code.NO_ROWS)


def _name(value: Any) -> str:
    text = _text(value, None)
    return "" if text is None or isinstance(text, SheetFault) else text


@dataclass(frozen=True)
class _Record:
    """A row that is being read."""

    scan: SheetScan
    row: int
    faults: dict[int, SheetFault]
    null_values: tuple[str, ...]

    def member(self, value: Any, at: int, column: Column | None) -> Any:
        """The member of the record for a cell, or why it has none."""
        if (fault := self.faults.get(at)) is not None:
            return fault
        if self.scan.texts and (text := self.scan.texts.get((self.row, at))) is not None:
            value = text
        if value == "" or (isinstance(value, str) and value in self.null_values):
            return None
        if self._is_no_moment(value, at):
            return SheetFault(_date_code(column), str(value))
        is_moment = column is not None and column.type.is_temporal and not column.formats
        if is_moment and isinstance(value, int | float):
            return SheetFault(_date_code(column), _shown(value))
        if column is not None and column.type.is_document:
            return _document(value)
        return _text(value, column)

    def _is_no_moment(self, value: Any, at: int) -> bool:
        """Whether the library made a date or time of a number that is none in Excel."""
        if not isinstance(value, date | time) or not self.scan.is_unusual(self.row, at):
            return False
        return isinstance(value, time) or (value.date() if isinstance(value, datetime) else value) == _DAY_59


def _date_code(column: Column | None) -> Code:
    return Code.BAD_TIMESTAMP if column is not None and column.type.has_time else Code.BAD_DATE


def _document(value: Any) -> str | SheetFault | None:
    """The text of a cell of a JSON column: JSON, which for dates, times and durations is a text."""
    text = _text(value, None)
    is_json = isinstance(value, str | bool | int | float)
    return text if is_json or not isinstance(text, str) else orjson.dumps(text).decode()


def _text(value: Any, column: Column | None) -> str | SheetFault | None:
    """The text that CSV would hold for a cell."""
    match value:
        case "":
            return None
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return _number(value, column)
        case datetime():
            is_day = (
                column is not None and column.type.is_temporal and not column.type.has_time and value.time() == time()
            )
            return value.date().isoformat() if is_day else value.isoformat()
        case timedelta():
            return _duration(value)
        case _:
            return str(value.isoformat())


def _number(value: float, column: Column | None) -> str | SheetFault:
    is_double = column is not None and column.type.is_double
    if not math.isfinite(value):
        return SheetFault(Code.INEXACT_NUMBER, repr(value))
    if abs(value) >= _EXACT and not is_double:
        return SheetFault(Code.INEXACT_NUMBER, _shown(value))
    # In a column of numbers a number is written as the texts there are: the dialect may have a comma.
    return (
        _shown(value).replace(".", column.numbers.decimal)
        if column is not None and column.type.is_number
        else _shown(value)
    )


def _shown(value: float) -> str:
    """A number in full: 12 and not 12.0, 0.0000001 and not 1e-07."""
    if isinstance(value, int) or (value.is_integer() and abs(value) < _EXACT):
        return str(int(value))
    text = repr(value)
    return format(Decimal(text), "f") if "e" in text and math.isfinite(value) else text


def _duration(value: timedelta) -> str:
    """Hours, minutes and seconds with their fraction, as for a duration of Parquet."""
    seconds, micro = divmod(abs(value) // timedelta(microseconds=1), 10**6)
    minutes, second = divmod(seconds, 60)
    fraction = f".{micro:06}".rstrip("0") if micro else ""
    return f"{'-' if value < timedelta() else ''}{minutes // 60:02}:{minutes % 60:02}:{second:02}{fraction}"


@contextmanager
def _calamine_errors() -> Iterator[None]:
    """Errors of the library as refusals; a panic of its Rust code is no `Exception`."""
    try:
        yield
    except calamine.PasswordError as error:
        raise FileRefusedError.for_code(Code.UNSUPPORTED_WORKBOOK, "encrypted") from error
    except FileRefusedError:
        raise
    except OverflowError as error:
        raise unreadable("a cell with the format of a duration holds a number of too many days") from error
    except Exception as error:
        raise unreadable(reason_of(error)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise unreadable(BROKEN_RULES) from error

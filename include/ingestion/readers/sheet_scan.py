"""What a scan of a sheet's own data finds, which the library that reads its values does not tell.

What belongs here: the findings, and limits on them. What does not: reading a format (`sheet_xml`, `sheet_binary`), and
which findings refuse a row (`workbook`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import NamedTuple

from include.errors import Code
from include.ingestion.expansion import too_large
from include.ingestion.records import FileRefusedError

# A workbook is read in memory: its parts, expanded, and then a grid of all cells up to the last row and column.
MOST_BYTES = 512 * 1024**2
_MOST_CELLS = 2**24
_MOST_FAULTS = 200_000
_COLUMN_BITS = 14  # a sheet has at most 16,384 columns and 1,048,576 rows
MOST_COLUMNS, MOST_ROWS = 2**_COLUMN_BITS, 2**20
NO_DAY = (60.0, 61.0)  # 29 February 1900, which Excel counts and no calendar has


class SheetFault(NamedTuple):
    """Why a cell cannot be used, and what it shows."""

    code: Code
    shown: str


@dataclass
class SheetScan:
    """The findings by row and column, each counted from 0.

    `faults` are cells without a usable value, by row. `texts` are values that differ from those of the library.
    `unusual` are the positions, in ascending order, of numbers that are no date even where a format makes them one.
    """

    faults: dict[int, dict[int, SheetFault]] = field(default_factory=dict)
    texts: dict[tuple[int, int], str] = field(default_factory=dict)
    unusual: array[int] = field(default_factory=lambda: array("Q"))
    rows: int = 0
    columns: int = 0
    characters: int = 0
    _found: int = 0

    def cell(self, row: int, column: int, characters: int = 0, *, rows: int = 1, columns: int = 1) -> None:
        """Note a cell with a value, or many equal ones, and the length of its text.

        Raises:
            FileRefusedError: the grid up to this cell, or the texts together, do not fit into memory.
        """
        self.rows, self.columns = max(self.rows, row + rows), max(self.columns, column + columns)
        self.characters += characters * rows * columns
        if self.rows > MOST_ROWS or self.columns > MOST_COLUMNS:
            raise unreadable(f"a cell is in row {row + rows:,}, column {column + columns:,}, beyond any sheet")
        if self.rows * self.columns > _MOST_CELLS:
            raise FileRefusedError.for_code(Code.TOO_LARGE, "sheet", rows=self.rows, columns=self.columns)
        if self.characters > MOST_BYTES:
            raise too_large(MOST_BYTES)

    def fault(self, row: int, column: int, fault: SheetFault) -> None:
        """Note a cell without a usable value.

        Raises:
            FileRefusedError: there are too many.
        """
        self._count()
        self.faults.setdefault(row, {})[column] = fault

    def replace(self, row: int, column: int, text: str) -> None:
        """Note the value of a cell, where the library gives another.

        Raises:
            FileRefusedError: there are too many.
        """
        self._count()
        self.texts[row, column] = text

    def note_number(self, row: int, column: int, value: float, *, from_1904: bool) -> None:
        """Note a number with a format if no date has it: negative, the day 60, the first day of 1904."""
        if value < 0 or NO_DAY[0] <= value < NO_DAY[1] or (from_1904 and value < 1):
            self.unusual.append(row << _COLUMN_BITS | column)

    def is_unusual(self, row: int, column: int) -> bool:
        """Whether the number of a cell is one that no date has."""
        position = row << _COLUMN_BITS | column
        at = bisect_left(self.unusual, position)
        return at < len(self.unusual) and self.unusual[at] == position

    def _count(self) -> None:
        self._found += 1
        if self._found > _MOST_FAULTS:
            raise unreadable(f"more than {_MOST_FAULTS:,} of its cells hold errors")


def unreadable(reason: object) -> FileRefusedError:
    """The error for a workbook that cannot be read."""
    return FileRefusedError.for_code(Code.UNREADABLE_FILE, "workbook", reason=str(reason).rstrip("."))

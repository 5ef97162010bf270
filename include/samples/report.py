"""The report about a sample file and its faults.

What belongs here: the record, and its lines for a terminal. What does not: making the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from include.errors import Code
    from include.samples.badness import BadKind, SampleFormat


@dataclass(frozen=True)
class BadRow:
    """One row that was made bad.

    `source_row` counts records from 1, without the header; `line` counts lines of the file from 1 and is None
    for Parquet. `code` is the reason that validation should give.
    """

    source_row: int
    line: int | None
    column: str | None
    kind: BadKind
    code: Code


@dataclass(frozen=True)
class SampleReport:
    """A written sample. `rows` counts all records, the bad ones and duplicates included."""

    path: Path
    format: SampleFormat
    rows: int
    size_bytes: int
    duplicates: int = 0
    bad_rows: tuple[BadRow, ...] = ()
    file_faults: tuple[BadKind, ...] = ()
    fault_columns: tuple[str, ...] = ()

    def lines(self, most: int = 20) -> list[str]:
        """The report for a terminal, at most `most` bad rows of it."""
        found = [f"{self.path}: {self.rows:,} rows, {self.size_bytes:,} bytes, {self.format}"]
        if self.duplicates:
            found.append(f"  {self.duplicates:,} rows have a key that another row of the file has too")
        for kind in self.file_faults:
            about = f" ({', '.join(self.fault_columns[:3])})" if self.fault_columns else ""
            found.append(f"  file: {kind}{about}")
        for bad in self.bad_rows[:most]:
            where = f"row {bad.source_row:,}" + (f", line {bad.line:,}" if bad.line else "")
            column = f", column {bad.column}" if bad.column else ""
            found.append(f"  {where}{column}: {bad.kind} (expect {bad.code})")
        if len(self.bad_rows) > most:
            found.append(f"  ... and {len(self.bad_rows) - most:,} more bad rows")
        return found

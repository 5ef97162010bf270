"""What the reference says of a file.

What belongs here: the shapes of its answers. What does not: how it comes to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.errors import Code

# One of None, str, int, float, Decimal, bool, date, datetime, UUID and Document.
Value = object


class Fault(NamedTuple):
    """Why a record is refused: a place and a code, as in `ops.rejected_rows`."""

    source_row: int
    source_line: int | None
    column: str | None
    code: Code


class GoodRow(NamedTuple):
    """A record that may load: typed, cleaned, with derived, evolved and rescued values, by column."""

    source_row: int
    values: Mapping[str, Value]


@dataclass(frozen=True)
class Verdict:
    """What must become of a file.

    `code` is why the file as a whole is refused, None if it loads. `rows` are the records that are in order, in the
    file's order and before deduplication; of a refused file none load. `faults` are those of the others.
    `read` counts the records; 0 where the file was refused before they were counted. `extra` are the columns that
    the file adds to the table. `sha256` is of the bytes.
    """

    code: Code | None
    rows: tuple[GoodRow, ...] = ()
    faults: tuple[Fault, ...] = ()
    read: int = 0
    extra: tuple[str, ...] = ()
    sha256: str = ""

    @property
    def rejected(self) -> int:
        """How many records are refused; one may have several faults."""
        return len({fault.source_row for fault in self.faults})


@dataclass(frozen=True)
class Counts:
    """What a load did, as the ledger counts it."""

    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicate: int = 0
    rejected: int = 0


@dataclass(frozen=True)
class Outcome:
    """What became of a file once it met the table: refused with a code, or loaded with counts."""

    code: Code | None
    counts: Counts = field(default_factory=Counts)


class FileRefused(Exception):  # noqa: N818 - a verdict on its way, not an error
    """The file as a whole is refused."""

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code = code

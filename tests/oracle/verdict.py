"""The verdicts of the reference on files.

What belongs here: the types of its results. What does not: how they are computed.
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
    """One reason why a record is refused: row, line, column and code, as in `ops.rejected_rows`."""

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
    """The expected outcome of a file before it is loaded.

    `code` is the reason why the whole file is refused, None if it loads. `rows` are the good records, in the file's
    order and before deduplication; of a refused file none is loaded. `faults` are those of the other records. `read`
    counts the records; 0 if the file was refused before they were counted. `extra` are the columns that the file adds
    to the table. `sha256` is the digest of the bytes. `refused_keys` are the keys of the refused records, None where a
    key could not be read.
    """

    code: Code | None
    rows: tuple[GoodRow, ...] = ()
    faults: tuple[Fault, ...] = ()
    read: int = 0
    extra: tuple[str, ...] = ()
    sha256: str = ""
    refused_keys: tuple[tuple[Value, ...] | None, ...] = ()

    @property
    def rejected(self) -> int:
        """The number of refused records; one may have several faults."""
        return len({fault.source_row for fault in self.faults})


@dataclass(frozen=True)
class Counts:
    """The row counts of a load, as in the ledger."""

    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicate: int = 0
    rejected: int = 0
    deleted: int = 0
    skipped: int = 0


@dataclass(frozen=True)
class Outcome:
    """The expected outcome of a file with the table's earlier content: refused with a code, or loaded with counts."""

    code: Code | None
    counts: Counts = field(default_factory=Counts)


class FileRefused(Exception):  # noqa: N818 - it carries a verdict, not an error
    """The file as a whole is refused."""

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code = code

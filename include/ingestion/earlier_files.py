"""What the ledger has of the files of a dataset that were loaded before: how many rows is usual, and is one newer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.stores.sql_text import statement
from include.stores.warehouse import warehouse_errors

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from include.ingestion.records import FileEntry
    from include.stores.warehouse import Connection


@dataclass(frozen=True)
class UsualRows:
    """How many of the last files there are, at most ten, and the median of their rows; None where there is no file."""

    files: int
    median: Decimal | None


@dataclass(frozen=True)
class NewerFile:
    """A loaded file, when it was written, and when the file was written that comes too late (`own_at`)."""

    file_id: int
    key: str
    own_at: datetime
    written_at: datetime


def usual_rows(connection: Connection, entry: FileEntry) -> UsualRows:
    """The rows of the dataset's last loaded files."""
    values = {"dataset": entry.dataset, "file_id": entry.file_id}
    with warehouse_errors():
        row = connection.execute(statement("usual_rows"), values).fetchone()
    return UsualRows(*row) if row else UsualRows(0, None)


def newer_file(connection: Connection, entry: FileEntry) -> NewerFile | None:
    """The file that was loaded last, if it was written after this one. The caller holds the dataset's lock."""
    row = connection.execute(statement("newer_file"), {"file_id": entry.file_id}).fetchone()
    return NewerFile(*row) if row else None

"""Which rows of a table are newer than those of a file, where no column says it: those of files written later.

A new file is always the newest, because files are loaded in the order of writing. A file that is loaded again, or whose
rejected rows are replayed, may not be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.stores.sql_text import statement

if TYPE_CHECKING:
    from include.ingestion.attempt import Attempt


@dataclass(frozen=True)
class NewerRows:
    """The files whose rows are newer, and the other entries of the same content: there a later row is newer."""

    later: tuple[int, ...] = ()
    same_file: tuple[int, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether no other row is newer."""
        return not (self.later or self.same_file)


NOTHING_NEWER = NewerRows()


def newer_rows(attempt: Attempt) -> NewerRows:
    """The rows that a merge must not replace; none where the contract has a newest-by column, which decides.

    The caller holds the dataset's lock.
    """
    if not attempt.loads_in_order:
        return NOTHING_NEWER
    connection, values = attempt.stores.connection, {"file_id": attempt.entry.file_id}
    found = connection.execute(statement("newer_files"), values).fetchall()
    later = tuple(int(file_id) for file_id, is_same_file in found if not is_same_file)
    return NewerRows(later, tuple(int(file_id) for file_id, is_same_file in found if is_same_file))

"""Rejected rows on their way: counted, the first kept for the ledger, all of them in a CSV file for their owner."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, TextIO

from include.ingestion.records import Reject, Rejects

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

HEADER = ("source_row", "source_line", "column_name", "code", "message", "raw_record")
# A spreadsheet runs what begins like this; an apostrophe makes it text again.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# So that one apostrophe less is the record as it came, always.
_GUARDED = (*_FORMULA, "'")


class RejectFile:
    """Collects rejects; the file is made with the first of them."""

    def __init__(self, path: Path, keep: int) -> None:
        self.rejects = Rejects()
        self._path, self._keep = path, keep
        self._stream: TextIO | None = None
        self._last_row = 0

    def add(self, rejects: Iterable[Reject]) -> None:
        """Take rejects in the order of their rows. A row with two bad cells is one row."""
        for reject in rejects:
            if self._stream is None:
                self._stream = self._path.open("w", encoding="utf-8", newline="")
                self.rejects.path = self._path
                csv.writer(self._stream).writerow(HEADER)
            if reject.source_row != self._last_row:
                self.rejects.rows += 1
                self._last_row = reject.source_row
            self.rejects.by_code[reject.code] += 1
            if self.rejects.rows <= self._keep:
                self.rejects.first.append(reject)
            csv.writer(self._stream).writerow(
                [
                    reject.source_row,
                    reject.source_line if reject.source_line is not None else "",
                    reject.column or "",
                    reject.code,
                    _harmless(reject.message),
                    _harmless(reject.raw, _GUARDED),
                ]
            )

    def __enter__(self) -> RejectFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()


def _harmless(text: str, guarded: tuple[str, ...] = _FORMULA) -> str:
    return "'" + text if text.startswith(guarded) else text

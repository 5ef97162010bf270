"""Collects rejected rows: counts them, keeps the first for the ledger, and writes all to a CSV file for the owner."""

from __future__ import annotations

import csv
import heapq
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TextIO

from include.ingestion.object_keys import rejects_key
from include.ingestion.records import Reject, Rejects, Validated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

    from include.ingestion.attempt import Stores
    from include.ingestion.records import FileEntry

HEADER = ("source_row", "source_line", "column_name", "code", "message", "raw_record")
# A spreadsheet evaluates a cell that begins so as a formula; an apostrophe before it makes it text.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# With the apostrophe guarded too, removing one apostrophe always gives the original record.
_GUARDED = (*_FORMULA, "'")


@dataclass(frozen=True)
class StagedRejects:
    """A source of which the reject file is kept under staging/ until its entry is settled."""

    entry: FileEntry
    stores: Stores

    def store_rejects(self, rejects: Rejects) -> None:
        """Upload the reject file under staging/."""
        if rejects.path:
            self.stores.objects.upload(rejects.path, self.entry.bucket, rejects_key(self.entry))

    def publish_rejects(self, rejects: Rejects) -> None:
        """Do nothing: `store_rejects` has uploaded the reject file."""


class RejectFile:
    """Collects rejects. The first one creates the file."""

    def __init__(self, path: Path, keep: int) -> None:
        self.rejects = Rejects()
        self._path, self._keep = path, keep
        self._stream: TextIO | None = None
        self._last_row = 0

    def add(self, rejects: Iterable[Reject]) -> None:
        """Add rejects in the order of their rows. A row with two bad cells counts once."""
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


def storable(text: str) -> str:
    """The text as PostgreSQL's text type can store it: a visible character replaces NUL."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}")


def read_reject_file(path: Path) -> Iterator[tuple[int, str]]:
    """Row number and raw record of each reason in a reject file.

    Raises:
        ValueError: it is no reject file.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        if tuple(next(rows, ())) != HEADER:
            raise ValueError(path.name)
        for row in rows:
            yield int(row[0]), row[-1].removeprefix("'")


def with_rejects(validated: Validated, name: str, found: Iterator[Reject], keep: int) -> Validated:
    """The validated file with further rejects, of rows that had none.

    Args:
        validated: the file with its rejects so far.
        name: of the file for these rejects, beside the validated one.
        found: the rejects, in the order of their rows.
        keep: how many rows to keep for the ledger.
    """
    with RejectFile(validated.path.with_name(name), keep) as file:
        file.add(found)
    return replace(validated, rejects=_merged(validated.rejects, file.rejects, keep))


def _merged(known: Rejects, more: Rejects, keep: int) -> Rejects:
    """Merge the rejects of both in the order of their rows. They are of different rows, and `more` has a file.

    Args:
        known: rejects found before. Their file is replaced.
        more: further ones.
        keep: how many rows to keep for the ledger.
    """
    if known.path is None or more.path is None:
        return more
    path = known.path.with_name("merged.csv")
    with (
        known.path.open(encoding="utf-8", newline="") as one,
        more.path.open(encoding="utf-8", newline="") as other,
        path.open("w", encoding="utf-8", newline="") as out,
    ):
        rows: list[Iterator[list[str]]] = [csv.reader(one), csv.reader(other)]
        for each in rows:
            header = next(each)
        csv.writer(out).writerow(header)
        in_order: Iterator[list[str]] = heapq.merge(*rows, key=_row_number)
        csv.writer(out).writerows(in_order)
    path.replace(known.path)
    first = sorted(known.first + more.first, key=lambda reject: reject.source_row)
    kept = sorted({reject.source_row for reject in first})[:keep]
    return Rejects(
        known.rows + more.rows,
        [reject for reject in first if kept and reject.source_row <= kept[-1]],
        known.by_code + more.by_code,
        known.path,
    )


def _row_number(row: list[str]) -> int:
    return int(row[0])


def _harmless(text: str, guarded: tuple[str, ...] = _FORMULA) -> str:
    return "'" + text if text.startswith(guarded) else text

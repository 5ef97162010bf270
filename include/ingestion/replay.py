"""Reads the rejected rows of a loaded file again, from the archived object: the batch source of a replay.

A replay is an entry of its own, `KEY#rejects-N`, with a small object in incoming/ that triggers the pipeline. Its rows
keep the numbers that they have in the file. They are counted as rejected in their file until the replay is loaded, and
in the replay from then on.
"""

from __future__ import annotations

import csv
import hashlib
import shutil
from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from include.errors import Code
from include.ingestion.attempt import Attempt
from include.ingestion.fetch import fetch, spool
from include.ingestion.object_keys import REJECTS
from include.ingestion.partitions import content_identity, with_partition_values
from include.ingestion.readers.archive import archive_format, open_member
from include.ingestion.records import FileEntry, FileRefusedError, ReplayedRows, SpooledFile
from include.ingestion.rejects import StagedRejects, read_reject_file
from include.stores.object_store import ObjectMissingError
from include.stores.sql_text import statement
from include.stores.warehouse import warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from include.contracts.model import Contract
    from include.ingestion.attempt import Stores
    from include.settings import IngestSettings

MARK = "#rejects-"
_COMPARED = 100  # rows whose text is compared with that of the reject file


@dataclass(frozen=True)
class _Origin:
    """The file whose rejected rows are replayed, and the one that has their content: itself, or what it replays.

    Of a member of an archive, `content_key` is the archive's.
    """

    file_id: int
    rows_rejected: int | None
    settled_key: str | None
    content_id: int
    sha256: str | None
    member_number: int | None
    parent_key: str | None
    content_key: str | None
    is_archived: bool


@dataclass(frozen=True)
class ReplaySource(StagedRejects):
    """The rejected rows of a loaded file."""

    settings: IngestSettings
    origin: _Origin
    contract: Contract

    def spool(self, folder: Path) -> SpooledFile:
        """Download the archived object, with the numbers of the rows to take.

        Raises:
            FileRefusedError: the file is not archived any more, or its object or its list of rejected rows is gone.
            RetryableError: a store or the worker's disk fails.
        """
        origin = self.origin
        if not origin.is_archived or not origin.rows_rejected:
            raise FileRefusedError.for_code(Code.REPLAY_IMPOSSIBLE, "changed", file_id=origin.file_id)
        replayed = self._replayed(folder)
        key = origin.content_key or ""
        there = self.stores.objects.head(self.entry.bucket, key) if key else None
        if there is None:
            raise FileRefusedError.for_code(Code.REPLAY_IMPOSSIBLE, "archive", key=key)
        content = replace(self.entry, object_key=key, etag=there.etag, size_bytes=there.size)
        raw = self._fetched(content, folder)
        attempt = with_partition_values(Attempt(self.contract, self.entry, folder, self.settings, self.stores))
        if content_identity(attempt.contract, raw.sha256) != origin.sha256:
            raise FileRefusedError.for_code(Code.REPLAY_IMPOSSIBLE, "archive", key=key)
        # A content is loaded once. A replay is another content than its file, and than any other replay.
        own = hashlib.sha256(f"{raw.sha256} replay {self.entry.file_id}".encode()).hexdigest()
        return replace(raw, sha256=own, replayed=replayed)

    def _fetched(self, content: FileEntry, folder: Path) -> SpooledFile:
        """Download the object; of an archive, take the member out of it."""
        objects, settings, number = self.stores.objects, self.settings, self.origin.member_number
        if number is None:
            return fetch(content, objects, folder, settings)
        packed = folder / "archive"
        packed.mkdir()
        path = fetch(content, objects, packed, settings).path
        try:
            with open_member(path, archive_format(path) or "", number, settings) as archive:
                return spool(archive.chunks(number), folder / "raw")
        except KeyError as error:
            raise FileRefusedError.for_code(Code.REPLAY_IMPOSSIBLE, "archive", key=content.object_key) from error
        finally:
            shutil.rmtree(packed, ignore_errors=True)

    def _replayed(self, folder: Path) -> ReplayedRows:
        """The numbers of the rejected rows: from the reject file, or the ledger if it has them all.

        Raises:
            FileRefusedError: neither lists as many rows as the file counts as rejected.
        """
        origin, path = self.origin, folder / "rejected_before.csv"
        key = f"{origin.settled_key}{REJECTS}"
        numbers, texts = array("q"), dict[int, str]()
        try:
            _, chunks = self.stores.objects.read(self.entry.bucket, key)
            with path.open("wb") as stream:
                stream.writelines(chunks)
            _add(read_reject_file(path), numbers, texts)
        except ObjectMissingError:
            values = {"file_id": origin.file_id}
            with warehouse_errors():
                rows = self.stores.connection.execute(statement("list_rejected_rows"), values).fetchall()
            _add(((row[0], row[-1]) for row in rows), numbers, texts)
        except (ValueError, IndexError, csv.Error):
            numbers = array("q")
        if len(numbers) != origin.rows_rejected:
            raise FileRefusedError.for_code(
                Code.REPLAY_IMPOSSIBLE, "list", key=key, rows=origin.rows_rejected, file_id=origin.file_id,
                dataset=self.entry.dataset, content_id=origin.content_id,
            )  # fmt: skip
        return ReplayedRows(origin.content_id, np.array(numbers, dtype=np.int64), texts)


def _add(reasons: Iterable[tuple[int, str]], numbers: array[int], texts: dict[int, str]) -> None:
    """Add the rows of reasons, which are in the order of the rows, each row once; and the texts of the first ones.

    Raises:
        ValueError: they are in another order.
    """
    for number, text in reasons:
        if numbers and number <= numbers[-1]:
            if number < numbers[-1]:
                raise ValueError(number)
            continue
        numbers.append(number)
        if len(texts) < _COMPARED:
            texts[number] = text


def replay_source(
    contract: Contract, entry: FileEntry, stores: Stores, settings: IngestSettings
) -> ReplaySource | None:
    """The source of an entry that replays rejected rows; None for any other, also for a file whose name looks like it.

    Raises:
        RetryableError: the warehouse does not answer.
    """
    if MARK not in entry.object_key:
        return None
    with warehouse_errors():
        row = stores.connection.execute(statement("replay_source"), {"file_id": entry.file_id}).fetchone()
    if row is None:
        return None
    origin = _Origin(*row)
    return ReplaySource(replace(entry, parent_key=origin.parent_key), stores, settings, origin, contract)

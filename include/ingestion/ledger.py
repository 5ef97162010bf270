"""The ledger: every file with its state, outcome and reason. The statements on ops.* are called from here.

Each note moves a file from one known state to the next, and only for the attempt that it belongs to. A stale attempt,
of a worker that was assumed dead and whose file another worker has begun, gets an error at its next note and changes
nothing. The statements for batches of messages are in `include.streams.message_ledger`.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from include.errors import Code, PipelineError, RetryableError, Stage
from include.errors.registry import message
from include.ingestion.records import (
    AirflowRun,
    DuplicateContentError,
    FileEntry,
    FileRefusedError,
    FileStatus,
    Loaded,
    Processed,
    QualityResult,
    Reject,
    Validated,
    file_entry,
)
from include.ingestion.rejects import storable
from include.stores.sql_text import statement
from include.stores.warehouse import Connection, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from include.stores.object_store import ObjectInfo


class StaleAttemptError(PipelineError):
    """This attempt is stale: another worker has begun or finished the file, and only that worker may note results."""


@dataclass(frozen=True)
class Orphan:
    """A file that an earlier run did not finish: begun `attempts` times, last seen in `stage`."""

    file_id: int
    size_bytes: int
    attempts: int
    stage: Stage


@dataclass(frozen=True)
class Incoming:
    """The files in one dataset's folder under incoming/; `oldest_at` is None where there is none."""

    dataset: str
    files: int = 0
    size_bytes: int = 0
    oldest_at: datetime | None = None


@dataclass(frozen=True)
class Quarantined:
    """A file in quarantine: the key under which it was dropped, and its key now. A member has its archive's id."""

    dataset: str
    object_key: str
    settled_key: str
    file_id: int
    parent_file_id: int | None = None


class Ledger:
    """Reads and writes the ledger, on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def claim(
        self, dataset: str, contract_version: str, bucket: str, objects: Sequence[ObjectInfo], run: AirflowRun
    ) -> list[tuple[int, int]]:
        """Enter objects that are not in flight; (file_id, bytes) of each that was entered or reopened.

        An entry that waits for an object which was overwritten meanwhile waits for the new version from then on. The
        commit waits for the disk: a file_id becomes part of object keys, and must never be assigned twice.
        """
        values = {
            "dataset": dataset,
            "contract_version": contract_version,
            "bucket": bucket,
            "keys": [item.key for item in objects],
            "etags": [item.etag for item in objects],
            "sizes": [item.size for item in objects],
            "modified": [item.modified_at for item in objects],
            **asdict(run),
        }
        with warehouse_errors(), self._durable():
            self._rows("update_changed_objects", values, returns=False)
            return [(row[0], row[1]) for row in self._rows("claim_files", values)]

    def adopt_orphans(self, dataset: str, bucket: str, run_id: str) -> list[Orphan]:
        """Assign the files that an earlier run left unfinished to this run."""
        values = {"dataset": dataset, "bucket": bucket, "run_id": run_id}
        return [Orphan(row[0], row[1], row[2], Stage(row[3])) for row in sorted(self._rows("adopt_orphans", values))]

    def begin(self, file_id: int) -> FileEntry | None:
        """Begin an attempt at a file; None if it has an outcome already."""
        rows = self._rows("begin_file", {"file_id": file_id})
        return file_entry(rows[0]) if rows else None

    def read(self, file_id: int) -> FileEntry | None:
        """The file's current entry."""
        rows = self._rows("read_file", {"file_id": file_id})
        return file_entry(rows[0]) if rows else None

    def find_duplicate(self, entry: FileEntry, sha256: str, *, allow_resend: bool = False) -> int | None:
        """The file with the same content that was loaded into the same table before, if there is one.

        Args:
            entry: the file that has the content now.
            sha256: of the content.
            allow_resend: the content counts as new if another content of the dataset was loaded after it.
        """
        values = {
            "dataset": entry.dataset,
            "sha256": sha256,
            "file_id": entry.file_id,
            "allow_resend": allow_resend,
        }
        rows = self._rows("find_duplicate", values)
        return int(rows[0][0]) if rows else None

    def next_resend_no(self, entry: FileEntry, sha256: str) -> int:
        """How often this content was loaded before. The caller holds the dataset's lock."""
        return int(self._rows("next_resend_no", {"dataset": entry.dataset, "sha256": sha256})[0][0])

    def in_order(self, dataset: str, bucket: str, most: int) -> list[tuple[int, int, int]]:
        """Files without an outcome as (file_id, bytes, attempts), in the order in which the objects were written."""
        values = {"dataset": dataset, "bucket": bucket, "most": most}
        return [(row[0], row[1], row[2]) for row in self._rows("files_in_order", values)]

    def check_turn(self, entry: FileEntry) -> None:
        """Check that all files of the dataset that were written before this one have an outcome.

        Raises:
            RetryableError: one has none.
        """
        for file_id, key in self._rows("earlier_file", {"file_id": entry.file_id}):
            raise RetryableError(
                Code.EARLIER_FILE_WAITS, message(Code.EARLIER_FILE_WAITS, file_id=file_id), earlier=key
            )

    def validated(self, entry: FileEntry, result: Validated) -> None:
        """Note that a file was read, and which of its rows are refused."""
        with warehouse_errors(), self._connection.transaction():
            self._add_rejects(entry.file_id, result.rejects.first)
            values = {
                "sha256": result.sha256,
                "format": str(result.layout),
                "rows_read": result.rows_read,
                "rows_rejected": result.rejects.rows,
                "rejects_by_code": json.dumps(result.rejects.by_code),
            }
            self._advance("mark_validated", entry.file_id, entry.attempts, values)

    def processed(self, entry: FileEntry, result: Processed) -> None:
        """Note how many rows are superseded by another row of the same file."""
        with warehouse_errors():
            self._advance("mark_processed", entry.file_id, entry.attempts, {"rows_duplicate": result.rows_duplicate})

    def loaded(self, entry: FileEntry, result: Loaded, resend_no: int = 0, *, is_newest: bool = True) -> None:
        """Note the merge, inside its transaction, which holds the dataset's lock.

        Args:
            entry: the file.
            result: what the merge did.
            resend_no: how often the same content was loaded before.
            is_newest: no other file of the dataset was written later.

        Raises:
            UniqueViolation: the same content was loaded meanwhile. It is not translated: the merge treats it as a
                duplicate, and other errors as faults.
        """
        values = {
            "inserted": result.inserted,
            "updated": result.updated,
            "unchanged": result.unchanged,
            "deleted": result.deleted,
            "deletes": result.deletes,
            "deletes_skipped": result.skipped,
            "deletes_ignored": result.ignored,
            "resend_no": resend_no,
            "is_newest": is_newest,
            "taken_back": message(Code.DUPLICATE_CONTENT, "taken back", file_id=entry.file_id),
        }
        self._advance("mark_loaded", entry.file_id, entry.attempts, values)

    def refused(self, entry: FileEntry, stage: Stage, refusal: FileRefusedError) -> None:
        """Note the verdict on a whole file, with its rejected rows."""
        status = FileStatus.DUPLICATE if isinstance(refusal, DuplicateContentError) else FileStatus.failed_in(stage)
        with warehouse_errors(), self._durable():
            self._add_rejects(entry.file_id, refusal.rejects.first)
            self._fail(
                entry.file_id,
                entry.attempts,
                status,
                refusal.code,
                str(refusal),
                sha256=refusal.sha256,
                format=str(refusal.layout) if refusal.layout else None,
                rows_read=refusal.rows_read,
                rows_rejected=refusal.rejects.rows if refusal.rows_read is not None else None,
                rejects_by_code=json.dumps(refusal.rejects.by_code) if refusal.rejects.rows else None,
            )

    def failed(self, file_id: int, attempts: int, stage: str, code: Code, message: str) -> None:
        """Note that the work on a file, in this attempt, stopped for a reason outside the file."""
        with warehouse_errors(), self._durable():
            self._fail(file_id, attempts, FileStatus.failed_in(stage), code, message)

    def postponed(self, entry: FileEntry, code: Code, message: str) -> None:
        """Note why a file waits for another attempt."""
        with warehouse_errors():
            self._advance("postpone_file", entry.file_id, entry.attempts, {"code": code, "message": message})

    def quality(self, entry: FileEntry, results: Iterable[QualityResult]) -> None:
        """Store the results of the table-level expectations. They replace those of an earlier attempt."""
        with warehouse_errors(), self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute("DELETE FROM ops.quality_result WHERE file_id = %s", [entry.file_id])
            cursor.executemany(
                "INSERT INTO ops.quality_result (dataset, file_id, expectation, column_name, severity, success, "
                "observed, expected) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    (
                        entry.dataset,
                        entry.file_id,
                        r.expectation,
                        r.column,
                        r.severity,
                        r.success,
                        r.observed,
                        r.expected,
                    )
                    for r in results
                ],
            )

    def unsettled(self, dataset: str, bucket: str) -> list[FileEntry]:
        """Files that have an outcome and are still in incoming/."""
        return [file_entry(row) for row in self._rows("unsettled_files", {"dataset": dataset, "bucket": bucket})]

    def settled(self, file_id: int, key: str | None) -> None:
        """Note the key that a file was moved to; None if its object was gone."""
        self._rows("mark_settled", {"file_id": file_id, "settled_key": key}, returns=False)

    def quarantined(
        self, dataset: str, bucket: str, statuses: Iterable[FileStatus], file_ids: Sequence[int] | None
    ) -> list[Quarantined]:
        """Quarantined files, the oldest first.

        Args:
            dataset: an empty text means all of them.
            bucket: of the files.
            statuses: one of these.
            file_ids: one of these; None means all.
        """
        values = {
            "dataset": dataset or None,
            "bucket": bucket,
            "file_ids": None if file_ids is None else list(file_ids),
            "statuses": [status.value for status in statuses],
        }
        with warehouse_errors(), self._connection.cursor() as cursor:
            cursor.execute(statement("quarantined_files"), values)
            return [Quarantined(row[0], row[1], row[2], row[3], row[6]) for row in cursor.fetchall()]

    def requeue(self, bucket: str, settled_key: str) -> None:
        """Note that a quarantined file was moved back to incoming/."""
        self._rows("requeue_file", {"bucket": bucket, "settled_key": settled_key}, returns=False)

    def note_incoming(self, bucket: str, folders: Sequence[Incoming]) -> None:
        """Note the files in incoming/, for the monitoring: a file has no entry before it is claimed."""
        values = {
            "bucket": bucket,
            "datasets": [folder.dataset for folder in folders],
            "files": [folder.files for folder in folders],
            "sizes": [folder.size_bytes for folder in folders],
            "oldest": [folder.oldest_at for folder in folders],
        }
        self._rows("record_incoming", values, returns=False)

    def report(self, file_id: int) -> dict[str, Any]:
        """The report of a file: everything that the ledger has of it."""
        return dict(self._rows("file_report", {"file_id": file_id})[0][0])

    @contextmanager
    def _durable(self) -> Iterator[None]:
        """A transaction whose commit waits for the disk, with all earlier commits: objects are moved after it."""
        with self._connection.transaction():
            self._connection.execute("SET LOCAL synchronous_commit = on")
            yield

    def _fail(self, file_id: int, attempts: int, status: FileStatus, code: Code, message: str, **known: object) -> None:
        unknown = dict.fromkeys(("sha256", "format", "rows_read", "rows_rejected", "rejects_by_code"))
        values = {"status": status, "code": code, "message": message.replace("\0", ""), **unknown, **known}
        self._rows("lock_entry", {"file_id": file_id})
        self._advance("mark_failed", file_id, attempts, values)

    def _add_rejects(self, file_id: int, rejects: list[Reject]) -> None:
        if not rejects:
            return
        into = "ops.rejected_rows (file_id, source_row, source_line, column_name, code, message, raw_record)"
        with self._connection.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN") as copy:
            for r in rejects:
                message, raw = storable(r.message), storable(r.raw)
                copy.write_row((file_id, r.source_row, r.source_line, r.column, r.code, message, raw))

    def _advance(self, name: str, file_id: int, attempts: int, values: Mapping[str, object]) -> None:
        """Move a file to its next state.

        Raises:
            StaleAttemptError: it is not in the state that the step begins from, or a later attempt has begun.
        """
        with self._connection.cursor() as cursor:
            cursor.execute(statement(name), {**values, "file_id": file_id, "attempts": attempts})
            if cursor.rowcount != 1:
                stale = message(Code.INTERNAL, "stale attempt")
                raise StaleAttemptError(Code.INTERNAL, stale, file_id=file_id, attempts=attempts)

    def _rows(self, name: str, values: Mapping[str, object], *, returns: bool = True) -> list[tuple[Any, ...]]:
        with warehouse_errors(), self._connection.cursor() as cursor:
            cursor.execute(statement(name), values)
            return cursor.fetchall() if returns else []

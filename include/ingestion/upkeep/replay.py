"""Requests the replay of a file's rejected rows: an entry in the ledger, and an object that triggers the pipeline."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from include.errors import Code, PermanentError
from include.errors.registry import text
from include.ingestion.object_keys import MAX_KEY_BYTES, fitting
from include.ingestion.records import FileStatus
from include.ingestion.replay import MARK
from include.stores.sql_text import statement
from include.stores.warehouse import warehouse_errors

if TYPE_CHECKING:
    from include.stores.object_store import ObjectStore
    from include.stores.warehouse import Connection


@dataclass(frozen=True)
class Replayable:
    """A file whose rejected rows can be replayed, and the key that the replay will have."""

    file_id: int
    dataset: str
    rows: int
    key: str


def replayable(file_id: int, bucket: str, connection: Connection) -> Replayable:
    """Look a file up.

    Raises:
        PermanentError: its rejected rows cannot be replayed; the message has the reason and the next step.
        RetryableError: the warehouse does not answer.
    """
    values = {"file_id": file_id, "bucket": bucket}
    with warehouse_errors():
        row = connection.execute(statement("replayable_file"), values).fetchone()
    if row is None:
        _refuse(*text(Code.REPLAY_IMPOSSIBLE, "unknown", file_id=file_id, bucket=bucket))
    dataset, status, key, number, is_in_flight, rows = row
    if is_in_flight:
        _refuse(*text(Code.REPLAY_IMPOSSIBLE, "in flight", file_id=file_id))
    if status != FileStatus.ARCHIVED:
        _refuse(*text(Code.REPLAY_IMPOSSIBLE, "not loaded", file_id=file_id, status=status))
    if not rows:
        _refuse(*text(Code.REPLAY_IMPOSSIBLE, "no rejects", file_id=file_id))
    suffix = f"{MARK}{number}"
    return Replayable(file_id, dataset, rows, fitting(key, MAX_KEY_BYTES - len(suffix)) + suffix)


def request_replay(wanted: Replayable, bucket: str, objects: ObjectStore, connection: Connection) -> int:
    """Enter the replay; its file_id. If the process dies before the object is there, the next run of the DAG reads it.

    Raises:
        PermanentError: another replay of the file was requested meanwhile.
        PipelineError: the bucket or the warehouse does not answer or refuses.
    """
    body = json.dumps({"replay_of": wanted.file_id, "rejected_rows": wanted.rows}).encode()
    etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
    values = {"file_id": wanted.file_id, "key": wanted.key, "etag": etag}
    with warehouse_errors(), connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = on")
        row = connection.execute(statement("enter_replay"), values).fetchone()
    if row is None:
        _refuse(*text(Code.REPLAY_IMPOSSIBLE, "in flight", file_id=wanted.file_id))
    file_id = int(row[0])
    # The entry comes first: without it, the object would be claimed as a file.
    objects.put(bucket, wanted.key, body, "application/json")
    if (there := objects.head(bucket, wanted.key)) is not None:
        with warehouse_errors():
            connection.execute(statement("replay_etag"), {"file_id": file_id, "etag": there.etag})
    return file_id


def _refuse(message: str, remedy: str) -> NoReturn:
    raise PermanentError(Code.REPLAY_IMPOSSIBLE, f"{message} {remedy}")

"""Objects that wait in incoming/: which of them a run can ingest, and the notes and messages for the others."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from include.errors import Code, visible
from include.errors.registry import message
from include.ingestion.object_keys import incoming_prefix
from include.ingestion.records import file_entry
from include.stores.sql_text import statement
from include.stores.warehouse import connect, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from include.ingestion.records import FileEntry
    from include.settings import IngestSettings, WarehouseConfig
    from include.stores.object_store import ObjectInfo, ObjectStore
    from include.stores.warehouse import Connection

# A file that waits for an outside cause triggers the sensor at most once in this time.
BACK_OFF = timedelta(seconds=60)
# An object that has had no ETag for so long is not being written any more.
UNREADABLE_AFTER = timedelta(minutes=5)
# What the file's owner or an operator can do where the store refuses to serve an object.
# The number of objects that the sensor compares with the ledger at once.
_AT_ONCE = 1_000
_NOW = timedelta(0)


def any_to_claim(dataset: str, objects: ObjectStore, warehouse: WarehouseConfig, settings: IngestSettings) -> bool:
    """Whether a run would find work in incoming/, for the sensor. An empty folder costs one listing.

    Raises:
        RetryableError: the bucket, or the warehouse while objects lie there, does not answer.
        PermanentError: one of them refuses.
    """
    bucket = settings.landing_bucket
    found: list[ObjectInfo] = []
    for item in objects.list(bucket, incoming_prefix(dataset)):
        if item.key.endswith("/"):
            if item.size == 0:
                return True  # the marker object that an S3 console writes for a folder: the claim removes it
            continue
        if "\0" in item.key:
            return True  # the claim gives it another name
        found.append(item)
        if len(found) == _AT_ONCE:
            if _new(found, bucket, warehouse):
                return True
            found = []
    return bool(found) and _new(found, bucket, warehouse)


def _new(found: list[ObjectInfo], bucket: str, warehouse: WarehouseConfig) -> bool:
    with connect(warehouse) as connection:
        return len(objects_to_skip(connection, bucket, found, BACK_OFF)) < len(found)


def sweep_is_due(bucket: str, warehouse: WarehouseConfig) -> bool:
    """Whether the ledger has work for the sweep, even if incoming/ is empty.

    That is: files that waited at the last sweep, entries that no ingest run may settle, alerts that were held back.

    Raises:
        RetryableError: the warehouse does not answer.
        PermanentError: it refuses.
    """
    with connect(warehouse) as connection, warehouse_errors():
        row = connection.execute(statement("sweep_is_due"), {"bucket": bucket}).fetchone()
        return bool(row and row[0])


def topic_backs_off(topic: str, warehouse: WarehouseConfig) -> bool:
    """Whether an outside failure ended the last attempt at a batch of this topic less than the back-off ago.

    Raises:
        RetryableError: the warehouse does not answer, so nothing could be loaded now.
        PermanentError: it refuses.
    """
    with connect(warehouse) as connection, warehouse_errors():
        row = connection.execute(statement("topic_backs_off"), {"topic": topic, "back_off": BACK_OFF}).fetchone()
        return bool(row and row[0])


def objects_to_skip(
    connection: Connection, bucket: str, found: Sequence[ObjectInfo], back_off: timedelta = _NOW
) -> set[tuple[str, str]]:
    """Key and ETag of the objects that a run cannot ingest now.

    Args:
        connection: as the role `ingest`.
        bucket: of the objects.
        found: the objects as listed.
        back_off: also skip objects whose last attempt ended less than this ago.
    """
    values = {
        "bucket": bucket,
        "keys": [item.key for item in found],
        "etags": [item.etag for item in found],
        "back_off": back_off,
    }
    with warehouse_errors():
        return {(row[0], row[1]) for row in connection.execute(statement("skipped_objects"), values)}


def note_replaced(connection: Connection, file_id: int, versions: Iterable[ObjectInfo]) -> None:
    """Add the versions that this entry's version replaced before they were claimed to the entry's history."""
    messages = [replaced(version) for version in versions]
    with warehouse_errors():
        connection.execute(statement("record_replaced_versions"), {"file_id": file_id, "messages": messages})


def replaced(version: ObjectInfo) -> str:
    """The ledger's message for a version that was replaced before it was claimed."""
    return message(
        Code.REPLACED_BEFORE_CLAIM,
        key=visible(version.key),
        version=version.version_id,
        modified_at=version.modified_at,
        size=version.size,
        etag=version.etag,
    )


def postpone_move(connection: Connection, file_id: int) -> None:
    """Note that a file with an outcome could not be moved, so that its next attempt waits for the back-off."""
    with warehouse_errors():
        connection.execute(statement("postpone_move"), {"file_id": file_id})


def entries_without_contract(connection: Connection, bucket: str, datasets: Iterable[str]) -> list[FileEntry]:
    """Unsettled files of this bucket whose dataset is none of `datasets`."""
    values = {"bucket": bucket, "datasets": sorted(datasets)}
    with warehouse_errors():
        return [file_entry(row) for row in connection.execute(statement("entries_without_contract"), values)]


def no_etag(item: ObjectInfo) -> str:
    """The ledger's message for an object that never gets an ETag."""
    minutes = UNREADABLE_AFTER.total_seconds() / 60
    return message(Code.OBJECT_UNREADABLE, "no ETag", key=visible(item.key), minutes=minutes)

"""Claims the files of a dataset before stage 1: finds them, enters them in the ledger, and puts them into batches."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import UTC, datetime
from heapq import nsmallest
from itertools import islice
from typing import TYPE_CHECKING

from include.errors import Code, visible
from include.errors.registry import message
from include.ingestion.members import spent
from include.ingestion.object_keys import incoming_prefix, without_nul
from include.ingestion.waiting import objects_to_skip
from include.stores.object_moves import ObjectExistsError, ObjectReplacedError, move
from include.stores.object_store import ObjectMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.contracts.model import Contract
    from include.ingestion.attempt import Stores
    from include.ingestion.records import AirflowRun
    from include.settings import IngestSettings
    from include.stores.object_store import ObjectInfo, ObjectStore
    from include.stores.warehouse import Connection

log = logging.getLogger(__name__)

_LOOKED_UP_AT_ONCE = 1_000
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


def claim(contract: Contract, stores: Stores, run: AirflowRun, settings: IngestSettings) -> list[list[int]]:
    """Claim the files in incoming/ and the files that an earlier run left unfinished.

    A file that a worker began and did not finish gets a batch of its own, so that it cannot stop another file. After
    `max_attempts` it is refused, with the stage in which it stopped.

    Where no column says which row is newer, the files are one batch, in the order in which they were written.

    Returns:
        Batches of file ids: many small files together, a large one alone.
    """
    bucket, ledger = settings.landing_bucket, stores.ledger
    orphans = ledger.adopt_orphans(contract.dataset, bucket, run.run_id)
    alone, untouched = [], []
    for orphan in orphans:
        if spent(orphan.file_id, orphan.attempts, settings.max_attempts, stores.connection):
            reason = worker_died(orphan.attempts, orphan.stage)
            ledger.failed(orphan.file_id, orphan.attempts, orphan.stage, Code.WORKER_DIED, reason)
        elif orphan.attempts:
            alone.append([orphan.file_id])
        else:
            untouched.append((orphan.file_id, orphan.size_bytes))
    room = settings.max_batches * settings.batch_max_files
    files = _claimable(_files(contract, stores.objects, bucket), bucket, stores.connection)
    found = nsmallest(room, files, key=_written) if contract.loads_in_order else list(islice(files, room))
    entered = ledger.claim(contract.dataset, contract.version, bucket, found, run)
    if contract.loads_in_order:
        batches = in_turn(ledger.in_order(contract.dataset, bucket, room), settings.batch_max_bytes)
    else:
        batches = (alone + batched(untouched + entered, settings))[: settings.max_batches]
    log.info(
        "%s: %s new files, %s adopted from earlier runs, %s batches.",
        contract.dataset,
        len(entered),
        len(orphans),
        len(batches),
    )
    return batches


def _files(contract: Contract, objects: ObjectStore, bucket: str) -> Iterator[ObjectInfo]:
    """The objects in the dataset's folder that are files, in the order of their keys."""
    for item in objects.list(bucket, incoming_prefix(contract.dataset)):
        if not item.key.endswith("/"):
            if not moved_from_nul(item, bucket, objects):
                yield item
        elif item.size == 0:
            # The marker object that an S3 console writes for a folder. If it stayed, the sensor would always find it.
            objects.delete(bucket, item.key)


def _written(item: ObjectInfo) -> tuple[datetime, str]:
    return item.modified_at or _BEFORE_ALL, item.key


def in_turn(files: list[tuple[int, int, int]], most_bytes: int) -> list[list[int]]:
    """The next batch of files that must be loaded in the given order.

    There is one batch at a time, so that files keep their order. A file that was begun before and not finished, or one
    of more than `most_bytes`, is a batch of its own: the batch ends before such a file, or consists of it.

    Args:
        files: (file_id, bytes, attempts) in the order in which they must be loaded.
        most_bytes: of a batch with more than one file.
    """
    batch: list[int] = []
    for file_id, size, attempts in files:
        most_bytes -= size
        if batch and (attempts or most_bytes < 0):
            break
        batch.append(file_id)
        if attempts:
            break
    return [batch] if batch else []


def _claimable(files: Iterator[ObjectInfo], bucket: str, connection: Connection) -> Iterator[ObjectInfo]:
    """The files without those that the store refuses to serve and that the ledger has already."""
    while some := list(islice(files, _LOOKED_UP_AT_ONCE)):
        skipped = objects_to_skip(connection, bucket, some)
        yield from (item for item in some if (item.key, item.etag) not in skipped)


def moved_from_nul(item: ObjectInfo, bucket: str, objects: ObjectStore) -> bool:
    """Move a file to another key if its own holds a NUL character; whether it does.

    The ledger cannot store such a key. The next listing of the bucket finds the file under its new key. The file stays
    where it is as long as another file has the new key.
    """
    if "\0" not in item.key:
        return False
    target = without_nul(item.key)
    with suppress(ObjectExistsError, ObjectMissingError, ObjectReplacedError):
        move(objects, bucket, item, target)
        log.warning("%s is %s now: a name cannot hold a NUL character.", visible(item.key), visible(target))
    return True


def worker_died(attempts: int, stage: str) -> str:
    """The message for a file whose worker died in each of its attempts."""
    return message(Code.WORKER_DIED, attempts=attempts, stage=stage)


def batched(files: list[tuple[int, int]], settings: IngestSettings) -> list[list[int]]:
    """Batches of (file_id, bytes), in order, bounded in files and bytes.

    Many files are spread over at least `batches_at_once` batches, so that free workers share them.
    """
    per_batch = min(settings.batch_max_files, max(1, -(-len(files) // settings.batches_at_once)))
    batches: list[list[int]] = []
    room_files, room_bytes = 0, 0
    for file_id, size in files:
        if room_files < 1 or size > room_bytes:
            batches.append([])
            room_files, room_bytes = per_batch, settings.batch_max_bytes
        batches[-1].append(file_id)
        room_files -= 1
        room_bytes -= size
    return batches

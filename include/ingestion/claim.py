"""Before the stages: find the files of a dataset, enter them in the ledger, and put them into batches."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import nsmallest
from itertools import islice
from typing import TYPE_CHECKING

from include.errors import Code, visible
from include.ingestion.places import incoming_prefix, without_nul
from include.ingestion.waiting import left_alone
from include.stores.object_moves import ObjectExistsError, ObjectReplacedError, move
from include.stores.object_store import ObjectMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.contracts.model import Contract
    from include.ingestion.ledger import Ledger
    from include.settings import IngestSettings
    from include.stores.object_store import ObjectInfo, ObjectStore

log = logging.getLogger(__name__)

_LOOKED_UP_AT_ONCE = 1_000
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Run:
    """Who claims: written into the ledger for people who look for the logs."""

    dag_id: str
    run_id: str


def claim(
    contract: Contract, objects: ObjectStore, ledger: Ledger, run: Run, settings: IngestSettings
) -> list[list[int]]:
    """Claim what lies in incoming/ and what an earlier run left unfinished.

    A file that a worker began and did not finish travels alone, so that it takes no other file down with it; after
    `max_attempts` it is refused with the stage in which it stopped.

    Where no column says which row is newer, the files are one batch, in the order in which they were written.

    Returns:
        Batches of file ids: many small files together, a large one alone.
    """
    bucket = settings.landing_bucket
    orphans = ledger.adopt_orphans(contract.dataset, bucket, run.run_id)
    alone, untouched = [], []
    for orphan in orphans:
        if orphan.attempts >= settings.max_attempts:
            reason = worker_died(orphan.attempts, orphan.stage)
            ledger.failed(orphan.file_id, orphan.attempts, orphan.stage, Code.WORKER_DIED, reason)
        elif orphan.attempts:
            alone.append([orphan.file_id])
        else:
            untouched.append((orphan.file_id, orphan.size_bytes))
    room = settings.max_batches * settings.batch_max_files
    files = _claimable(_files(contract, objects, bucket), bucket, ledger)
    found = nsmallest(room, files, key=_written) if contract.loads_in_order else list(islice(files, room))
    entered = ledger.claim(contract.dataset, contract.version, bucket, found, run.dag_id, run.run_id)
    if contract.loads_in_order:
        batches = in_turn(ledger.in_order(contract.dataset, bucket, room), settings.batch_max_bytes)
    else:
        batches = (alone + batched(untouched + entered, settings))[: settings.max_batches]
    log.info("%s: %s new files, %s taken over, %s batches.", contract.dataset, len(entered), len(orphans), len(batches))
    return batches


def _files(contract: Contract, objects: ObjectStore, bucket: str) -> Iterator[ObjectInfo]:
    """The objects in the dataset's folder that are files, in the order of their keys."""
    for item in objects.list(bucket, incoming_prefix(contract.dataset)):
        if not item.key.endswith("/"):
            if not moved_from_nul(item, bucket, objects):
                yield item
        elif item.size == 0:
            # A console's stand-in for a folder. It is no file, and left there it would ring the bell for ever.
            objects.delete(bucket, item.key)


def _written(item: ObjectInfo) -> tuple[datetime, str]:
    return item.modified_at or _BEFORE_ALL, item.key


def in_turn(files: list[tuple[int, int, int]], most_bytes: int) -> list[list[int]]:
    """The next batch of (file_id, bytes, attempts), which are in the order in which they must be loaded.

    There is one batch at a time, so that no file overtakes another. A file that was begun before and not finished, and
    one of more than `most_bytes`, still travel alone: the batch ends before such a file, or is that file.
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


def _claimable(files: Iterator[ObjectInfo], bucket: str, ledger: Ledger) -> Iterator[ObjectInfo]:
    """Without the objects that the store refuses to serve, and that the ledger has already."""
    while some := list(islice(files, _LOOKED_UP_AT_ONCE)):
        alone = left_alone(ledger.connection, bucket, some)
        yield from (item for item in some if (item.key, item.etag) not in alone)


def moved_from_nul(item: ObjectInfo, bucket: str, objects: ObjectStore) -> bool:
    """Give a file another key if the ledger cannot write down its own; whether its own is such a one.

    Under the new key it is found when the bucket is listed again. While another file lies there it stays.
    """
    if "\0" not in item.key:
        return False
    target = without_nul(item.key)
    with suppress(ObjectExistsError, ObjectMissingError, ObjectReplacedError):
        move(objects, bucket, item, target)
        log.warning("%s is %s now: a name cannot hold a NUL character.", visible(item.key), visible(target))
    return True


def worker_died(attempts: int, stage: str) -> str:
    """What is said of a file whose worker died again and again."""
    return (
        f"The worker died {attempts} times with this file, last in stage {stage}. Look into the task's log: "
        "memory, disk, or a crash in a library. Then reprocess the file."
    )


def batched(files: list[tuple[int, int]], settings: IngestSettings) -> list[list[int]]:
    """Batches of (file_id, bytes), in order, bounded in files and bytes.

    Not too few either: with some workers free, many files are spread over several batches.
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

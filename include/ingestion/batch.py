"""A batch of files, one after the other: no file takes another down with it."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.errors import Code, PermanentError, PipelineError, RetryableError
from include.ingestion.claim import worker_died
from include.ingestion.engine import engine
from include.ingestion.fetch import ObjectChangedError
from include.ingestion.ledger import FileLostError
from include.ingestion.road import Stores, ingest_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.contracts.model import Contract
    from include.ingestion.records import FileEntry
    from include.settings import IngestSettings
    from include.stores.object_store import ObjectStore

log = logging.getLogger(__name__)

# So many objects that the bucket lists and does not serve end a batch: each may take minutes of timeouts.
_MOST_UNSERVED = 3


@dataclass
class BatchResult:
    """How the files of a batch ended, by outcome, and the rows that went in.

    `waiting` are left for the next run, `taken_over` for the worker that has them by now.
    """

    files: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    waiting: list[int] = field(default_factory=list)
    taken_over: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        files = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.files.items())) or "no files"
        return f"{files}, {self.rows:,} rows"


def ingest_batch(contract: Contract, file_ids: Sequence[int], stores: Stores, settings: IngestSettings) -> BatchResult:
    """Bring each file to its outcome.

    A file that was begun before and not finished killed its worker, perhaps; among others it is left for the next
    run, which takes it alone. A permanent error or a defect of our own ends that one file. Trouble outside of a file
    (bucket, warehouse, lock, disk, service) ends no file: it waits, with the reason in the ledger.

    Raises:
        RetryableError: the first such trouble. It stops the batch, unless the bucket serves other objects: then they
            are tried before. Files that are not finished wait.
    """
    result = BatchResult()
    with _shared_engine(len(file_ids), settings):
        trouble = _ingest_each(contract, file_ids, stores, settings, result)
    if trouble is not None:
        log.warning("%s; waiting: %s. %s", result, len(result.waiting), trouble)
        raise trouble
    return result


@contextmanager
def _shared_engine(files: int, settings: IngestSettings) -> Iterator[None]:
    """One engine for many small files. A file that travels alone opens one per stage: each gives its memory back."""
    if files == 1:
        yield
        return
    settings.spool_dir.mkdir(parents=True, exist_ok=True)
    with engine(settings.spool_dir, settings):
        yield


def _ingest_each(
    contract: Contract, file_ids: Sequence[int], stores: Stores, settings: IngestSettings, result: BatchResult
) -> PipelineError | None:
    """Bring each file to its outcome; the first trouble outside of them, if there was any.

    Where files must be loaded in the order in which they were written, none overtakes a file that waits.
    """
    troubles: list[PipelineError] = []
    for at, file_id in enumerate(file_ids):
        entry = stores.ledger.read(file_id)
        if entry is None or (entry.attempts > 0 and len(file_ids) > 1):
            result.waiting.append(file_id)
        elif entry.attempts >= settings.max_attempts:
            reason = worker_died(entry.attempts, entry.stage)
            stores.ledger.failed(file_id, entry.attempts, entry.stage, Code.WORKER_DIED, reason)
            result.files["refused"] += 1
        elif (trouble := _ingest_one(contract, file_id, stores, settings, result)) is not None:
            troubles.append(trouble)
            if len(troubles) >= _MOST_UNSERVED or not _of_one_object(entry, trouble, stores.objects):
                break
        if contract.loads_in_order and (file_id in result.waiting or file_id in result.taken_over):
            result.waiting.extend(file_ids[at + 1 :])
            break
    return troubles[0] if troubles else None


def _ingest_one(
    contract: Contract, file_id: int, stores: Stores, settings: IngestSettings, result: BatchResult
) -> PipelineError | None:
    """Bring a file to its outcome; the trouble outside of it, for which it waits."""
    try:
        _ingest(contract, file_id, stores, settings, result)
    except FileLostError as error:
        log.warning("File %s: %s Its outcome is theirs to note.", file_id, error.message)
        result.taken_over.append(file_id)
        result.files["taken over"] += 1
    except PipelineError as error:
        result.waiting.append(file_id)
        return error
    return None


def _of_one_object(entry: FileEntry, error: PipelineError, objects: ObjectStore) -> bool:
    """Whether the store answers, and only does not serve this object."""
    if error.code is not Code.BUCKET_UNAVAILABLE:
        return False
    try:
        next(iter(objects.list(entry.bucket, entry.object_key)), None)
    except PipelineError:
        return False
    return True


def _ingest(contract: Contract, file_id: int, stores: Stores, settings: IngestSettings, result: BatchResult) -> None:
    entry = stores.ledger.begin(file_id)
    if entry is None:
        log.info("File %s is decided already.", file_id)
        result.files["decided before"] += 1
        return
    try:
        loaded = ingest_file(contract, entry, stores, settings)
    except ObjectChangedError as error:
        stores.ledger.postponed(entry, error.code, error.message)
        result.waiting.append(file_id)
    except RetryableError as error:
        _postpone(entry, error, stores)
        raise
    except PermanentError as error:
        if error.code is Code.BUCKET_REFUSED:  # the key or the bucket, not the file
            _postpone(entry, error, stores)
            raise
        log.error("File %s: %s", file_id, error)
        stores.ledger.failed(file_id, entry.attempts, error.stage, error.code, str(error))
        result.files["refused"] += 1
    else:
        result.files["loaded" if loaded is not None else "refused"] += 1
        if loaded is not None:
            result.rows += loaded.inserted + loaded.updated + loaded.unchanged


def _postpone(entry: FileEntry, error: PipelineError, stores: Stores) -> None:
    # A commit whose answer was lost has decided the file: the error stays, for the sake of the others.
    with stores.answering_ledger() as ledger, suppress(FileLostError):
        ledger.postponed(entry, error.code, str(error))

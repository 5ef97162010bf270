"""A batch of files, one after the other: no file takes another down with it."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.errors import Code, PermanentError, RetryableError
from include.ingestion.claim import worker_died
from include.ingestion.engine import engine
from include.ingestion.fetch import ObjectChangedError
from include.ingestion.ledger import FileLostError, Ledger
from include.ingestion.road import Stores, ingest_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.contracts.model import Contract
    from include.settings import IngestSettings

log = logging.getLogger(__name__)


@dataclass
class BatchResult:
    """How the files of a batch ended, by outcome, and the rows that went in. `waiting` are left for the next run."""

    files: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    waiting: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        files = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.files.items())) or "no files"
        return f"{files}, {self.rows:,} rows"


def ingest_batch(
    contract: Contract, file_ids: Sequence[int], stores: Stores, settings: IngestSettings, *, last_try: bool
) -> BatchResult:
    """Bring each file to its outcome.

    A file that was begun before and not finished killed its worker, perhaps; among others it is left for the next
    run, which takes it alone. A permanent error or a defect of our own ends that one file. What a retry can mend
    stops the batch, so that the caller tries again later; on the last try it ends the files that are left.

    Raises:
        RetryableError: the bucket, the warehouse or the disk failed; the files not finished are untouched.
    """
    result = BatchResult()
    with _shared_engine(len(file_ids), settings):
        _ingest_each(contract, file_ids, stores, settings, result, last_try=last_try)
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
    contract: Contract,
    file_ids: Sequence[int],
    stores: Stores,
    settings: IngestSettings,
    result: BatchResult,
    *,
    last_try: bool,
) -> None:
    for at, file_id in enumerate(file_ids):
        entry = stores.ledger.read(file_id)
        if entry is None or (entry.attempts > 0 and len(file_ids) > 1):
            result.waiting.append(file_id)
            continue
        if entry.attempts >= settings.max_attempts:
            reason = worker_died(entry.attempts, entry.stage)
            stores.ledger.failed(file_id, entry.attempts, entry.stage, Code.WORKER_DIED, reason)
            result.files["refused"] += 1
            continue
        try:
            _ingest(contract, file_id, stores, settings, result)
        except FileLostError as error:
            log.warning("File %s: %s Its outcome is theirs to note.", file_id, error.message)
            result.files["taken over"] += 1
        except RetryableError as error:
            if last_try:
                with stores.answering_ledger() as ledger:
                    _give_up(file_ids[at:], error, ledger, result)
                return
            raise


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
        # A commit whose answer was lost has decided the file: the error stays, for the sake of the others.
        with stores.answering_ledger() as ledger, suppress(FileLostError):
            ledger.postponed(entry, error.code, str(error))
        raise
    except PermanentError as error:
        log.error("File %s: %s", file_id, error)
        stores.ledger.failed(file_id, entry.attempts, error.stage, error.code, str(error))
        result.files["refused"] += 1
    else:
        result.files["loaded" if loaded is not None else "refused"] += 1
        if loaded is not None:
            result.rows += loaded.inserted + loaded.updated + loaded.unchanged


def _give_up(file_ids: Sequence[int], error: RetryableError, ledger: Ledger, result: BatchResult) -> None:
    """Every try failed for the same reason outside the files: they go to quarantine with it."""
    log.error("No try is left: %s", error)
    for file_id in file_ids:
        entry = ledger.read(file_id)
        if entry is None or entry.decided:
            continue
        ledger.failed(file_id, entry.attempts, error.stage, error.code, f"{error} No try was left; reprocess the file.")
        result.files["refused"] += 1

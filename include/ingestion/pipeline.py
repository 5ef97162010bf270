"""The pipeline: runs the stages for a file or a batch of messages, and notes the result of each in the ledger.

The order is validate, process, load; the DAG claims before and settles after (`errors.Stage` has all five). The files
of a batch are ingested one after the other; a bad file does not stop the others.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Protocol

from include.errors import Code, PermanentError, PipelineError, RetryableError, Stage
from include.ingestion.attempt import Attempt, find_duplicate
from include.ingestion.claim import worker_died
from include.ingestion.engine import engine
from include.ingestion.fetch import ObjectChangedError, fetch
from include.ingestion.ledger import StaleAttemptError
from include.ingestion.load import load
from include.ingestion.members import (
    MemberSource,
    check_current,
    enter_members,
    has_members,
    keep_refused,
    note_archive_loaded,
    spent,
)
from include.ingestion.object_keys import clear_spool, spool_prefix
from include.ingestion.partitions import archive_identity, with_partition_values
from include.ingestion.process import process
from include.ingestion.readers.archive import archive_format, open_archive
from include.ingestion.records import (
    DuplicateContentError,
    FileEntry,
    FileRefusedError,
    Loaded,
    Rejects,
    SpooledFile,
)
from include.ingestion.rejects import StagedRejects
from include.ingestion.replay import replay_source
from include.ingestion.validate import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from include.contracts.model import Contract
    from include.ingestion.attempt import Stores
    from include.ingestion.readers.archive import Archive
    from include.settings import IngestSettings
    from include.stores.object_store import ObjectStore

log = logging.getLogger(__name__)

# A batch ends after so many objects that the bucket lists and does not serve: each may take minutes of timeouts.
_MOST_UNSERVED = 3
_OF_CONTENT = {Code.EXPECTATION_FAILED, Code.TOO_MANY_DELETES, Code.OLDER_SNAPSHOT}


class BatchSource(Protocol):
    """Reads an entry's content and keeps its refused rows: the two steps that differ between files and messages."""

    def spool(self, folder: Path) -> SpooledFile:
        """Write the content into the folder."""

    def store_rejects(self, rejects: Rejects) -> None:
        """Store the reject file outside the worker."""

    def publish_rejects(self, rejects: Rejects) -> None:
        """Publish the refused rows; called before the good rows are published."""


def ingest_file(contract: Contract, entry: FileEntry, stores: Stores, settings: IngestSettings) -> Loaded | None:
    """Ingest a file of the bucket, or the rejected rows of one, that this worker has begun: see `ingest`."""
    source = replay_source(contract, entry, stores, settings) or ObjectBatchSource(entry, stores, settings)
    return ingest(contract, source.entry, source, stores, settings)


def ingest(
    contract: Contract, entry: FileEntry, source: BatchSource, stores: Stores, settings: IngestSettings
) -> Loaded | None:
    """Validate, process and load an entry that this worker has begun. Bad data is noted in the ledger, not raised.

    Returns:
        The row counts of the merge; None if the content was refused or is a duplicate.

    Raises:
        RetryableError: nothing was changed, and the entry can be begun again.
        StaleAttemptError: another worker has begun the entry.
        PermanentError: a retry does not help before the cause is removed.
    """
    current = _CurrentStage()
    try:
        with _folder(settings, entry) as folder:
            attempt = Attempt(contract, entry, folder, settings, stores)
            try:
                spooled = source.spool(folder)
                kind = archive_format(spooled.path) if isinstance(source, ObjectBatchSource) else None
                if kind is None:
                    loaded = run_stages(with_partition_values(attempt), source, spooled, current)
                else:
                    loaded = _ingest_archive(attempt, spooled, kind)
            except FileRefusedError as refusal:
                _refuse(attempt, source, current.stage, refusal)
                return None
    except PipelineError as error:
        error.stage = error.stage or current.stage  # that of a member is known
        raise
    except Exception as error:
        # A defect of the pipeline. The log gets its traceback, the ledger one sentence.
        log.exception(
            "File %s (%s) failed in stage %s by a defect of the pipeline.",
            entry.file_id,
            entry.shown_key,
            current.stage,
        )
        raise PermanentError(Code.INTERNAL, error=type(error).__name__).with_stage(current.stage) from error
    log.info("File %s (%s): %s", entry.file_id, entry.shown_key, loaded)
    return loaded


@dataclass(frozen=True)
class ObjectBatchSource(StagedRejects):
    """An object in the bucket."""

    settings: IngestSettings

    def spool(self, folder: Path) -> SpooledFile:
        """Download the object.

        Raises:
            FileRefusedError: as `fetch`; also if it is an archive that was replaced after its members were entered.
            ObjectChangedError: it is not the version that was claimed.
        """
        try:
            return fetch(self.entry, self.stores.objects, folder, self.settings)
        except ObjectChangedError as error:
            if not has_members(self.entry, self.stores.connection):
                raise
            raise FileRefusedError.for_code(Code.OBJECT_VANISHED, "archive") from error


@dataclass
class _CurrentStage:
    """The stage that an entry is in."""

    stage: Stage = Stage.VALIDATE


def run_stages(attempt: Attempt, source: BatchSource, spooled: SpooledFile, current: _CurrentStage) -> Loaded:
    """Validate, process and load, and note the result of each stage in the ledger."""
    ledger = attempt.stores.ledger
    validated = validate(attempt, spooled)
    source.store_rejects(validated.rejects)
    ledger.validated(attempt.entry, validated)
    current.stage = Stage.PROCESS
    processed = process(attempt, validated)
    ledger.processed(attempt.entry, processed)
    source.publish_rejects(validated.rejects)
    current.stage = Stage.LOAD
    return load(attempt, validated, processed)


def _ingest_archive(attempt: Attempt, spooled: SpooledFile, kind: str) -> Loaded:
    """Ingest each member that has no outcome yet, as a file of its own, then note that the archive is loaded.

    Returns:
        The row counts of the members that were loaded now.

    Raises:
        FileRefusedError: the archive as a whole is refused, or is a duplicate.
        RetryableError: a member waits, and so does the archive. Members with an outcome keep it.
    """
    settings, pattern = attempt.settings, attempt.contract.dialect.member
    sha256 = archive_identity(attempt, spooled.sha256)
    loaded: list[Loaded] = []
    try:
        if (of := find_duplicate(attempt, sha256)) is not None:
            raise DuplicateContentError(of)
        with open_archive(spooled.path, kind, pattern, settings) as archive:
            members = enter_members(attempt, archive, sha256)
            are_small = archive.size <= settings.batch_max_bytes
            with _shared_engine(len(members) if are_small else 1, settings):
                for file_id, number in members:
                    check_current(attempt)
                    loaded += _ingest_member(attempt, archive, file_id, number)
            keep_refused(attempt, archive)
        note_archive_loaded(attempt, sha256)
    except FileRefusedError as refusal:
        raise refusal.about(sha256=sha256) from refusal.__cause__
    return Loaded(*(sum(getattr(one, name) for one in loaded) for name in ("inserted", "updated", "unchanged")))


def _ingest_member(attempt: Attempt, archive: Archive, file_id: int, number: int) -> list[Loaded]:
    """Ingest a member of an archive; its row counts if it was loaded.

    Raises:
        RetryableError: it waits.
    """
    stores, settings, loaded = attempt.stores, attempt.settings, []

    def ingest_one(entry: FileEntry) -> Loaded | None:
        source = MemberSource(entry, stores, number, archive)
        counts = ingest(attempt.contract, entry, source, stores, settings)
        loaded.extend([counts] if counts else [])
        return counts

    entry = stores.ledger.read(file_id)
    if entry is not None and not _refused_as_deadly(entry, stores, settings):
        _ingest(file_id, ingest_one, stores, BatchResult())
    return loaded


def _refuse(attempt: Attempt, source: BatchSource, stage: Stage, refusal: FileRefusedError) -> None:
    entry = attempt.entry
    source.store_rejects(refusal.rejects)
    # These are verdicts on the file's content, though they need the staging table or the dataset's own.
    if refusal.code in _OF_CONTENT:
        stage = Stage.VALIDATE
    attempt.stores.ledger.refused(entry, stage, refusal)
    level = logging.INFO if isinstance(refusal, DuplicateContentError) else logging.WARNING
    log.log(level, "File %s (%s): %s: %s", entry.file_id, entry.shown_key, refusal.code, refusal)


@contextmanager
def _folder(settings: IngestSettings, entry: FileEntry) -> Iterator[Path]:
    settings.spool_dir.mkdir(parents=True, exist_ok=True)
    clear_spool(settings.spool_dir, entry)
    folder = Path(mkdtemp(prefix=spool_prefix(entry), dir=settings.spool_dir))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class BatchResult:
    """The number of files per outcome, and the rows that the table holds of them.

    `waiting` are left for the next run, `stale` for the worker that has begun them since.
    """

    files: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    waiting: list[int] = field(default_factory=list)
    stale: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        files = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.files.items())) or "no files"
        return f"{files}, {self.rows:,} rows"


def ingest_batch(contract: Contract, file_ids: Sequence[int], stores: Stores, settings: IngestSettings) -> BatchResult:
    """Ingest each file of a batch.

    A file that was begun before and not finished may have killed its worker: in a batch with other files it is left for
    the next run, which ingests it alone. A permanent error or a defect of the pipeline refuses that one file. An
    outside failure (bucket, warehouse, lock, disk, service) refuses no file: the file waits, with the reason in the
    ledger.

    Raises:
        RetryableError: the first outside failure. It stops the batch, unless the bucket still serves other objects:
            then these are tried first. Files that are not finished wait.
    """
    result = BatchResult()
    with _shared_engine(len(file_ids), settings):
        failure = _ingest_each(contract, file_ids, stores, settings, result)
    if failure is not None:
        log.warning("%s; waiting: %s. %s", result, len(result.waiting), failure)
        raise failure
    return result


@contextmanager
def _shared_engine(files: int, settings: IngestSettings) -> Iterator[None]:
    """One engine for a batch of many small files. A single file opens one per stage: each frees its memory."""
    if files == 1:
        yield
        return
    settings.spool_dir.mkdir(parents=True, exist_ok=True)
    with engine(settings.spool_dir, settings):
        yield


def _ingest_each(
    contract: Contract, file_ids: Sequence[int], stores: Stores, settings: IngestSettings, result: BatchResult
) -> PipelineError | None:
    """Ingest each file; the first outside failure, if there was one.

    Where files must be loaded in the order in which they were written, none is loaded before a file that waits.
    """
    failures: list[PipelineError] = []
    for at, file_id in enumerate(file_ids):
        entry = stores.ledger.read(file_id)
        if entry is None or (entry.attempts > 0 and len(file_ids) > 1):
            result.waiting.append(file_id)
        elif _refused_as_deadly(entry, stores, settings):
            result.files["refused"] += 1
        elif (failure := _ingest_one(contract, file_id, stores, settings, result)) is not None:
            failures.append(failure)
            if len(failures) >= _MOST_UNSERVED or not _is_of_one_object(entry, failure, stores.objects):
                break
        if contract.loads_in_order and (file_id in result.waiting or file_id in result.stale):
            result.waiting.extend(file_ids[at + 1 :])
            break
    return failures[0] if failures else None


def _refused_as_deadly(entry: FileEntry, stores: Stores, settings: IngestSettings) -> bool:
    """Refuse an entry whose workers died too often; whether it was refused."""
    if not spent(entry.file_id, entry.attempts, settings.max_attempts, stores.connection):
        return False
    reason = worker_died(entry.attempts, entry.stage)
    stores.ledger.failed(entry.file_id, entry.attempts, entry.stage, Code.WORKER_DIED, reason)
    return True


def _ingest_one(
    contract: Contract, file_id: int, stores: Stores, settings: IngestSettings, result: BatchResult
) -> PipelineError | None:
    """Ingest a file; the outside failure that it waits for, if there was one."""
    try:
        _ingest(file_id, lambda entry: ingest_file(contract, entry, stores, settings), stores, result)
    except StaleAttemptError as error:
        log.warning("File %s: %s This attempt is stale; that worker notes the outcome.", file_id, error.message)
        result.stale.append(file_id)
        result.files["stale attempt"] += 1
    except PipelineError as error:
        result.waiting.append(file_id)
        return error
    return None


def _is_of_one_object(entry: FileEntry, error: PipelineError, objects: ObjectStore) -> bool:
    """Whether the store works, and only fails to serve this object."""
    if error.code is not Code.BUCKET_UNAVAILABLE:
        return False
    try:
        next(iter(objects.list(entry.bucket, entry.object_key)), None)
    except PipelineError:
        return False
    return True


def _ingest(
    file_id: int, ingest_one: Callable[[FileEntry], Loaded | None], stores: Stores, result: BatchResult
) -> None:
    """Begin an entry, ingest it, and note the failure that ends the attempt."""
    entry = stores.ledger.begin(file_id)
    if entry is None:
        log.info("File %s has an outcome already.", file_id)
        result.files["finished before"] += 1
        return
    try:
        loaded = ingest_one(entry)
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
    # If the load was committed and only the answer did not arrive, the file is not postponed. The caller still raises
    # the error, for the other files of the batch.
    with stores.answering() as answering, suppress(StaleAttemptError):
        answering.ledger.postponed(entry, error.code, str(error))

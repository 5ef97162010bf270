"""One file's road through the stages, with a note in the ledger after each. What both doors and the bench call."""

from __future__ import annotations

import logging
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from include.errors import Code, PermanentError, PipelineError, Stage
from include.ingestion.audit import Auditor
from include.ingestion.ledger import Ledger
from include.ingestion.load import load
from include.ingestion.places import clear_spool, rejects_key, spool_prefix
from include.ingestion.process import process
from include.ingestion.records import DuplicateContentError, FileEntry, FileRefusedError, Loaded
from include.ingestion.validate import validate
from include.stores.object_store import ObjectStore
from include.stores.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.contracts.model import Contract
    from include.settings import IngestSettings, S3Config, WarehouseConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stores:
    """What a worker needs to work on files: opened once, used for a whole batch."""

    objects: ObjectStore
    ledger: Ledger
    warehouse: WarehouseConfig
    auditor: Auditor


@contextmanager
def open_stores(s3: S3Config, warehouse: WarehouseConfig) -> Iterator[Stores]:
    """Connect to the bucket and the warehouse."""
    auditor = Auditor(warehouse)
    with connect(warehouse) as connection:
        try:
            yield Stores(ObjectStore(s3), Ledger(connection), warehouse, auditor)
        finally:
            auditor.close()


def ingest_file(contract: Contract, entry: FileEntry, stores: Stores, settings: IngestSettings) -> Loaded | None:
    """Validate, process and load a file that this worker has begun. Bad data ends as a note in the ledger.

    Returns:
        What the merge did; None if the file was refused or is a duplicate.

    Raises:
        RetryableError: the file is untouched and can be begun again.
        FileLostError: another worker has it by now.
        PermanentError: the work cannot be done as things stand.
    """
    at = _Place()
    try:
        with _folder(settings, entry) as folder:
            try:
                loaded = _stages(contract, entry, stores, folder, settings, at)
            except FileRefusedError as refusal:
                _refuse(entry, at.stage, refusal, stores)
                return None
    except PipelineError as error:
        error.stage = at.stage
        raise
    except Exception as error:
        # A defect of ours. Its trace belongs into the log; the ledger gets a sentence.
        log.exception("File %s (%s) met a defect in stage %s.", entry.file_id, entry.object_key, at.stage)
        raise PermanentError(
            at.stage, Code.INTERNAL, f"The pipeline itself failed ({type(error).__name__}); the task's log has more."
        ) from error
    log.info("File %s (%s): %s", entry.file_id, entry.object_key, loaded)
    return loaded


@dataclass
class _Place:
    """Where on its road a file is."""

    stage: Stage = Stage.VALIDATE


def _stages(
    contract: Contract, entry: FileEntry, stores: Stores, folder: Path, settings: IngestSettings, at: _Place
) -> Loaded:
    ledger = stores.ledger
    validated = validate(
        contract, entry, stores.objects, folder, settings, lambda sha256: ledger.loaded_before(entry, sha256)
    )
    if validated.rejects.path:
        stores.objects.upload(validated.rejects.path, entry.bucket, rejects_key(entry))
    ledger.validated(entry, validated)
    at.stage = Stage.PROCESS
    processed = process(contract, validated, folder, settings)
    ledger.processed(entry, processed)
    at.stage = Stage.LOAD
    return load(contract, entry, validated, processed, ledger, stores.auditor, folder, settings)


def _refuse(entry: FileEntry, stage: Stage, refusal: FileRefusedError, stores: Stores) -> None:
    if refusal.rejects.path:
        stores.objects.upload(refusal.rejects.path, entry.bucket, rejects_key(entry))
    # A critical expectation is a verdict of validation, though it is evaluated on the staging table.
    if refusal.code is Code.EXPECTATION_FAILED:
        stage = Stage.VALIDATE
    stores.ledger.refused(entry, stage, refusal)
    level = logging.INFO if isinstance(refusal, DuplicateContentError) else logging.WARNING
    log.log(level, "File %s (%s): %s: %s", entry.file_id, entry.object_key, refusal.code, refusal)


@contextmanager
def _folder(settings: IngestSettings, entry: FileEntry) -> Iterator[Path]:
    settings.spool_dir.mkdir(parents=True, exist_ok=True)
    clear_spool(settings.spool_dir, entry)
    folder = Path(mkdtemp(prefix=spool_prefix(entry), dir=settings.spool_dir))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)

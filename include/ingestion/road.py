"""One file's road through the stages, with a note in the ledger after each. What both doors and the bench call."""

from __future__ import annotations

import logging
import shutil
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Protocol

from include.errors import Code, PermanentError, PipelineError, Stage
from include.ingestion.audit import Auditor
from include.ingestion.enrich import Enricher
from include.ingestion.fetch import fetch
from include.ingestion.ledger import Ledger
from include.ingestion.load import load
from include.ingestion.places import clear_spool, rejects_key, spool_prefix
from include.ingestion.process import process
from include.ingestion.records import (
    DuplicateContentError,
    FileEntry,
    FileRefusedError,
    Loaded,
    Rejects,
    SpooledFile,
)
from include.ingestion.validate import validate
from include.settings import ml_service_settings
from include.stores.object_store import ObjectStore
from include.stores.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.contracts.model import Contract
    from include.settings import IngestSettings, MlServiceSettings, S3Config, WarehouseConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stores:
    """What a worker needs to work on files: opened once, used for a whole batch."""

    objects: ObjectStore
    ledger: Ledger
    warehouse: WarehouseConfig
    auditor: Auditor
    enricher: Enricher

    @contextmanager
    def answering_ledger(self) -> Iterator[Ledger]:
        """The ledger, over a new connection if the one at hand was lost.

        Without the note that a file waits, its attempt would count as a death of its worker.
        """
        if not self.ledger.connection.closed:
            yield self.ledger
            return
        with connect(self.warehouse) as connection:
            yield Ledger(connection)


class Door(Protocol):
    """How an entry's content comes in, and where its refused rows go: all that files and messages differ in."""

    def spool(self, folder: Path) -> SpooledFile:
        """Write the content into the folder."""

    def keep(self, rejects: Rejects) -> None:
        """Bring the reject file to where it outlives the worker."""

    def before_load(self, rejects: Rejects) -> None:
        """What must have happened to refused rows before the good ones are published."""


@contextmanager
def open_stores(
    s3: S3Config, warehouse: WarehouseConfig, ml_service: MlServiceSettings | None = None
) -> Iterator[Stores]:
    """Connect to the bucket and the warehouse; the ML service is where the settings say, unless told otherwise."""
    auditor, enricher = Auditor(warehouse), Enricher(ml_service or ml_service_settings())
    with closing(auditor), closing(enricher), connect(warehouse) as connection:
        yield Stores(ObjectStore(s3), Ledger(connection), warehouse, auditor, enricher)


def ingest_file(contract: Contract, entry: FileEntry, stores: Stores, settings: IngestSettings) -> Loaded | None:
    """Bring a file from the bucket, which this worker has begun, to its outcome: see `ingest`."""
    return ingest(contract, entry, _FileDoor(entry, stores.objects, settings), stores, settings)


def ingest(contract: Contract, entry: FileEntry, door: Door, stores: Stores, settings: IngestSettings) -> Loaded | None:
    """Validate, process and load what this worker has begun. Bad data ends as a note in the ledger.

    Returns:
        What the merge did; None if the content was refused or is a duplicate.

    Raises:
        RetryableError: nothing was changed, and it can be begun again.
        FileLostError: another worker has it by now.
        PermanentError: the work cannot be done as things stand.
    """
    at = _Place()
    try:
        with _folder(settings, entry) as folder:
            try:
                loaded = _stages(contract, entry, door, stores, folder, settings, at)
            except FileRefusedError as refusal:
                _refuse(entry, at.stage, refusal, door, stores.ledger)
                return None
    except PipelineError as error:
        error.stage = at.stage
        raise
    except Exception as error:
        # A defect of ours. Its trace belongs into the log; the ledger gets a sentence.
        log.exception("File %s (%s) met a defect in stage %s.", entry.file_id, entry.shown_key, at.stage)
        raise PermanentError(
            at.stage, Code.INTERNAL, f"The pipeline itself failed ({type(error).__name__}); the task's log has more."
        ) from error
    log.info("File %s (%s): %s", entry.file_id, entry.shown_key, loaded)
    return loaded


@dataclass(frozen=True)
class _FileDoor:
    """An object in the bucket; its reject file waits under staging/ until the file is settled."""

    entry: FileEntry
    objects: ObjectStore
    settings: IngestSettings

    def spool(self, folder: Path) -> SpooledFile:
        return fetch(self.entry, self.objects, folder, self.settings)

    def keep(self, rejects: Rejects) -> None:
        if rejects.path:
            self.objects.upload(rejects.path, self.entry.bucket, rejects_key(self.entry))

    def before_load(self, rejects: Rejects) -> None:
        """Nothing: the reject file is kept already."""


@dataclass
class _Place:
    """Where on its road a file is."""

    stage: Stage = Stage.VALIDATE


def _stages(
    contract: Contract,
    entry: FileEntry,
    door: Door,
    stores: Stores,
    folder: Path,
    settings: IngestSettings,
    at: _Place,
) -> Loaded:
    ledger = stores.ledger
    raw = door.spool(folder)
    validated = validate(
        contract, raw, folder, settings, lambda sha256: _loaded_before(contract, entry, ledger, sha256)
    )
    door.keep(validated.rejects)
    ledger.validated(entry, validated)
    at.stage = Stage.PROCESS
    processed = process(contract, validated, folder, settings, stores.enricher)
    ledger.processed(entry, processed)
    door.before_load(validated.rejects)
    at.stage = Stage.LOAD
    return load(contract, entry, validated, processed, ledger, stores.auditor, folder, settings)


def _loaded_before(contract: Contract, entry: FileEntry, ledger: Ledger, sha256: str) -> int | None:
    """The file that brought the same content, if it needs no second load."""
    in_order = contract.loads_in_order and entry.is_object
    if in_order:
        ledger.check_turn(entry)
    return ledger.loaded_before(entry, sha256, may_come_again=in_order)


def _refuse(entry: FileEntry, stage: Stage, refusal: FileRefusedError, door: Door, ledger: Ledger) -> None:
    door.keep(refusal.rejects)
    # A critical expectation is a verdict of validation, though it is evaluated on the staging table.
    if refusal.code is Code.EXPECTATION_FAILED:
        stage = Stage.VALIDATE
    ledger.refused(entry, stage, refusal)
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

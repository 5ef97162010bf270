"""Validates and processes a file without a bucket, a ledger or another system, and keeps the first rows.

What belongs here: running the stages. What does not: what a load would change in the table (`effect`).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from include.errors import Code, PermanentError, PipelineError, Stage
from include.ingestion.attempt import Attempt, Stores
from include.ingestion.engine import engine
from include.ingestion.enrich import Enricher
from include.ingestion.fetch import copy_local, plain_text
from include.ingestion.ledger import Ledger
from include.ingestion.object_keys import incoming_prefix
from include.ingestion.partitions import with_partition_values
from include.ingestion.process import process
from include.ingestion.readers.csv_text import sniff
from include.ingestion.readers.detect import detect
from include.ingestion.records import (
    FileEntry,
    FileFormat,
    FileRefusedError,
    FileStatus,
    Layout,
    Processed,
    Rejects,
    SpooledFile,
    Validated,
)
from include.ingestion.validate import validate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from include.contracts.model import Contract, Enrichment
    from include.settings import IngestSettings

FIRST_ROWS = 10
_SEARCHED_ROWS = 1_000  # of the file, for the first ones that are kept


class _NoLedger(Ledger):
    """Knows no other file. It has no connection: any other question is a defect and raises an AttributeError."""

    def __init__(self) -> None:
        """Set no connection."""

    def find_duplicate(self, entry: FileEntry, sha256: str, *, allow_resend: bool = False) -> int | None:  # noqa: ARG002
        """None: `effect` asks the warehouse, if there is one."""
        return None

    def check_turn(self, entry: FileEntry) -> None:
        """No file is earlier."""


class _NotAsked(Enricher):
    """Gives no value: another system is not asked in a dry run."""

    def __init__(self) -> None:
        """Connect to nothing."""

    def values(self, enrichment: Enrichment, rows: pa.RecordBatch) -> Sequence[str]:  # noqa: ARG002
        """Null for each row."""
        return [None] * rows.num_rows  # type: ignore[list-item]


class DryRunStores(Stores):
    """The stores of a dry run: no bucket and no warehouse. A stage that uses one raises an AttributeError."""

    def __init__(self) -> None:
        """Set no store but the one that is not asked."""
        object.__setattr__(self, "enricher", _NotAsked())

    @property
    def ledger(self) -> Ledger:
        """A ledger without entries."""
        return _NoLedger()


@dataclass
class Trial:
    """The result of a dry run. With a `refusal` the file would not be loaded; then counts may be missing.

    `columns` are those of the table in their order; `rows` the first ones as they would load, by `_source_row`;
    `not_asked` the columns whose values another system gives.
    """

    contract: Contract
    refusal: FileRefusedError | None = None
    layout: Layout | None = None
    delimiter: str | None = None
    rows_read: int | None = None
    rows_duplicate: int = 0
    rows_kept: int = 0
    rejects: Rejects = field(default_factory=Rejects)
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def not_asked(self) -> tuple[str, ...]:
        """The columns whose values another system gives."""
        return tuple(self.contract.enriched)


@dataclass(frozen=True)
class Planned:
    """The rows that a load would copy, while the folder of the dry run exists."""

    attempt: Attempt
    validated: Validated
    processed: Processed


@contextmanager
def dry_run(
    path: Path, contract: Contract, settings: IngestSettings, known_as: Path | None = None
) -> Iterator[tuple[Trial, Planned | None]]:
    """Validate and process a file; the result, and the planned rows unless it is refused. All copies are temporary.

    Args:
        path: the file.
        contract: that of its dataset.
        settings: the limits.
        known_as: the path whose folders may be columns, if that is another, as for a member of an archive.

    Raises:
        RetryableError: the disk is full.
        PermanentError: a defect of the pipeline or its engine.
        OSError: the file cannot be read.
    """
    trial = Trial(contract)
    with TemporaryDirectory(prefix="filegate-try-") as name:
        folder = Path(name)
        entry = _entry(known_as or path, path.stat().st_size, contract)
        attempt = Attempt(contract, entry, folder, settings, DryRunStores())
        try:
            attempt = with_partition_values(attempt)
            raw = copy_local(path, folder, settings)
            validated, processed = _validate_and_process(attempt, raw, trial)
        except FileRefusedError as refusal:
            trial.refusal, trial.rows_read, trial.rejects = refusal, refusal.rows_read, refusal.rejects
            yield trial, None
            return
        trial.rejects, trial.rows_read = validated.rejects, validated.rows_read
        trial.rows_duplicate = processed.rows_duplicate
        trial.rows_kept, trial.rows = processed.rows_kept, _first_rows(attempt, processed)
        yield trial, Planned(attempt, validated, processed)


def _validate_and_process(attempt: Attempt, raw: SpooledFile, trial: Trial) -> tuple[Validated, Processed]:
    """Run the stages; the trial gets the layout as soon as it is known, and the delimiter of a CSV file."""
    try:
        trial.layout = detect(raw.path, attempt.contract, attempt.settings)
        raw = replace(raw, layout=trial.layout)
        if trial.layout.format is FileFormat.CSV:
            text = plain_text(raw, trial.layout, attempt.settings, attempt.contract.dialect)
            trial.delimiter = sniff(text.path, attempt.contract, attempt.settings.max_row_bytes).delimiter
            raw = replace(raw, plain=text)
        validated = validate(attempt, raw)
        return validated, process(attempt, validated)
    except (FileRefusedError, PipelineError):
        raise
    except Exception as error:
        raise PermanentError(Code.INTERNAL, error=type(error).__name__) from error


def _first_rows(attempt: Attempt, processed: Processed) -> list[dict[str, Any]]:
    """The first rows by their number. Few rows are sorted: all of a large file may not fit into the engine's memory."""
    rows = " UNION ALL ".join(f"({select})" for select in processed.selects)
    found: list[dict[str, Any]] = []
    with engine(attempt.folder, attempt.settings) as connection:
        for condition in (f"WHERE _source_row <= {_SEARCHED_ROWS}", ""):
            query = f"SELECT * FROM ({rows}) {condition} ORDER BY _source_row LIMIT {FIRST_ROWS}"
            found = connection.execute(query).to_arrow_table().to_pylist()
            if len(found) == min(FIRST_ROWS, processed.rows_kept):
                break
    return found


def _entry(path: Path, size: int, contract: Contract) -> FileEntry:
    """The entry that the file would get. Folders that name a value, as dt=2026-11-28, may be columns."""
    folders = [part for part in path.parts[:-1] if "=" in part]
    key = incoming_prefix(contract.dataset) + "/".join([*folders, path.name])
    return FileEntry(0, contract.dataset, "", key, "", size, FileStatus.CLAIMED, Stage.VALIDATE, 1)

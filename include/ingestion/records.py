"""The records that stages pass on, and the exception for a file that is refused as a whole."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from include.errors import Code, Stage, visible
from include.errors.registry import text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from include.ingestion.bad_cells import BadCells


class FileStatus(StrEnum):
    """The state of a file in the ledger."""

    CLAIMED = "claimed"
    VALIDATED = "validated"
    PROCESSED = "processed"
    LOADED = "loaded"
    ARCHIVED = "archived"
    VALIDATION_FAILED = "validation_failed"
    PROCESSING_FAILED = "processing_failed"
    LOADING_FAILED = "loading_failed"
    DUPLICATE = "duplicate"

    @property
    def is_failure(self) -> bool:
        """Whether the file is, or is to be, in quarantine."""
        return self.value.endswith("_failed")

    @classmethod
    def failed_in(cls, stage: str) -> FileStatus:
        """The status of a file that failed in `stage`."""
        return {Stage.PROCESS: cls.PROCESSING_FAILED, Stage.LOAD: cls.LOADING_FAILED}.get(
            Stage(stage), cls.VALIDATION_FAILED
        )


@dataclass(frozen=True)
class AirflowRun:
    """The Airflow run that claims files. The ledger keeps it, so that an operator finds the logs."""

    dag_id: str
    run_id: str


@dataclass(frozen=True)
class FileEntry:
    """A ledger entry: a file, or a batch of messages, whose `object_key` names topic, partition and offsets.

    A member of an archive has the archive's entry and key as its parent; its own key is that key, # and its path.
    """

    file_id: int
    dataset: str
    bucket: str
    object_key: str
    etag: str
    size_bytes: int
    status: FileStatus
    stage: Stage
    attempts: int
    run_id: str | None = None
    parent_file_id: int | None = None
    parent_key: str | None = None

    @property
    def has_outcome(self) -> bool:
        """Whether the file has an outcome."""
        return self.status not in {FileStatus.CLAIMED, FileStatus.VALIDATED, FileStatus.PROCESSED}

    @property
    def is_object(self) -> bool:
        """Whether it is an object of a bucket, not a batch of messages."""
        return bool(self.bucket)

    @property
    def shown_key(self) -> str:
        """The key for logs and messages, on one line."""
        return visible(self.object_key)

    @property
    def name(self) -> str:
        """The last part of the key, or of the path of a member."""
        name = self.path.rsplit("/", maxsplit=1)[-1]
        return name if name not in {"", ".", ".."} or self.parent_key is None else "member"

    @property
    def path(self) -> str:
        """The path of a member in its archive; the key of any other file."""
        return self.object_key if self.parent_key is None else self.object_key[len(self.parent_key) + 1 :]

    @property
    def folders(self) -> list[str]:
        """The folders of the key; for a member, those of the archive's key and then those of its path."""
        above = [] if self.parent_key is None else self.parent_key.split("/")[:-1]
        return above + self.path.split("/")[:-1]


def file_entry(row: tuple[Any, ...]) -> FileEntry:
    """An entry from a row of the ledger, in the order in which the statements name its columns."""
    file_id, dataset, size, status, stage, attempts, run_id, bucket, key, etag, *parent = row
    return FileEntry(
        file_id, dataset, bucket, key, etag, size, FileStatus(status), Stage(stage), attempts, run_id, *parent
    )


class FileFormat(StrEnum):
    """The formats that can be read. `arrow` is a file or stream of Arrow's IPC format, as Feather 2 is."""

    CSV = "csv"
    JSON = "json"
    NDJSON = "ndjson"
    PARQUET = "parquet"
    ORC = "orc"
    ARROW = "arrow"
    AVRO = "avro"
    XLSX = "xlsx"
    XLSB = "xlsb"
    XLS = "xls"
    ODS = "ods"

    @property
    def is_columnar(self) -> bool:
        """Whether it holds columns of typed values, which Arrow reads."""
        return self in {FileFormat.PARQUET, FileFormat.ORC, FileFormat.ARROW}

    @property
    def is_workbook(self) -> bool:
        """Whether it is a workbook, with sheets of cells."""
        return self in {FileFormat.XLSX, FileFormat.XLSB, FileFormat.XLS, FileFormat.ODS}


@dataclass(frozen=True)
class Layout:
    """The layout of a file, as detected by its content."""

    format: FileFormat
    compression: str = "none"
    encoding: str = "utf-8"

    def __str__(self) -> str:
        extras = [part for part, usual in ((self.compression, "none"), (self.encoding, "utf-8")) if part != usual]
        return "; ".join([self.format.value, *extras])


class Undecoded(NamedTuple):
    """Why a record could not be decoded."""

    code: Code
    message: str


@dataclass(frozen=True, eq=False)
class ReplayedRows:
    """The rows of a file that are read again: their numbers, counted from 1 and sorted, without another row.

    `texts` has the first ones as they were when they were rejected.
    """

    file_id: int
    numbers: npt.NDArray[np.int64]
    texts: Mapping[int, str]


@dataclass(frozen=True)
class SpooledFile:
    """A file on the worker's disk. `has_nul`, `has_quote` and `has_hex` say which bytes occur anywhere in a text.

    `layout` is given where it is known beforehand, as for messages, and for the records of a workbook or Avro file.
    `undecoded` has the reasons for records, counted from 1, that could not be decoded: in the file they are `null`, or
    a list with what is known of the record. With `records_alone` the records are independent: a required key that none
    of them has refuses each record, and not the file. `deletes` has the keys of rows that messages without a value
    delete: see `deleted_keys`. With `replayed` only these rows count. `plain` is the file's text, if it is expanded.
    With `holds_cells` the texts in JSON are the cells of a table, which a JSON column reads as in CSV; those in
    `bad_cells` end with its mark.
    """

    path: Path
    sha256: str
    size_bytes: int
    has_nul: bool = True
    has_quote: bool = True
    has_hex: bool = True
    layout: Layout | None = None
    undecoded: Mapping[int, Undecoded] = field(default_factory=dict)
    records_alone: bool = False
    replayed: ReplayedRows | None = None
    deletes: Path | None = None
    plain: SpooledFile | None = None
    holds_cells: bool = False
    bad_cells: BadCells = field(default_factory=dict)


@dataclass(frozen=True)
class Reject:
    """One reason why a row is refused: a bad cell or a broken rule. `source_row` counts records from 1.

    `value` is the text of a bad cell, where the reason is about one cell.
    """

    source_row: int
    source_line: int | None
    column: str | None
    code: Code
    message: str
    raw: str
    value: str | None = None


@dataclass
class Rejects:
    """The refused rows of a file: their number, the first ones, and all of them in `path` (CSV) if there is any."""

    rows: int = 0
    first: list[Reject] = field(default_factory=list)
    by_code: Counter[Code] = field(default_factory=Counter)
    path: Path | None = None


@dataclass(frozen=True)
class Duplicates:
    """Rows of the validated file that are not loaded, because another row has their key.

    `superseded` counts those that another row supersedes. `path` (Parquet, `_source_row`) has the numbers of these and
    of the refused rows.
    """

    superseded: int = 0
    path: Path | None = None


@dataclass(frozen=True)
class RefusedKeys:
    """The keys of a snapshot's refused rows, in `paths` (Parquet); `unreadable` counts the rows without a known key."""

    paths: tuple[Path, ...] = ()
    unreadable: int = 0


@dataclass(frozen=True)
class DeletedKeys:
    """The keys of the rows that a batch of messages deletes, in `path` (Parquet).

    `ignored` counts deletes whose key could not be read.
    """

    path: Path
    ignored: int = 0


@dataclass(frozen=True)
class Validated:
    """The result of validate. `path` is typed Parquet with `_source_row` and `_rescued` (unknown columns).

    `headers` are the file's names of the columns that it adds to the table. `is_replay`: it has some rows of a file.
    """

    layout: Layout
    sha256: str
    rows_read: int
    rejects: Rejects
    path: Path
    extra_columns: tuple[str, ...] = ()
    path_taken: str = "fast"
    duplicates: Duplicates = Duplicates()
    headers: Mapping[str, str] = field(default_factory=dict)
    refused_keys: RefusedKeys = RefusedKeys()
    deleted_keys: DeletedKeys | None = None
    is_replay: bool = False


@dataclass(frozen=True)
class Processed:
    """The result of process: the queries that read the rows to load from `path`, and the row counts.

    The results of `selects`, one after the other, are the rows; `in_key_order` says whether they are sorted by key.
    """

    path: Path
    selects: tuple[str, ...]
    in_key_order: bool
    rows_kept: int
    rows_duplicate: int


@dataclass(frozen=True)
class QualityResult:
    """The result of one table-level expectation."""

    expectation: str
    column: str | None
    severity: str
    success: bool
    observed: str
    expected: str


@dataclass(frozen=True)
class Loaded:
    """The row counts of a merge, and of the deletes in its transaction.

    `skipped` counts rows that a snapshot lacks and that stay. `deletes` is how rows were deleted; None where the
    contract deletes none. `ignored` counts the messages without a value that name no row; None for other files.
    """

    inserted: int
    updated: int
    unchanged: int
    deleted: int = 0
    skipped: int = 0
    deletes: str | None = None
    ignored: int | None = None


class FallBackToSlowPath(Exception):  # noqa: N818 - not an error: the file may be good
    """The fast path stops at a fault or at unusual content; the slow path (`row_by_row`) reads the file."""


class FileRefusedError(Exception):
    """A whole file is refused and goes to quarantine with this reason. Not a fault of the pipeline.

    `remedy` says what the file's owner can do next. `about` adds what is known of the file so far.
    """

    def __init__(self, code: Code, message: str, remedy: str) -> None:
        super().__init__(code, message, remedy)
        self.code, self.message, self.remedy = code, _sentence(message), remedy
        self.sha256: str | None = None
        self.layout: Layout | None = None
        self.rows_read: int | None = None
        self.rejects = Rejects()

    @classmethod
    def for_code(cls, code: Code, variant: str = "", /, **values: object) -> Self:
        """The refusal with the registry's message and remedy of a code."""
        return cls(code, *text(code, variant, **values))

    def about(
        self,
        *,
        sha256: str | None = None,
        layout: Layout | None = None,
        rows_read: int | None = None,
        rejects: Rejects | None = None,
    ) -> Self:
        """Add what is known of the file so far."""
        self.sha256 = sha256 or self.sha256
        self.layout = layout or self.layout
        self.rows_read = rows_read if rows_read is not None else self.rows_read
        self.rejects = rejects or self.rejects
        return self

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}"


def _sentence(message: str) -> str:
    """The message on one line, with a full stop: libraries' messages lack one, and column names may hold line ends."""
    message = visible(message).rstrip()
    return message if message.endswith((".", "!", "?", "]")) else message + "."


class DuplicateContentError(FileRefusedError):
    """The same bytes were loaded before, as file `of`."""

    def __init__(self, of: int) -> None:
        super().__init__(Code.DUPLICATE_CONTENT, *text(Code.DUPLICATE_CONTENT, file_id=of))
        self.of = of

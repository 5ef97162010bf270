"""The records that travel between stages, and the one exception that carries a verdict on a whole file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from include.errors import Code, Stage, visible

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Status(StrEnum):
    """What the ledger says of a file."""

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
    def failed_in(cls, stage: str) -> Status:
        """The status of a file that failed in `stage`."""
        return {Stage.PROCESS: cls.PROCESSING_FAILED, Stage.LOAD: cls.LOADING_FAILED}.get(
            Stage(stage), cls.VALIDATION_FAILED
        )


@dataclass(frozen=True)
class FileEntry:
    """A file as the ledger knows it, or a batch of messages: then `object_key` names topic, partition and offsets."""

    file_id: int
    dataset: str
    bucket: str
    object_key: str
    etag: str
    size_bytes: int
    status: Status
    stage: Stage
    attempts: int
    run_id: str | None = None

    @property
    def decided(self) -> bool:
        """Whether the file has an outcome."""
        return self.status not in {Status.CLAIMED, Status.VALIDATED, Status.PROCESSED}

    @property
    def is_object(self) -> bool:
        """Whether it is an object of a bucket, and no batch of messages."""
        return bool(self.bucket)

    @property
    def shown_key(self) -> str:
        """The key as people are told it, on one line."""
        return visible(self.object_key)

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.object_key.rsplit("/", maxsplit=1)[-1]


def file_entry(row: tuple[Any, ...]) -> FileEntry:
    """An entry from a row of the ledger, in the order in which the statements name its columns."""
    file_id, dataset, size, status, stage, attempts, run_id, bucket, key, etag = row
    return FileEntry(file_id, dataset, bucket, key, etag, size, Status(status), Stage(stage), attempts, run_id)


@dataclass(frozen=True)
class TopicRange:
    """Which messages a batch holds: of one partition, from the first offset to the last, both included.

    `deletes_ignored` counts those without a value.
    """

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    deletes_ignored: int = 0

    def __str__(self) -> str:
        return f"partition {self.partition}: {self.first_offset} to {self.last_offset}"


class FileFormat(StrEnum):
    """The formats that can be read."""

    CSV = "csv"
    JSON = "json"
    NDJSON = "ndjson"
    PARQUET = "parquet"


@dataclass(frozen=True)
class Layout:
    """How a file is laid out, as its content says."""

    format: FileFormat
    compression: str = "none"
    encoding: str = "utf-8"

    def __str__(self) -> str:
        extras = [part for part, usual in ((self.compression, "none"), (self.encoding, "utf-8")) if part != usual]
        return "; ".join([self.format.value, *extras])


@dataclass(frozen=True)
class SpooledFile:
    """A file on the worker's disk. `has_nul`, `has_quote` and `has_hex` say which bytes occur anywhere in a text.

    `layout` is given where it is known beforehand, as for messages; `undecoded` says why some records, counted from
    1, could not be written down: they stand in the file as `null`. Where `records_alone`, each is judged by itself:
    what none of them has is missing from each, and not from the file.
    """

    path: Path
    sha256: str
    size_bytes: int
    has_nul: bool = True
    has_quote: bool = True
    has_hex: bool = True
    layout: Layout | None = None
    undecoded: Mapping[int, tuple[Code, str]] = field(default_factory=dict)
    records_alone: bool = False


@dataclass(frozen=True)
class Reject:
    """Why one row is refused: one bad cell or one broken rule. `source_row` counts records from 1."""

    source_row: int
    source_line: int | None
    column: str | None
    code: Code
    message: str
    raw: str


@dataclass
class Rejects:
    """The refused rows of a file: counted, the first kept, all of them in `path` (CSV) once there is one."""

    rows: int = 0
    first: list[Reject] = field(default_factory=list)
    by_code: Counter[Code] = field(default_factory=Counter)
    path: Path | None = None


@dataclass(frozen=True)
class Duplicates:
    """Rows of the validated file that are not loaded, because another row has their key.

    `superseded` counts those that another row replaces. `path` (Parquet, `_source_row`) names these and the refused
    ones.
    """

    superseded: int = 0
    path: Path | None = None


@dataclass(frozen=True)
class Validated:
    """What validate found. `path` is typed Parquet with `_source_row`, and `_rescued` where columns were unknown.

    `headers` are the file's own names of the columns that it adds to the table.
    """

    layout: Layout
    sha256: str
    rows_read: int
    rejects: Rejects
    path: Path
    extra_columns: tuple[str, ...] = ()
    road: str = "fast"
    duplicates: Duplicates = Duplicates()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Processed:
    """What process decided: how the rows to load are read from the validated file, and how many are left out.

    The results of `selects`, one after the other, are the rows; `in_key_order`, if so.
    """

    path: Path
    selects: tuple[str, ...]
    in_key_order: bool
    rows_kept: int
    rows_duplicate: int


@dataclass(frozen=True)
class QualityResult:
    """What one table-level expectation saw."""

    expectation: str
    column: str | None
    severity: str
    success: bool
    observed: str
    expected: str


@dataclass(frozen=True)
class Loaded:
    """What the merge did, in rows."""

    inserted: int
    updated: int
    unchanged: int


class FileRefusedError(Exception):
    """A verdict on a whole file: it goes to quarantine with this reason. Not a fault of the pipeline.

    `remedy` says what its owner can do next. What was learnt of the file until then travels along.
    """

    def __init__(self, code: Code, message: str, remedy: str) -> None:
        super().__init__(code, message, remedy)
        self.code, self.message, self.remedy = code, _sentence(message), remedy
        self.sha256: str | None = None
        self.layout: Layout | None = None
        self.rows_read: int | None = None
        self.rejects = Rejects()

    def about(
        self,
        *,
        sha256: str | None = None,
        layout: Layout | None = None,
        rows_read: int | None = None,
        rejects: Rejects | None = None,
    ) -> Self:
        """Add what is known of the file by now."""
        self.sha256 = sha256 or self.sha256
        self.layout = layout or self.layout
        self.rows_read = rows_read if rows_read is not None else self.rows_read
        self.rejects = rejects or self.rejects
        return self

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}"


def _sentence(message: str) -> str:
    """On one line, and ended: what a library said has no full stop, and names of columns may hold anything."""
    message = visible(message).rstrip()
    return message if message.endswith((".", "!", "?", "]")) else message + "."


class DuplicateContentError(FileRefusedError):
    """The same bytes were loaded before, as file `of`."""

    def __init__(self, of: int) -> None:
        super().__init__(
            Code.DUPLICATE_CONTENT,
            f"The same content was loaded before, as file {of}.",
            "Nothing to do: no row was touched.",
        )
        self.of = of

"""What a run asks of one element of a source, and what it gets: the same for every kind.

What belongs here: these records. What does not: where they are stored (`positions`), and how a kind reads (`rest`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pyarrow as pa

    from include.errors import PipelineError


@dataclass(frozen=True)
class Element:
    """A part of a source that is read on its own: a request with values of `forEach`, a table, a prefix.

    Attributes:
        name: unique within the source and the same in every run: the key of the element's position.
        values: of `forEach`, by placeholder, as texts.
        index: of the request in the definition.
    """

    name: str
    values: Mapping[str, str] = field(default_factory=dict)
    index: int = 0


@dataclass(frozen=True)
class Position:
    """How far an element was read.

    Attributes:
        watermark: the newest value of the cursor that arrived, as the source wrote it; None before the first record.
        address: path and query of a listing's first page, and `etag` its ETag, for a conditional request.
        next_page: where an unfinished listing continues, in the words of the kind; None if it was read to its end.
    """

    watermark: str | None = None
    address: str | None = None
    etag: str | None = None
    next_page: str | None = None


@dataclass
class Traffic:
    """What the requests of a run cost.

    Times in seconds; `limit_remaining` is the source's own count of requests, and `used_weight` that of their weights.
    """

    requests: int = 0
    retries: int = 0
    bytes: int = 0
    waited_seconds: float = 0.0
    limit_remaining: int | None = None
    limit_resets_at: datetime | None = None
    poll_interval_seconds: float | None = None
    is_stand_in: bool = False
    used_weight: int | None = None


@dataclass
class Listing:
    """What was read of an element.

    Attributes:
        position: where the next run begins, if everything that was read arrives.
        pages: answers with records.
        records_read: records of the answers.
        records_failed: records that could not be taken from their answer.
        not_modified: the source says that nothing has changed since the last run.
        error: why reading ended early; what came before it is delivered, and the run ends red.
    """

    position: Position
    pages: int = 0
    records_read: int = 0
    records_failed: int = 0
    not_modified: bool = False
    error: PipelineError | None = None


class Sink(Protocol):
    """Takes what a reader reads, in order."""

    def keep(self, answer: bytes, page: int) -> None:
        """Keep an answer as it came, without secrets, if the definition says so."""

    def take(self, record: bytes) -> None:
        """Take a record: a JSON object on one line, in UTF-8, without a line end."""


class RowSink(Protocol):
    """Takes the rows of a table, in order."""

    def begin(self, schema: pa.Schema) -> None:
        """Begin with rows of a schema; rows that were taken before are dropped."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Take a batch of rows."""


# Reads an element from a position on: the whole of it, or as much as the limits allow.
Reader = "Callable[[Element, Position, Sink], Listing]"

"""The state of a partly read listing: its records as lines without duplicates, and the state for the next run.

What belongs here: what was read. What does not: which page is requested next (`collect`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from include.sources.github.flatten import line, time_of, value_at
from include.sources.github.state import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.sources.github.client import Answer
    from include.sources.github.endpoints import Endpoint

_LONG_LINE_BYTES = 16 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PagesMovedError(Exception):
    """The records have moved so far that no known record is found, so unread records cannot be located."""


@dataclass
class Collected:
    """The result of a run for one endpoint of one repository. `answer` is the outcome in words."""

    repository: str
    endpoint: str
    answer: str = ""
    requests: int = 0
    not_modified: bool = False
    pages: int = 0
    records: int = 0
    waited_seconds: float = 0.0
    file_key: str | None = None
    raw_keys: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        summary = f"{self.repository} {self.endpoint}: {self.answer}: {self.requests} requests, {self.pages} pages, "
        summary += f"{self.records:,} records"
        if self.waited_seconds >= 1:
            summary += f", waited {self.waited_seconds:.0f} s"
        return summary + (f", file {self.file_key}" if self.file_key else "")

    def summary(self) -> dict[str, Any]:
        """Return the counts and the file's key, for XCom."""
        return {
            "answer": self.answer,
            "requests": self.requests,
            "not modified": self.not_modified,
            "pages": self.pages,
            "records": self.records,
            "waited seconds": round(self.waited_seconds, 1),
            "file": self.file_key,
        }


@dataclass
class Reading:
    """The state of a listing that is being read.

    Attributes:
        opened: its first page, if that was read in this run.
        last: request of the last page that was read.
        last_record: identity of the last record on that page.
        sought: identity of the last record that an earlier run read; None once it was found.
    """

    lines: dict[object, bytes] = field(default_factory=dict)  # by identity: of duplicates the last one is kept
    requests: set[str] = field(default_factory=set)
    newest_at: datetime | None = None
    opened: Answer | None = None
    last: str | None = None
    last_record: str | None = None
    sought: str | None = None
    finished: bool = False
    empty: bool = False

    def body(self) -> bytes:
        """Return the file content, one line per record. Long lines are last: the format is detected from the start."""
        return b"\n".join([*sorted(self.lines.values(), key=lambda line: len(line) > _LONG_LINE_BYTES), b""])

    def state(self, before: State) -> State:
        """Return the state for the next run."""
        newest_at = max((at for at in (before.newest_at, self.newest_at) if at), default=None)
        if not self.finished:
            return State(newest_at, self.last, last_record=self.sought or self.last_record)
        if self.opened and self.opened.etag:
            return State(newest_at, self.opened.target, self.opened.etag)
        return State(newest_at)

    def restart(self, first: str) -> None:
        """Restart the listing at this page, in this run or, if it is stopped before, in the next one."""
        self.last, self.last_record, self.sought, self.finished = first, None, None, False
        self.requests.clear()

    def take(self, answer: Answer, records: Sequence[object], endpoint: Endpoint, repository: str) -> list[datetime]:
        """Add the records of a page, and return their times as far as they can be parsed."""
        times = [time for time in (time_of(record, endpoint) for record in records) if time]
        at = answer.answered_at or max(times, default=_EPOCH)
        # Times ahead of the API's clock would hide later records, so they do not set the watermark. Neither do times
        # before 1970: subtracting the overlap could leave the valid range of dates.
        valid = [time for time in times if _EPOCH <= time <= at]
        self.newest_at = max(valid + ([self.newest_at] if self.newest_at else []), default=None)
        identities = [identity_of(record, endpoint) for record in records]
        self.last, self.last_record = answer.target, identities[-1] if identities else None
        if self.sought in identities:
            self.sought = None
        for identity, record in zip(identities, records, strict=True):
            key = object() if identity is None else identity
            self.lines.pop(key, None)
            self.lines[key] = line(record, endpoint.columns, repository, at)
        return times


def identity_of(record: object, endpoint: Endpoint) -> str | None:
    """Return the unique identity of a record within its endpoint; None if it has none."""
    value = value_at(record, endpoint.identity)
    return None if value is None else str(value)


def identities_of(answer: Answer, endpoint: Endpoint) -> list[str | None]:
    """Return the identities of a page's records in order; empty if the page is not a list (refused later)."""
    try:
        records = json.loads(answer.body)
    except (ValueError, RecursionError):
        return []
    return [identity_of(record, endpoint) for record in records] if isinstance(records, list) else []

"""A listing as far as it was read: its records as lines, once each, and what the next run has to know.

What belongs here: what was read. What does not: which page is asked next (`collect`).
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
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class PagesMovedError(Exception):
    """The pages have moved so far that none has a record which was read: nothing says what lies between."""


@dataclass
class Collected:
    """What a run did with one endpoint of one repository. `answer` is what it met, in words."""

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
        """Counts and the file's key: what one task may tell another."""
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
    """A listing as far as it was read.

    `opened` is its first page if that was read in this run, `last` the last page and `last_record` the last record on
    it; `sought` is the record that an earlier run read last, until it is met.
    """

    lines: dict[object, bytes] = field(default_factory=dict)  # by identity: what is read twice is one line, the last
    requests: set[str] = field(default_factory=set)
    newest_at: datetime | None = None
    opened: Answer | None = None
    last: str | None = None
    last_record: str | None = None
    sought: str | None = None
    finished: bool = False
    empty: bool = False

    def body(self) -> bytes:
        """The file: a line each. Long ones come last, since a file's format is found from its beginning."""
        return b"\n".join([*sorted(self.lines.values(), key=lambda one: len(one) > _LONG_LINE_BYTES), b""])

    def state(self, before: State) -> State:
        """What the next run has to know."""
        newest_at = max((at for at in (before.newest_at, self.newest_at) if at), default=None)
        if not self.finished:
            return State(newest_at, self.last, last_record=self.sought or self.last_record)
        if self.opened and self.opened.etag:
            return State(newest_at, self.opened.target, self.opened.etag)
        return State(newest_at)

    def begin_anew(self, first: str) -> None:
        """The listing is to be read from this page on, in this run or, where it is stopped now, in the next."""
        self.last, self.last_record, self.sought, self.finished = first, None, None, False
        self.requests.clear()

    def take(self, answer: Answer, records: Sequence[object], endpoint: Endpoint, repository: str) -> list[datetime]:
        """Add a page's records; their times, where they have one that can be read."""
        times = [time for time in (time_of(record, endpoint) for record in records) if time]
        at = answer.answered_at or max(times, default=_NEVER)
        # A time that is ahead of the API's clock must not hide what comes after. One before 1970 is no clock's: nothing
        # could be asked for from the hours before the year 1.
        passed = [time for time in times if _NEVER <= time <= at]
        self.newest_at = max(passed + ([self.newest_at] if self.newest_at else []), default=None)
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
    """What no other record of the endpoint has; None where this one does not have it."""
    value = value_at(record, endpoint.identity)
    return None if value is None else str(value)


def identities_of(answer: Answer, endpoint: Endpoint) -> list[str | None]:
    """Of a page's records, in their order; none where it is no list, which is refused when it is taken."""
    try:
        records = json.loads(answer.body)
    except (ValueError, RecursionError):
        return []
    return [identity_of(record, endpoint) for record in records] if isinstance(records, list) else []

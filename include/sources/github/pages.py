"""The pages of a listing: smaller ones if the API fails on large ones, circular links, and what was read of them.

What belongs here: one page, and the position and records after it. What does not: sending a request with retries
(`client`), and the order of the requests (`collect`).
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from include.errors import Code, PermanentError, RetryableError
from include.sources.github.endpoints import line, time_of, value_at
from include.sources.github.storage import State

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from include.sources.github.client import Answer, GithubClient
    from include.sources.github.endpoints import Endpoint

log = logging.getLogger(__name__)

# Statuses for a page that takes the API too long, for example because of one large record. 200 is the status of a
# response that exceeded the client's limit of size or time.
_TOO_HEAVY = {200, 502, 504}
_DEFAULT_SIZE = 30
_LONG_LINE_BYTES = 16 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def get_page(client: GithubClient, target: str, etag: str | None = None) -> Answer:
    """Request a page; if the API fails on a page of that size, request the first part of it.

    Args:
        client: the client.
        target: path and query.
        etag: ETag of an earlier response to the same request.

    Raises:
        RetryableError: the API does not respond in all attempts, even for a page of one record.
        PermanentError: it refuses.
    """
    while True:
        try:
            return client.get(target, etag)
        except RetryableError as error:
            smaller = smaller_page(target) if error.details.get("status") in _TOO_HEAVY else None
            if smaller is None:
                raise
            log.warning("%s Requesting a smaller page: %s", error.message, smaller)
            target, etag = smaller, None


def smaller_page(target: str) -> str | None:
    """Return the request for the first part of a page; None if the page size is one record.

    The new size divides the old one, so that pages start at the same records: page 3 of 100 records starts where page 5
    of 50 records starts.
    """
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    size = int(text) if (text := query.get("per_page", "")).isdecimal() else _DEFAULT_SIZE
    if size <= 1:
        return None
    smaller = next(part for part in range(size // 2, 0, -1) if size % part == 0)
    query["per_page"] = str(smaller)
    if (page := query.get("page", "")).isdecimal():
        query["page"] = str((int(page) - 1) * (size // smaller) + 1)
    return urlunsplit(parts._replace(query=urlencode(query)))


def check_progress(answer: Answer, read: Collection[str]) -> None:
    """Check that the link to the next page does not lead back.

    Args:
        answer: a page with its link.
        read: the requests of the pages read in this run.

    Raises:
        PermanentError: the link leads to a page that was already read.
    """
    if answer.next == answer.target or answer.next in read:
        message = (
            "The API's link to the next page leads back to a page that was already read. What was read is kept. Check "
            "whether a proxy rewrites the responses of the API, or ask the operator of the API."
        )
        raise PermanentError(Code.SOURCE_REFUSED, message, page=answer.target, link=answer.next)


def check_difference(answer: Answer, following: Answer) -> None:
    """Check that the next page differs from this one.

    Raises:
        PermanentError: it has the same content, as from a server without pagination.
    """
    if following.body == answer.body and following.body.strip() != b"[]":
        message = "The API returned the same records for the next page. What was read is kept."
        raise PermanentError(Code.SOURCE_REFUSED, message, page=answer.target, following=following.target)


# What was read


@dataclass
class Reading:
    """What was read of the listing of one endpoint of one repository.

    Attributes:
        lines: lines of the file, by identity of the record; of duplicates the last one is kept.
        requests: of the pages that were read.
        until: a page whose records are all older ends the listing, if the API has no parameter for that.
        opened: its first page, if that was read in this run.
        last: request of the last page that was read.
        last_record: identity of the last record on that page.
        sought: identity of the last record that an earlier run read; None once it was found.
        moved: pages moved so far that no known record is on the page that was read again.
        not_modified: the first page has not changed, so nothing was read.
    """

    endpoint: Endpoint
    repository: str
    lines: dict[object, bytes] = field(default_factory=dict)
    raw_keys: list[str] = field(default_factory=list)
    requests: set[str] = field(default_factory=set)
    pages: int = 0
    newest_at: datetime | None = None
    until: datetime | None = None
    opened: Answer | None = None
    last: str | None = None
    last_record: str | None = None
    sought: str | None = None
    moved: bool = False
    finished: bool = False
    empty: bool = False
    not_modified: bool = False

    @property
    def has_gap(self) -> bool:
        """Return whether the end was reached, but unread records may be on earlier pages."""
        return self.finished and (self.moved or self.sought is not None)

    def body(self) -> bytes:
        """Return the file content, one line per record. Long lines are last: the format is detected from the start."""
        return b"\n".join([*sorted(self.lines.values(), key=lambda line: len(line) > _LONG_LINE_BYTES), b""])

    def state(self, before: State) -> State:
        """Return the state for the next run; unchanged if nothing was read."""
        if self.not_modified or not (self.finished or self.last):
            return before
        newest_at = max((at for at in (before.newest_at, self.newest_at) if at), default=None)
        if not self.finished:
            return State(newest_at, self.last, last_record=self.sought or self.last_record)
        if self.opened and self.opened.etag:
            return State(newest_at, self.opened.target, self.opened.etag)
        return State(newest_at)

    def restart(self, first: str) -> None:
        """Restart the listing at this page, in this run or, if it is stopped before, in the next one."""
        self.last, self.last_record, self.sought, self.moved, self.finished = first, None, None, False, False
        self.requests.clear()

    def take(self, answer: Answer, records: Sequence[object]) -> list[datetime]:
        """Add the records of a page, and return their times as far as they can be parsed."""
        times = [time for time in (time_of(record, self.endpoint) for record in records) if time]
        at = answer.answered_at or max(times, default=_EPOCH)
        # Times ahead of the API's clock would hide later records, so they do not set the watermark. Neither do times
        # before 1970: subtracting the overlap could leave the valid range of dates.
        valid = [time for time in times if _EPOCH <= time <= at]
        self.newest_at = max(valid + ([self.newest_at] if self.newest_at else []), default=None)
        identities = [_identity_of(record, self.endpoint) for record in records]
        self.requests.add(answer.target)
        self.last, self.last_record = answer.target, identities[-1] if identities else None
        if self.sought in identities:
            self.sought = None
        for identity, record in zip(identities, records, strict=True):
            key = object() if identity is None else identity
            self.lines.pop(key, None)
            self.lines[key] = line(record, self.endpoint.columns, self.repository, at)
        return times


def _identity_of(record: object, endpoint: Endpoint) -> str | None:
    """Return the unique identity of a record within its endpoint; None if it has none."""
    value = value_at(record, endpoint.identity)
    return None if value is None else str(value)


def identities_of(answer: Answer, endpoint: Endpoint) -> list[str | None]:
    """Return the identities of a page's records in order; empty if the page is not a list (refused later)."""
    try:
        records = json.loads(answer.body)
    except (ValueError, RecursionError):
        return []
    return [_identity_of(record, endpoint) for record in records] if isinstance(records, list) else []

"""How far a listing was read, in the form in which the next run gets it.

What belongs here: the state, as JSON in `Position.next_page`. What does not: who changes it (`reading`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass
class ListingState:
    """How far a listing was read. All requests are targets: path and query, without secrets.

    Attributes:
        first: request of the first page, and `etag` the ETag of its answer.
        target: request of the next page; None behind the last one.
        previous: request of the last page that was read.
        read: records so far, on `pages` pages.
        total: how many there are, as the API has stated last.
        newest: newest value of the cursor; `newest_of_first` is that of the first page.
        moved: the total has changed, so records have moved from page to page.
        again: requests of the pages that were read before the total fell.
        withheld: there were records that are too young to be taken.
        latest: the moment after which records of the whole listing are too young, or do not move the watermark, in
            seconds since 1970.
        marked_target: request of page 1, 2, 4, 8 and so on, and `marked_records` a digest of its records: a listing
            without an end meets one of them again, also over several runs.
        full_run: the run that has begun it to read all records again; empty for others.
        previous_etag: ETag of the last page that was read, and `previous_records` what its records are known by.
        sought: what some records are known by of which one must come again: the unread ones are behind them.
    """

    first: str
    target: str | None
    etag: str | None = None
    previous: str | None = None
    read: int = 0
    pages: int = 0
    total: int | None = None
    newest: str | None = None
    newest_of_first: str | None = None
    moved: bool = False
    again: list[str] = field(default_factory=list)
    withheld: bool = False
    latest: str | None = None
    marked_target: str = ""
    marked_records: str = ""
    full_run: str = ""
    previous_etag: str | None = None
    previous_records: list[str] = field(default_factory=list)
    sought: list[str] = field(default_factory=list)

    @classmethod
    def of_first(cls, target: str) -> ListingState:
        """Return the state before the first page."""
        return cls(target, target)

    @classmethod
    def of_json(cls, text: str) -> ListingState | None:
        """Return a stored state; None if it cannot be used."""
        try:
            state = cls(**json.loads(text))
        except (ValueError, TypeError):
            return None
        return state if isinstance(state.first, str) and isinstance(state.target, str) else None

    def as_json(self) -> str:
        """Return the state as JSON."""
        return json.dumps(asdict(self))

    def add_page(self, target: str, records: int, total: int | None, digest: str) -> None:
        """Add a page that was read.

        Args:
            target: its request.
            records: how many it has.
            total: how many the listing has, as the page states; None if it does not.
            digest: of its records; empty without records.
        """
        if total is not None and self.total is not None and total != self.total:
            self.moved = True
            if total < self.total and self.previous is not None:
                self.again.append(self.previous)
        self.total = self.total if total is None else total
        self.pages, self.previous, self.read = self.pages + 1, target, self.read + records
        if self.pages & (self.pages - 1) == 0:  # a power of 2
            self.marked_target, self.marked_records = target, digest
        if self.pages == 1:
            self.newest_of_first = self.newest

    @property
    def has_gap(self) -> bool:
        """Whether the listing was read to its end without the records that had to come."""
        return self.target is None and bool(self.sought)

    def find(self, records: Collection[str]) -> None:
        """Note that a page has these records."""
        if not set(self.sought).isdisjoint(records):
            self.sought = []

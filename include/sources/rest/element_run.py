"""What one run of the reader has read of an element, in the memory of that run.

What belongs here: counters, what was seen, and whether a limit is reached. What does not: what the next run gets of it
(`listing_state`), and who changes it (`reading`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from include.sources.definition import Limits
    from include.sources.listing import Element, Listing, Sink
    from include.sources.rest.listing_state import ListingState
    from include.sources.rest.records import RecordLines


@dataclass
class ElementRun:
    """What one run reads of an element.

    Attributes:
        element: the element; `headers` are those of its requests.
        sink: takes answers and records; `lines` makes lines of records.
        listing: the result, which grows.
        state: how far the listing was read, by earlier runs too.
        begun_at: seconds since 1970.
        answers: pages of this run, with `size` bytes.
        newest_at: newest value of the cursor, in seconds since 1970.
        is_complete: the listing was read to its end.
        has_secret: an answer had a secret of the connection in it.
        requested: requests of the pages that this run has read; `digests` are those of their records.
        first_records: of the first page, if it may be read again.
    """

    element: Element
    sink: Sink
    listing: Listing
    state: ListingState
    lines: RecordLines
    headers: Mapping[str, str]
    begun_at: float = 0.0
    answers: int = 0
    size: int = 0
    newest_at: Decimal | None = None
    is_complete: bool = False
    has_secret: bool = False
    requested: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)
    first_records: set[str] = field(default_factory=set)

    def is_limit_reached(self, limits: Limits, now: float) -> bool:
        """Whether a limit ends the run. `now` is when the next request could be sent, in seconds since 1970."""
        return (
            self.answers >= limits.pages
            or self.listing.records_read >= limits.records
            or self.size >= limits.bytes
            or now - self.begun_at >= limits.seconds
        )

"""Records of the API to lines of a file: each column from its place in the record, and nothing decided.

What belongs here: places, and values as they came. What does not: whether a value is good. A record without a sha, or
a list's entry that is no object, is a line with nulls: the contract refuses it with a reason, and it can be found.

A place is names with dots between them, as in `commit.author.name`; `parents.#` is how many entries a list has.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.sources.github.endpoints import Endpoint


def value_at(record: object, place: str) -> object:
    """What is at this place; None where a step of the way is missing or null."""
    value = record
    for step in place.split("."):
        if step == "#":
            value = len(value) if isinstance(value, list) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def line(record: object, columns: Mapping[str, str], repository: str, fetched_at: datetime) -> bytes:
    """A record as one line of NDJSON, with the repository it was asked of and when."""
    row = {
        "repository": repository,
        **{column: value_at(record, place) for column, place in columns.items()},
        "fetched_at": stamp(fetched_at),
    }
    # Everything outside ASCII as an escape: half a surrogate pair has no other way to be written.
    return json.dumps(row, separators=(",", ":")).encode("ascii")


def time_of(record: object, endpoint: Endpoint) -> datetime | None:
    """When the record happened, as the API sorts; None if it does not say so in a way that can be read."""
    text = value_at(record, endpoint.time)
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # the latter: in UTC it is before the year 1, or after 9999
        return None


def stamp(moment: datetime) -> str:
    """A time as the API writes it, to the second, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

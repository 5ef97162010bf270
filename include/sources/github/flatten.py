"""Convert records of the API to lines of a file: each column is read from its path in the record, without validation.

What belongs here: paths, and unchanged values. What does not: whether a value is valid. A record without a sha, or a
list entry that is not an object, becomes a line with nulls: the contract rejects it with a reason code.

A path is a list of names separated by dots, for example `commit.author.name`; `parents.#` is the length of a list.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.sources.github.endpoints import Endpoint


def value_at(record: object, path: str) -> object:
    """Return the value at this path; None if a step of the path is missing or null."""
    value = record
    for step in path.split("."):
        if step == "#":
            value = len(value) if isinstance(value, list) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def line(record: object, columns: Mapping[str, str], repository: str, fetched_at: datetime) -> bytes:
    """Return a record as one line of NDJSON, with the requested repository and the time of the request."""
    row = {
        "repository": repository,
        **{column: value_at(record, path) for column, path in columns.items()},
        "fetched_at": timestamp(fetched_at),
    }
    # Non-ASCII characters are escaped: a lone surrogate cannot be written in UTF-8.
    return json.dumps(row, separators=(",", ":")).encode("ascii")


def time_of(record: object, endpoint: Endpoint) -> datetime | None:
    """Return the time of a record by which the API sorts, in UTC; None if it is missing or cannot be parsed."""
    text = value_at(record, endpoint.time)
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # OverflowError: in UTC it is before the year 1, or after 9999
        return None


def timestamp(time: datetime) -> str:
    """Return a time in the format of the API: UTC, to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""The final comparison: every file is settled with the expected status, and every row is loaded once.

What belongs here: comparing what was dropped with the ledger and the tables. What does not: growth.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from psycopg import sql

from proof.soak.load import BUCKET, DATASETS, STATUS, TOPIC, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.stores.warehouse import Connection
    from proof.soak.load import Dropped, Load

_PAUSE = 2.0
_ENTRIES = (
    b"SELECT object_key, status, settled_at IS NOT NULL, rows_read, extract(epoch FROM loaded_at) "
    b"FROM ops.file_ingestion_log WHERE bucket = %s"
)
# Status, whether it is settled, number of rows read, time of the load (seconds since the epoch).
Entry = tuple[object, ...]
_GOOD = {Kind.SMALL, Kind.LARGE}


def wait_until_settled(connection: Connection, load: Load, seconds: float, say: Callable[[str], None]) -> list[str]:
    """Wait until files and messages are settled; return what is missing after `seconds`, one sentence each."""
    end, left = time.monotonic() + seconds, ["the ledger was not read"]
    while left and time.monotonic() < end:
        left = complaints(connection, load)
        if left:
            say(f"waiting: {left[0]}" + (f" and {len(left) - 1} more" if len(left) > 1 else ""))
            time.sleep(_PAUSE)
    return left


def complaints(connection: Connection, load: Load) -> list[str]:
    """Return the differences between what was dropped, and the ledger and tables."""
    entries = _originals_first(
        {row[0]: row[1:] for row in connection.execute(_ENTRIES, [BUCKET]).fetchall()}, load.dropped
    )
    found = [complaint for one in load.dropped if (complaint := _complaint(one, entries.get(one.key)))]
    for dataset in DATASETS:
        rows = sum(one.rows for one in load.dropped if one.dataset == dataset and one.kind in _GOOD)
        found += _difference(connection, dataset, rows)
    return found + _difference(connection, TOPIC, load.messages)


def latencies(connection: Connection, load: Load, begun: float) -> list[tuple[float, float]]:
    """Return for each loaded file the drop's time, in seconds since `begun`, and the seconds from drop to loaded."""
    loaded = {row[0]: float(row[4]) for row in connection.execute(_ENTRIES, [BUCKET]).fetchall() if row[4] is not None}
    return [(one.at - begun, loaded[one.key] - one.at) for one in load.dropped if one.key in loaded]


def _originals_first(entries: dict[str, Entry], dropped: list[Dropped]) -> dict[str, Entry]:
    """Return the entries; where the duplicate of a file was loaded, the two entries are exchanged."""
    exchanged = dict(entries)
    for one in dropped:
        status = entries.get(one.original, ("",))[0]
        if status == STATUS[Kind.COPY] and one.key in entries:
            exchanged[one.original], exchanged[one.key] = entries[one.key], entries[one.original]
    return exchanged


def _complaint(one: Dropped, entry: Entry | None) -> str:
    if entry is None:
        return f"{one.key} is not in the ledger"
    status, settled, rows_read, _ = entry
    if not settled:
        return f"{one.key} is not settled ({status})"
    if status != STATUS[one.kind]:
        return f"{one.key} ended as {status}; expected {STATUS[one.kind]}"
    if one.kind in _GOOD and rows_read != one.rows:
        return f"{one.key} has {one.rows} rows, and {rows_read} were read"
    return ""


def _difference(connection: Connection, dataset: str, rows: int) -> list[str]:
    if not connection.execute("SELECT to_regclass(%s)", [f"raw.{dataset}"]).fetchall()[0][0]:
        return [f"raw.{dataset} does not exist, and {rows:,} rows were dropped"] if rows else []
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("raw", dataset))
    count = int(connection.execute(query).fetchall()[0][0])
    return [] if count == rows else [f"raw.{dataset} has {count:,} rows, and {rows:,} were dropped"]

"""How far each element of a source was read, and the delivery under way: the rows of ops.source_position.

What belongs here: an element's row and its lock. What does not: the order in which a run changes them (`run`), and
files (`deliver`).

The row makes a delivery exact, whenever a process dies:

1. `begin` commits the key of the file, before the first request.
2. `add_result` commits what was read, before the file is written: the next position, and size and hash of the file.
3. The file is written under a key without an object.
4. `commit` moves the position to that of the file, and clears what is pending.

A run that finds a pending key asks whether a file has arrived under it. If so, its result becomes the position; if
not, the same window is read again, under the same key. The results of all attempts under a key are kept until then: a
process that was believed dead may still write its file, and then the result of this file counts.

Each change names the `version` of the row that it builds on. A process that has lost the lock changes nothing.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from psycopg import errors as pg

from include.errors import Code, RetryableError
from include.errors.registry import message
from include.sources.listing import Position
from include.stores.sql_text import statement
from include.stores.warehouse import Connection, connect, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from include.settings import WarehouseConfig

# The server releases the lock of a run that has just ended within this time.
_LOCK_SECONDS = 1
# The role's own limit may be shorter than a run.
_LONGEST_RUN = "7d"


@dataclass(frozen=True)
class PendingResult:
    """What one attempt has read, and what is true once its file has arrived.

    Attributes:
        position: where the next run begins.
        source_run_id: the attempt's row of ops.source_run.
        figures: of that row, as `include.sources.runs` makes them.
        size_bytes: of the file.
        sha256: of the file, in hexadecimal digits.
    """

    position: Position
    source_run_id: int
    figures: Mapping[str, Any]
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class StoredPosition:
    """The row of an element; without a row, that of an element that was never read.

    Attributes:
        position: how far it was read.
        version: of the row; 0 without one.
        not_before: the source asks for no request before this time.
        pending_key: of the delivery under way.
        results: of the attempts under that key, the oldest first.
        is_of_stand_in: a stand-in answered the last run that delivered records.
    """

    position: Position = field(default_factory=Position)
    version: int = 0
    not_before: datetime | None = None
    pending_key: str | None = None
    results: tuple[PendingResult, ...] = ()
    is_of_stand_in: bool = False


class Positions:
    """Reads and changes the row of one element. Each change is a transaction, or a part of the caller's."""

    def __init__(self, connection: Connection, source: str, element: str) -> None:
        self._connection, self._source, self._element = connection, source, element

    def read(self) -> StoredPosition:
        """Return the row."""
        with warehouse_errors():
            row = self._connection.execute(statement("read_source_position"), self._values()).fetchone()
        if row is None:
            return StoredPosition()
        version, watermark, address, etag, next_page, not_before, key, results, is_of_stand_in = row
        position = Position(watermark, address, etag, next_page)
        return StoredPosition(position, version, not_before, key, tuple(map(_result, results)), is_of_stand_in)

    def begin(self, version: int, key: str | None) -> int:
        """Commit the key of a delivery that begins; None for messages.

        Returns:
            The version of the row.

        Raises:
            RetryableError: another run has changed the row.
        """
        return self._change("begin_source_position", version=version, key=key)

    def add_result(self, version: int, result: PendingResult) -> None:
        """Commit what was read, durably: the file must not be written before.

        Raises:
            RetryableError: another run has begun.
        """
        with warehouse_errors(), self._connection.transaction():
            self._connection.execute("SET LOCAL synchronous_commit = on")
            self._change("add_source_result", version=version, results=json.dumps([asdict(result)]))

    def commit(self, version: int, position: Position, not_before: datetime | None) -> int:
        """Commit how far the element was read, and clear what is pending.

        Returns:
            The version of the row.

        Raises:
            RetryableError: another run has begun.
        """
        return self._change("commit_source_position", version=version, not_before=not_before, **asdict(position))

    def _change(self, name: str, **values: object) -> int:
        with warehouse_errors():
            row = self._connection.execute(statement(name), self._values(**values)).fetchone()
        if row is None:
            raise _other_run(self._source, self._element)
        return int(row[0])

    def _values(self, **values: object) -> dict[str, object]:
        return {"source": self._source, "element": self._element, **values}


@contextmanager
def element_lock(config: WarehouseConfig, source: str, element: str) -> Iterator[None]:
    """Hold the lock of an element: one run at a time reads it.

    The lock is a row in an open transaction of a connection of its own, so it ends with the process. If the connection
    breaks, the versions of the position keep two runs apart.

    Raises:
        RetryableError: another run holds it.
    """
    lock = {"name": f"source {source} {element}"}
    with connect(config) as connection:
        with warehouse_errors():
            connection.execute(statement("add_work_lock"), lock)
            connection.execute("BEGIN")
            connection.execute(
                f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'; "
                f"SET LOCAL idle_in_transaction_session_timeout = '{_LONGEST_RUN}'"
            )
            try:
                connection.execute(statement("take_work_lock"), lock)
            except pg.LockNotAvailable as error:
                raise _other_run(source, element) from error
        yield


def _other_run(source: str, element: str) -> RetryableError:
    text = message(Code.TARGET_LOCKED, "element", source=source, element=element)
    return RetryableError(Code.TARGET_LOCKED, text, source=source, element=element)


def _result(stored: Mapping[str, Any]) -> PendingResult:
    return PendingResult(**{**stored, "position": Position(**stored["position"])})

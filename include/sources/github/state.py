"""How far each endpoint of each repository was read: the rows of ops.source_state.

A row has one of three states. Before the first response `request_url` is null. After a listing was read completely,
`request_url` and `etag` are those of its first page: the next run requests it again, and a 304 means that there are no
new records. While a listing is unfinished, `request_url` is the last page that was read, `last_record` the last record
on it, and `etag` is null: the next run continues there. In all three states `newest_at` is the time of the newest
record that was written; the position in an unfinished listing is stored separately.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.sources.github.endpoints import SOURCE
from include.stores.warehouse import Connection, statement, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime


_NAMES_LOCK = {"name": "names of source files"}


@dataclass(frozen=True)
class State:
    """One row; `request` is path and query without the API's server, whose address may change."""

    newest_at: datetime | None = None
    request: str | None = None
    etag: str | None = None
    last_record: str | None = None

    @property
    def unfinished(self) -> str | None:
        """Return the request of the page to continue at; None if the listing was read completely."""
        return self.request if self.etag is None else None


class States:
    """Reads and writes the states over one connection, which must not be in a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, repository: str, endpoint: str) -> State:
        """Return the stored state."""
        with warehouse_errors(), self._connection.cursor() as cursor:
            cursor.execute(statement("read_source_state"), _key(repository, endpoint))
            row = cursor.fetchone()
        return State(*row) if row else State()

    def save(self, repository: str, endpoint: str, state: State, answer: str) -> None:
        """Store how far the endpoint was read, and the outcome of the run."""
        values = {
            **_key(repository, endpoint),
            "newest_at": state.newest_at,
            "request_url": state.request,
            "etag": state.etag,
            "last_record": state.last_record,
            "answer": _text(answer),
        }
        with warehouse_errors(), self._connection.cursor() as cursor:
            cursor.execute(statement("save_source_state"), values)

    def failed(self, repository: str, endpoint: str, answer: str) -> None:
        """Store why nothing was read; the position does not change."""
        values = {**_key(repository, endpoint), "answer": _text(answer)}
        with warehouse_errors(), self._connection.cursor() as cursor:
            cursor.execute(statement("note_source_failure"), values)

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Hold the lock under which object keys are chosen: only one worker at a time chooses them."""
        with warehouse_errors(), self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(statement("add_work_lock"), _NAMES_LOCK)
            cursor.execute(statement("take_work_lock"), _NAMES_LOCK)
            yield


def _key(repository: str, endpoint: str) -> dict[str, str]:
    return {"source": SOURCE, "resource": repository, "endpoint": endpoint}


def _text(words: str) -> str:
    return words.replace("\0", "")

"""How far each endpoint of each repository was read: the rows of ops.source_state.

A row is in one of three states. Before the first answer `request_url` is null. After a listing was read to its end,
`request_url` and `etag` are those of its first page: the next run asks it again, and a 304 says there is no news.
While a listing is unfinished, `request_url` is the last page that was read, `last_record` the last record that was,
and `etag` is null: the next run goes on there. `newest_at` is the newest record that was written in all three, since
the unfinished rest has its own note.
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
    """One row; `request` is path and query, from the root of the API's server, which may move."""

    newest_at: datetime | None = None
    request: str | None = None
    etag: str | None = None
    last_record: str | None = None

    @property
    def unfinished(self) -> str | None:
        """The page to go on at."""
        return self.request if self.etag is None else None


class States:
    """Notes on one connection, which is in no transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, repository: str, endpoint: str) -> State:
        """The row as it stands."""
        with warehouse_errors(SOURCE), self._connection.cursor() as cursor:
            cursor.execute(statement("read_source_state"), _key(repository, endpoint))
            row = cursor.fetchone()
        return State(*row) if row else State()

    def save(self, repository: str, endpoint: str, state: State, answer: str) -> None:
        """Note how far it was read by now, and what the run met."""
        values = {
            **_key(repository, endpoint),
            "newest_at": state.newest_at,
            "request_url": state.request,
            "etag": state.etag,
            "last_record": state.last_record,
            "answer": _text(answer),
        }
        with warehouse_errors(SOURCE), self._connection.cursor() as cursor:
            cursor.execute(statement("save_source_state"), values)

    def failed(self, repository: str, endpoint: str, answer: str) -> None:
        """Note why nothing was read."""
        values = {**_key(repository, endpoint), "answer": _text(answer)}
        with warehouse_errors(SOURCE), self._connection.cursor() as cursor:
            cursor.execute(statement("note_source_failure"), values)

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Be the only one, of all workers, who gives out names of objects."""
        with warehouse_errors(SOURCE), self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(statement("add_work_lock"), _NAMES_LOCK)
            cursor.execute(statement("take_work_lock"), _NAMES_LOCK)
            yield


def _key(repository: str, endpoint: str) -> dict[str, str]:
    return {"source": SOURCE, "resource": repository, "endpoint": endpoint}


def _text(words: str) -> str:
    return words.replace("\0", "")

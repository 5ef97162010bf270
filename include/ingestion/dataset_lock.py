"""The lock of a dataset: one process at a time changes the rows or the columns of its table.

What belongs here: taking the lock, and noting in the ledger which file holds it. What does not: the work under it.

The lock is a row of `ops.dataset_lock`, which only the role `ingest` can lock. A load may hold it for a long time, so a
wait for another load has no limit; a wait for anything else has.
"""

from __future__ import annotations

import logging
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import errors as pg

from include.errors import Code, visible
from include.errors.registry import message
from include.stores.sql_text import statement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.ingestion.attempt import Attempt

log = logging.getLogger(__name__)

FIRST_EVENT_SECONDS = 5.0
EVENT_SECONDS = 60.0
_LOADER = re.compile(r"ingest file (\d+)")


@contextmanager
def dataset_lock(attempt: Attempt) -> Iterator[None]:
    """Open a transaction that holds the lock of the file's dataset. Its lock timeout is that of the settings.

    While another load holds the lock, a ledger event says so after five seconds and once a minute from then on.

    Raises:
        LockNotAvailable: a session that loads no file has held the lock for longer than the lock timeout.
    """
    connection, entry, limit = attempt.stores.connection, attempt.entry, attempt.settings.lock_timeout_seconds
    wait = _Wait(attempt)
    connection.execute(statement("add_dataset_lock"), {"dataset": entry.dataset})
    while True:
        held = False
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = {int(wait.seconds() * 1000)}")
                connection.execute(statement("take_dataset_lock"), {"dataset": entry.dataset})
                held = True
                connection.execute(
                    f"SET LOCAL application_name = 'ingest file {entry.file_id}'; SET LOCAL lock_timeout = '{limit}s'"
                )
                yield
            return
        except pg.LockNotAvailable:
            if held or not wait.may_go_on():
                raise


@dataclass
class _Wait:
    """A wait for the lock: which file holds it, and when the ledger gets its next event."""

    attempt: Attempt

    def __post_init__(self) -> None:
        self._limit = self.attempt.settings.lock_timeout_seconds
        self._began = self._loader_seen = time.monotonic()
        self._next_event = self._began + FIRST_EVENT_SECONDS

    def seconds(self) -> float:
        """Seconds to wait until the holder is looked up again."""
        return max(0.1, min(self._limit, self._next_event - time.monotonic()))

    def may_go_on(self) -> bool:
        """Look up the holder and note it when it is time. False once no load has held the lock for the limit."""
        now = time.monotonic()
        file_id = self._loading_file()
        if file_id is None:
            return now - self._loader_seen < self._limit
        self._loader_seen = now
        if now >= self._next_event:
            self._next_event = now + EVENT_SECONDS
            self._note(file_id, now - self._began)
        return True

    def _loading_file(self) -> int | None:
        """The file whose load holds the lock; None if another session holds it, or if it is free."""
        values = {"dataset": self.attempt.entry.dataset}
        for _, name in self.attempt.stores.connection.execute(statement("dataset_lock_holder"), values):
            if match := _LOADER.fullmatch(name or ""):
                return int(match[1])
        return None

    def _note(self, file_id: int, seconds: float) -> None:
        entry, stores = self.attempt.entry, self.attempt.stores
        holder = stores.ledger.read(file_id)
        key = holder.shown_key if holder is not None else "not in the ledger"
        waits = message(Code.WAITING_FOR_LOADER, seconds=seconds, file_id=file_id, key=key, dataset=entry.dataset)
        log.info("File %s (%s): %s", entry.file_id, entry.shown_key, waits)
        values = {"file_id": entry.file_id, "message": visible(waits)}
        stores.connection.execute(statement("record_lock_wait"), values)

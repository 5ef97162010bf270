"""The stream of files: drops one after the other until it is stopped, as a partner would who tries again.

What belongs here: when a file is dropped, and what the ledger says of it. What does not: what it holds (`workload`).
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from include.errors import RetryableError
from include.stores.object_store import ObjectStore
from include.stores.warehouse import connect
from proof.torture.stand import BUCKET
from proof.torture.workload import Sort

if TYPE_CHECKING:
    from proof.torture.stand import Stand
    from proof.torture.workload import Drop, Workload

_MOST_OPEN = 25  # files under way; with more the stream waits: faults are to hit work, not a heap
_PAUSE = (0.3, 2.0)
_RETRY_SECONDS = 0.5
_TRIES = 400
_JOIN_SECONDS = 240


@dataclass
class Stream:
    """A thread that drops files. `cut` are the keys whose upload failed at least once before it succeeded."""

    stand: Stand
    workload: Workload
    seed: int
    dropped: list[Drop] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)
    error: Exception | None = None

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._chance = random.Random(f"pauses {self.seed}")  # noqa: S311 - to be repeated, not to be secret
        self._held: list[Drop] = []
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """No more new files; those that are held back for their name's sake still come.

        Raises:
            Exception: the stream had ended before, for this reason.
        """
        self._stop.set()
        self._thread.join(_JOIN_SECONDS)
        if self.error is not None:
            raise self.error

    @property
    def held(self) -> int:
        """Files that wait until the earlier one of their name is settled."""
        return len(self._held)

    def drop_stranger(self, name: str) -> Drop:
        """Drop a file of no dataset now."""
        drop = self.workload.stranger(name)
        self._drop(drop)
        return drop

    def drop_held(self) -> bool:
        """Drop those that need not wait any more; whether none is left."""
        for drop in list(self._held):
            if self._may_come(drop):
                self._held.remove(drop)
                self._drop(drop)
        return not self._held

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._next()
        except Exception as error:
            self.error = error

    def _next(self) -> None:
        self.drop_held()
        if self._open() >= _MOST_OPEN:
            self._stop.wait(_RETRY_SECONDS)
            return
        drop = self.workload.next()
        if drop.after:
            self._held.append(drop)
        else:
            self._drop(drop)
        self._stop.wait(self._chance.uniform(*_PAUSE))

    def _drop(self, drop: Drop) -> None:
        for _ in range(_TRIES):
            try:
                ObjectStore(self.stand.s3_config).upload(drop.path, BUCKET, drop.key)
            except RetryableError:
                self.cut.add(drop.key)
                time.sleep(_RETRY_SECONDS)
            else:
                self.dropped.append(drop)
                return
        message = f"{drop.key} could not be dropped"
        raise TimeoutError(message)

    def _may_come(self, drop: Drop) -> bool:
        """Whether every earlier file of that name is settled."""
        earlier = sum(other.key == drop.key for other in self.dropped)
        waiting = [other for other in self._held if other.key == drop.key and other.number < drop.number]
        if waiting or not earlier:
            return False
        found = self._ask(
            "SELECT count(DISTINCT etag) FILTER (WHERE settled_at IS NOT NULL), "
            "count(*) FILTER (WHERE settled_at IS NULL OR status LIKE '%%failed' AND settled_key IS NULL) "
            "FROM ops.file_ingestion_log WHERE object_key = %s",
            drop.key,
        )
        return found is not None and found[0] >= earlier and found[1] == 0

    def _open(self) -> int:
        """Files that are dropped and not settled."""
        # Of several files under one key, those that were replaced before a claim have no entry.
        keys = [drop.key for drop in self.dropped if drop.key not in self.workload.raced]
        found = self._ask(
            "SELECT count(*) FROM ops.file_ingestion_log WHERE settled_at IS NOT NULL AND object_key = ANY(%s)", keys
        )
        return len(keys) - int(found[0]) if found is not None else 0

    def _ask(self, query: str, value: object) -> tuple[int, ...] | None:
        """A row, or None where the warehouse is away: that is what is done to it."""
        try:
            with connect(self.stand.warehouse_config()) as connection:
                return connection.execute(query.encode(), [value]).fetchone()
        except (RetryableError, psycopg.Error):
            return None


def is_large(drop: Drop) -> bool:
    """Whether a file takes long enough to be hit in the middle of its copy."""
    return drop.sort is Sort.LARGE

"""The stream of files: drops one after the other until it is stopped, and retries failed uploads.

What belongs here: when a file is dropped, and its state in the ledger. What does not: its content (`workload`).
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
from proof.torture.proxied_platform import BUCKET
from proof.torture.workload import Sort

if TYPE_CHECKING:
    from proof.torture.proxied_platform import ProxiedPlatform
    from proof.torture.workload import Drop, Workload

_MOST_OPEN = 25  # files that are dropped and not settled; with more the stream waits, so that the backlog stays small
_PAUSE = (0.3, 2.0)
_RETRY_SECONDS = 0.5
_TRIES = 400
_JOIN_SECONDS = 240


@dataclass
class Stream:
    """A thread that drops files. `cut` are the keys of which an upload failed before one succeeded."""

    platform: ProxiedPlatform
    workload: Workload
    seed: int
    dropped: list[Drop] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)
    error: Exception | None = None

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._chance = random.Random(f"pauses {self.seed}")  # noqa: S311 - repeatable, not secret
        self._held: list[Drop] = []
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop making new files; `drop_held` still drops the held ones.

        Raises:
            Exception: the error that ended the stream earlier.
        """
        self._stop.set()
        self._thread.join(_JOIN_SECONDS)
        if self.error is not None:
            raise self.error

    @property
    def held(self) -> int:
        """The number of files that wait until the earlier file of their name is settled."""
        return len(self._held)

    def drop_unmatched(self, name: str) -> Drop:
        """Drop a file without a dataset now."""
        drop = self.workload.unmatched(name)
        self._drop(drop)
        return drop

    def drop_held(self) -> bool:
        """Drop the held files that need not wait any more; return whether none is held."""
        for drop in list(self._held):
            if self._may_be_dropped(drop):
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
                ObjectStore(self.platform.s3_config).upload(drop.path, BUCKET, drop.key)
            except RetryableError:
                self.cut.add(drop.key)
                time.sleep(_RETRY_SECONDS)
            else:
                self.dropped.append(drop)
                return
        message = f"{drop.key} could not be uploaded in {_TRIES} tries"
        raise TimeoutError(message)

    def _may_be_dropped(self, drop: Drop) -> bool:
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
        """Return the number of files that are dropped and not settled."""
        # A file that was overwritten before it was claimed has no entry.
        keys = [drop.key for drop in self.dropped if drop.key not in self.workload.raced]
        found = self._ask(
            "SELECT count(*) FROM ops.file_ingestion_log WHERE settled_at IS NOT NULL AND object_key = ANY(%s)", keys
        )
        return len(keys) - int(found[0]) if found is not None else 0

    def _ask(self, query: str, value: object) -> tuple[int, ...] | None:
        """Return a row, or None if the warehouse is not available (a fault may be active)."""
        try:
            with connect(self.platform.warehouse_config()) as connection:
                return connection.execute(query.encode(), [value]).fetchone()
        except (RetryableError, psycopg.Error):
            return None


def is_large(drop: Drop) -> bool:
    """Whether a file is so large that a fault can hit it during COPY."""
    return drop.sort is Sort.LARGE

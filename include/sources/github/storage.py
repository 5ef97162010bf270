"""What runs store: how far each endpoint of each repository was read, raw responses, and files.

Objects have these keys, each used once; a second object of the same second ends with `-002`, and so on:

    <raw bucket>/github-<endpoint>/YYYY-MM-DD/HH-MM-SS.json             a raw response; times in UTC
    <landing bucket>/incoming/<dataset>/<dataset>_<owner>-<name>_YYYYMMDDTHHMMSSZ.ndjson

A row of ops.source_state has one of three states. Before the first response `request_url` is null. After a listing was
read completely, `request_url` and `etag` are those of its first page: the next run requests it again, and a 304 means
that there are no new records. While a listing is unfinished, `request_url` is the last page that was read,
`last_record` the last record on it, and `etag` is null: the next run continues there. In all three states `newest_at`
is the time of the newest record that was written; the position in an unfinished listing is stored separately.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from itertools import count
from typing import TYPE_CHECKING

from include.ingestion.object_keys import incoming_prefix
from include.sources.github.endpoints import SOURCE
from include.stores.sql_text import statement
from include.stores.warehouse import Connection, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from include.sources.github.endpoints import Endpoint
    from include.stores.object_store import ObjectStore

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
            "answer": answer.replace("\0", ""),
        }
        with warehouse_errors(), self._connection.cursor() as cursor:
            cursor.execute(statement("save_source_state"), values)

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Hold the lock under which object keys are chosen: only one worker at a time chooses them."""
        with warehouse_errors(), self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(statement("add_work_lock"), _NAMES_LOCK)
            cursor.execute(statement("take_work_lock"), _NAMES_LOCK)
            yield


def _key(repository: str, endpoint: str) -> dict[str, str]:
    return {"source": SOURCE, "resource": repository, "endpoint": endpoint}


class SourceObjects:
    """Writes objects under new keys: existing objects are never overwritten."""

    def __init__(self, objects: ObjectStore, states: States, raw_bucket: str, landing_bucket: str) -> None:
        self._objects, self._states = objects, states
        self._raw_bucket, self._landing_bucket = raw_bucket, landing_bucket
        self._last_stem, self._last_number = "", 0

    def keep_answer(self, endpoint: Endpoint, answered_at: datetime, body: bytes) -> str:
        """Store the bytes of a response, and return its key."""
        stem = f"github-{endpoint.name}/{answered_at.astimezone(UTC):%Y-%m-%d/%H-%M-%S}"
        return self._put(self._raw_bucket, stem, ".json", body, "application/json")

    def drop(self, endpoint: Endpoint, repository: str, begun_at: datetime, body: bytes) -> str:
        """Write a file to the incoming folder of its dataset, and return its key."""
        name = f"{endpoint.dataset}_{repository.replace('/', '-')}_{begun_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        stem = incoming_prefix(endpoint.dataset) + name
        return self._put(self._landing_bucket, stem, ".ndjson", body, "application/x-ndjson")

    def _put(self, bucket: str, stem: str, suffix: str, body: bytes, content_type: str) -> str:
        # Many pages arrive in one second: numbers used by this object need not be checked in the store.
        full_stem = f"{bucket}/{stem}"
        used = self._last_number if full_stem == self._last_stem else 0
        with self._states.naming():
            for number in count(used + 1):
                key = f"{stem}{suffix}" if number == 1 else f"{stem}-{number:03}{suffix}"
                if self._objects.head(bucket, key) is None:
                    break
            self._objects.put(bucket, key, body, content_type)
        self._last_stem, self._last_number = full_stem, number
        return key

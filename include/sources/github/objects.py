"""Where answers and files lie in the buckets, under names that are given out once.

    <raw bucket>/github-<endpoint>/YYYY-MM-DD/HH-MM-SS.json             an answer as it came; in UTC
    <landing bucket>/incoming/<dataset>/<dataset>_<owner>-<name>_YYYYMMDDTHHMMSSZ.ndjson

A second one of the same second is `...-002`, and so on.
"""

from __future__ import annotations

from datetime import UTC
from itertools import count
from typing import TYPE_CHECKING

from include.ingestion.places import incoming_prefix

if TYPE_CHECKING:
    from datetime import datetime

    from include.sources.github.endpoints import Endpoint
    from include.sources.github.state import States
    from include.stores.object_store import ObjectStore


class SourceObjects:
    """Puts objects where there is none yet."""

    def __init__(self, objects: ObjectStore, states: States, raw_bucket: str, landing_bucket: str) -> None:
        self._objects, self._states = objects, states
        self._raw_bucket, self._landing_bucket = raw_bucket, landing_bucket
        self._given_at, self._given = "", 0

    def keep_answer(self, endpoint: Endpoint, answered_at: datetime, body: bytes) -> str:
        """Store an answer's bytes; the key."""
        stem = f"github-{endpoint.name}/{answered_at.astimezone(UTC):%Y-%m-%d/%H-%M-%S}"
        return self._put(self._raw_bucket, stem, ".json", body, "application/json")

    def drop(self, endpoint: Endpoint, repository: str, begun_at: datetime, body: bytes) -> str:
        """Put a file where the dataset's own DAG finds it; the key."""
        name = f"{endpoint.dataset}_{repository.replace('/', '-')}_{begun_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        stem = incoming_prefix(endpoint.dataset) + name
        return self._put(self._landing_bucket, stem, ".ndjson", body, "application/x-ndjson")

    def _put(self, bucket: str, stem: str, suffix: str, body: bytes, content_type: str) -> str:
        # Many pages come in one second: the names that were given out here need not be looked for.
        place = f"{bucket}/{stem}"
        given = self._given if place == self._given_at else 0
        with self._states.naming():
            for number in count(given + 1):
                key = f"{stem}{suffix}" if number == 1 else f"{stem}-{number:03}{suffix}"
                if self._objects.head(bucket, key) is None:
                    break
            self._objects.put(bucket, key, body, content_type)
        self._given_at, self._given = place, number
        return key

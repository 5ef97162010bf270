"""Object keys of raw responses and files in the buckets. Each key is used once.

    <raw bucket>/github-<endpoint>/YYYY-MM-DD/HH-MM-SS.json             a raw response; times in UTC
    <landing bucket>/incoming/<dataset>/<dataset>_<owner>-<name>_YYYYMMDDTHHMMSSZ.ndjson

A second object of the same second ends with `-002`, and so on.
"""

from __future__ import annotations

from datetime import UTC
from itertools import count
from typing import TYPE_CHECKING

from include.ingestion.object_keys import incoming_prefix

if TYPE_CHECKING:
    from datetime import datetime

    from include.sources.github.endpoints import Endpoint
    from include.sources.github.state import States
    from include.stores.object_store import ObjectStore


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

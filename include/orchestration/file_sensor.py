"""Sensors for files: a poll lists incoming/, and asks the ledger about the objects in the dataset's folder.

Airflow's S3KeySensor logs a line at each poll, and starts runs for objects that no run can load.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from abc import abstractmethod
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from include.errors import PipelineError
from include.ingestion.object_keys import INCOMING, incoming_prefix
from include.orchestration.polling import PollingSensor, PollingTrigger
from include.orchestration.stores import s3_config, warehouse_ingest_config
from include.settings import ingest_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.sdk import Context
    from airflow.triggers.base import TriggerEvent

    from include.settings import S3Config, WarehouseConfig
    from include.stores.object_store import ObjectStore


class WaitForFiles(PollingSensor):
    """Succeed when the dataset's folder under incoming/ has a file that a run can load.

    Args:
        dataset: name of the dataset.
        options: arguments of `PollingSensor`.
    """

    def __init__(self, *, dataset: str, **options: Any) -> None:
        super().__init__(**options)
        self.dataset = dataset

    def trigger(self, until: datetime, **alerting: Any) -> FilesWaitingTrigger:
        """Return the trigger for this dataset."""
        return FilesWaitingTrigger(self.dataset, self.poke_interval, until, **alerting)

    def awaited(self) -> str:
        """Describe what the sensor waits for."""
        return f"files of {self.dataset}"


class _BucketTrigger(PollingTrigger):
    """Polls incoming/ and the ledger."""

    _stores: tuple[S3Config, WarehouseConfig] | None = None

    def poll(self) -> int:
        """Return 1 if there is work, else 0."""
        # The connections are read once, and again after an error: a password may have changed.
        stores = self._stores or (s3_config(), warehouse_ingest_config())
        self._stores = None
        found = self.is_due(_shared_listing(stores[0]), stores[1])
        self._stores = stores
        return int(found)

    @abstractmethod
    def is_due(self, shared: _SharedListing, warehouse: WarehouseConfig) -> bool:
        """Return whether there is work."""


class FilesWaitingTrigger(_BucketTrigger):
    """Polls until there is a file to claim. A file that waits for the end of an outage counts once a minute."""

    _names: ClassVar[tuple[str, ...]] = ("dataset",)

    def __init__(self, dataset: str, poke_seconds: float, until: datetime, **alerting: Any) -> None:
        super().__init__(poke_seconds, until, **alerting)
        self.dataset = dataset

    def is_due(self, shared: _SharedListing, warehouse: WarehouseConfig) -> bool:
        """Return whether a run would find a file."""
        from include.ingestion.waiting import any_to_claim

        settings = ingest_settings()
        may_hold = shared.may_hold(settings.landing_bucket, incoming_prefix(self.dataset), self.poke_seconds / 2)
        return may_hold and any_to_claim(self.dataset, shared.store, warehouse, settings)


class WaitToSweep(PollingSensor):
    """Succeed when a sweep may find files, and at the latest after `timeout` seconds, for a sweep that finds none.

    It always waits for `poke_interval` first, because the last sweep has just ended.
    """

    def execute(self, context: Context) -> int:  # noqa: ARG002 - Airflow's signature
        """Defer at once: only the trigger polls."""
        self._defer_until(datetime.now(UTC) + timedelta(seconds=self.timeout), None)
        return 0

    def trigger(self, until: datetime, **alerting: Any) -> SweepTrigger:
        """Return the trigger, which waits before its first poll."""
        return SweepTrigger(self.poke_interval, until, **alerting)

    def awaited(self) -> str:
        """Describe what the sensor waits for."""
        return "files of no dataset"

    def _timed_out(self) -> int:
        return self._found(0)


class SweepTrigger(_BucketTrigger):
    """Polls whether incoming/ has objects, or the ledger has entries that only a sweep can settle."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then poll until there is work."""
        await asyncio.sleep(self.poke_seconds)
        async for event in super().run():
            yield event

    def is_due(self, shared: _SharedListing, warehouse: WarehouseConfig) -> bool:
        """Return whether a sweep may find work."""
        from include.ingestion.waiting import sweep_is_due

        bucket = ingest_settings().landing_bucket
        return shared.may_hold(bucket, INCOMING, self.poke_seconds / 2) or sweep_is_due(bucket, warehouse)


class _SharedListing:
    """One client and one listing of incoming/ for all triggers of a process.

    One listing per dataset would take a tenth of a core with twenty datasets, most of it in the object store.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._listed_at, self._keys, self._complete = -math.inf, tuple[str, ...](), True
        self._error: PipelineError | None = None

    def may_hold(self, bucket: str, prefix: str, max_age: float) -> bool:
        """Return whether there may be objects below a prefix of incoming/; the listing is at most `max_age` s old."""
        with self._lock:
            if time.monotonic() >= self._listed_at + max_age:
                self._error = None
                try:
                    self._keys, self._complete = self.store.first_keys(bucket, INCOMING)
                except PipelineError as error:
                    self._error = error
                self._listed_at = time.monotonic()
            if self._error is not None:
                raise self._error
            return not self._complete or any(key.startswith(prefix) and key != INCOMING for key in self._keys)


@lru_cache(maxsize=4)
def _shared_listing(config: S3Config) -> _SharedListing:
    from include.stores.object_store import ObjectStore

    return _SharedListing(ObjectStore(config))

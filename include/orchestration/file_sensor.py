"""Waiting for files: a look lists incoming/, and asks the ledger about what lies in the dataset's folder.

Airflow's own S3KeySensor logs a line at each look, and wakes for objects that no run can do anything about.
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
from include.ingestion.places import INCOMING, incoming_prefix
from include.orchestration.looking import LookingSensor, LookingTrigger
from include.orchestration.stores import s3_config, warehouse_ingest_config
from include.settings import ingest_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.sdk import Context
    from airflow.triggers.base import TriggerEvent

    from include.settings import S3Config, WarehouseConfig
    from include.stores.object_store import ObjectStore


class WaitForFiles(LookingSensor):
    """Succeeds once a file lies in the dataset's folder under incoming/ that a run can work on.

    Args:
        dataset: whose folder.
        options: those of `LookingSensor`.
    """

    def __init__(self, *, dataset: str, **options: Any) -> None:
        super().__init__(**options)
        self.dataset = dataset

    def trigger(self, until: datetime, **alerting: Any) -> FilesWaitingTrigger:
        """The trigger for this dataset."""
        return FilesWaitingTrigger(self.dataset, self.poke_interval, until, **alerting)

    def awaited(self) -> str:
        """The dataset."""
        return f"files of {self.dataset}"


class _BucketTrigger(LookingTrigger):
    """Looks into incoming/ and the ledger."""

    _stores: tuple[S3Config, WarehouseConfig] | None = None

    def look(self) -> int:
        """1 if there is something to do, else 0."""
        # Connections are asked for once, and again after an error: a password may have changed.
        stores = self._stores or (s3_config(), warehouse_ingest_config())
        self._stores = None
        found = self.is_due(_shared_look(stores[0]), stores[1])
        self._stores = stores
        return int(found)

    @abstractmethod
    def is_due(self, shared: _SharedLook, warehouse: WarehouseConfig) -> bool:
        """Whether there is something to do."""


class FilesWaitingTrigger(_BucketTrigger):
    """Looks until there is a file to claim. One that waits for something outside of it counts once a minute."""

    _names: ClassVar[tuple[str, ...]] = ("dataset",)

    def __init__(self, dataset: str, poke_seconds: float, until: datetime, **alerting: Any) -> None:
        super().__init__(poke_seconds, until, **alerting)
        self.dataset = dataset

    def is_due(self, shared: _SharedLook, warehouse: WarehouseConfig) -> bool:
        """Whether a run would find a file."""
        from include.ingestion.waiting import any_to_claim

        settings = ingest_settings()
        may_hold = shared.may_hold(settings.landing_bucket, incoming_prefix(self.dataset), self.poke_seconds / 2)
        return may_hold and any_to_claim(self.dataset, shared.store, warehouse, settings)


class WaitToSweep(LookingSensor):
    """Succeeds once a sweep may find something, and after `timeout` seconds without: then it notes that nothing waits.

    It always waits for `poke_interval` first: the last sweep has just ended.
    """

    def execute(self, context: Context) -> int:  # noqa: ARG002 - Airflow calls it so
        """Leave every look to the trigger."""
        self._defer_until(datetime.now(UTC) + timedelta(seconds=self.timeout), None)
        return 0

    def trigger(self, until: datetime, **alerting: Any) -> SweepTrigger:
        """The trigger that pauses first."""
        return SweepTrigger(self.poke_interval, until, **alerting)

    def awaited(self) -> str:
        """What a sweep is for."""
        return "files of no dataset"

    def _nothing_came(self) -> int:
        return self._found(0)


class SweepTrigger(_BucketTrigger):
    """Looks whether anything lies in incoming/, or the ledger has something that only a sweep ends."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Pause, then look until something is found."""
        await asyncio.sleep(self.poke_seconds)
        async for event in super().run():
            yield event

    def is_due(self, shared: _SharedLook, warehouse: WarehouseConfig) -> bool:
        """Whether a sweep may find something."""
        from include.ingestion.waiting import sweep_is_due

        bucket = ingest_settings().landing_bucket
        return shared.may_hold(bucket, INCOMING, self.poke_seconds / 2) or sweep_is_due(bucket, warehouse)


class _SharedLook:
    """One client and one listing of incoming/ for all triggers of a process.

    A call of its own for each dataset would take a tenth of a core with twenty of them, most of it in the store.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._looked, self._keys, self._complete = -math.inf, tuple[str, ...](), True
        self._error: PipelineError | None = None

    def may_hold(self, bucket: str, prefix: str, max_age: float) -> bool:
        """Whether an object may lie below a prefix of incoming/, as it was at most `max_age` seconds ago."""
        with self._lock:
            if time.monotonic() >= self._looked + max_age:
                self._error = None
                try:
                    self._keys, self._complete = self.store.first_keys(bucket, INCOMING)
                except PipelineError as error:
                    self._error = error
                self._looked = time.monotonic()
            if self._error is not None:
                raise self._error
            return not self._complete or any(key.startswith(prefix) and key != INCOMING for key in self._keys)


@lru_cache(maxsize=4)
def _shared_look(config: S3Config) -> _SharedLook:
    from include.stores.object_store import ObjectStore

    return _SharedLook(ObjectStore(config))

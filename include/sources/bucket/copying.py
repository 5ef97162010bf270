"""Copies groups of objects from the source to incoming/, and commits which have arrived.

What belongs here: one group at a time, retries, and whether an error ends the run or only one copy. What does not:
which objects are new, and the limits (`run`).
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, NamedTuple, Self

from include.errors import Code, PermanentError, PipelineError, RetryableError, visible
from include.sources.bucket.copies import CopiedObjects, NewObject, choose, stored_key
from include.sources.bucket.origin import ObjectChangedOnSourceError, ObjectGoneError
from include.sources.deliver import IncomingFiles
from include.stores.object_store import ConditionFailedError
from include.stores.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from include.sources.bucket.copies import Copy
    from include.sources.bucket.definition import BucketSource
    from include.sources.bucket.origin import Origin
    from include.sources.listing import Traffic
    from include.sources.run import SourceStores
    from include.stores.warehouse import Connection

log = logging.getLogger(__name__)

_AT_ONCE = 4
_ATTEMPTS, _WAIT_SECONDS = 3, 1.0
# A run ends after so many objects that were not copied: of those that a later attempt may copy, and of those that the
# source refuses. The latter may be many, such as all old objects in cold storage, and must not hold up newer ones.
_MOST_FAILED, _MOST_REFUSED = 100, 10_000
_MOST_NAMED, _MOST_LOGGED = 5, 100
# Stores note the time of an object in whole seconds: files of one second are loaded in the order of their keys.
_CLOCK_SECONDS = 1.0


@dataclass
class CopyCounts:
    """What a run has copied.

    Attributes:
        new: objects that were to be copied, apart from those that were deleted meanwhile.
        copied: objects.
        bytes: of them.
        empty: objects that were emptied meanwhile.
        failed: the reasons, by key.
    """

    new: int = 0
    copied: int = 0
    bytes: int = 0
    empty: int = 0
    failed: dict[str, PipelineError] = field(default_factory=dict)

    @property
    def tried(self) -> int:
        """Objects that were copied or could not be."""
        return self.copied + len(self.failed)

    @property
    def may_be_retried(self) -> bool:
        """Whether an object was not copied that a later attempt may copy."""
        return any(isinstance(error, RetryableError) for error in self.failed.values())

    def check(self) -> None:
        """End the run if very many objects could not be copied.

        Raises:
            PipelineError: as `error` returns it.
        """
        later = sum(isinstance(error, RetryableError) for error in self.failed.values())
        if later >= _MOST_FAILED or len(self.failed) - later >= _MOST_REFUSED:
            too_many = self.error()
            assert too_many is not None  # noqa: S101 - some have failed
            raise too_many

    def error(self) -> PipelineError | None:
        """The error that names the objects that could not be copied; None if all could."""
        if not self.failed:
            return None
        named = "; ".join(error.message for error in list(self.failed.values())[:_MOST_NAMED])
        more = f"; and {len(self.failed) - _MOST_NAMED:,} more" if len(self.failed) > _MOST_NAMED else ""
        message = visible(f"{len(self.failed):,} of {self.new:,} new objects were not copied: {named}{more}")
        if self.may_be_retried:
            return RetryableError(Code.SOURCE_UNAVAILABLE, message)
        return PermanentError(Code.SOURCE_REFUSED, message)


@dataclass(frozen=True)
class CopyOrder:
    """What all copies of a run have in common.

    Attributes:
        source: the definition.
        source_run_id: the run's row of ops.source_run.
        full_run_id: the Airflow run that asked for all objects again; None: only new ones are copied.
        one_by_one: keep the order of each group, for files that are loaded in the order in which they were written.
    """

    source: BucketSource
    source_run_id: int
    full_run_id: str | None
    one_by_one: bool


class _Outcome(NamedTuple):
    """What became of a copy: `error` is None if it is there."""

    copy: Copy
    error: PipelineError | None = None
    ends_run: bool = False
    is_tried: bool = True


class ObjectCopier:
    """Copies the objects of one run. Use it in a `with` block: it has threads."""

    def __init__(self, order: CopyOrder, origin: Origin, traffic: Traffic, stores: SourceStores) -> None:
        self._order, self._source = order, order.source
        self._origin, self._traffic, self._stores = origin, traffic, stores
        self.counts = CopyCounts()
        # Set when no further copy may begin.
        self._halt = Event()
        self._last_target, self._last_end = b"", 0.0

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(1 if self._order.one_by_one else _AT_ONCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def copy(self, group: Sequence[NewObject]) -> None:
        """Copy a group. An object that changes meanwhile is copied again in its new version.

        Raises:
            RetryableError: the source or a store does not answer.
            PermanentError: one of them refuses everything.
        """
        self.counts.new += len(group)
        for _ in range(_ATTEMPTS):
            changed = self._copy_versions(group)
            group = [again for one in changed if (again := self._version_now(one)) is not None]
            if not group:
                break
        for one in group:
            name = f"s3://{self._source.bucket}/{one.version.key}"
            error = RetryableError(Code.OBJECT_REPLACED, f"{name} changed during each of {_ATTEMPTS} copies.")
            self._note(one.version.key, error)

    def _copy_versions(self, group: Sequence[NewObject]) -> list[Copy]:
        """Copy these versions: commit their keys, copy them, commit that they are there.

        Returns:
            Those that the source has not any more, in this version.
        """
        with connect(self._stores.warehouse) as connection:
            copied = CopiedObjects(connection, self._source)
            copies = choose(self._source, group, lambda keys: self._taken(copied, keys))
            begun = copied.begin(copies, self._order.source_run_id, self._order.full_run_id)
        self.counts.new -= len(copies) - len(begun)
        outcomes = list(self._pool.map(self._outcome, begun))
        with connect(self._stores.warehouse) as connection:
            outcomes = [self._with_taken_key(connection, one) for one in outcomes]
            there = [one.copy for one in outcomes if one.error is None and one.is_tried]
            self.counts.copied += CopiedObjects(connection, self._source).end(there)
        self.counts.bytes += sum(copy.version.size for copy in there)
        self.counts.new -= sum(not one.is_tried for one in outcomes)
        for one in outcomes:
            if one.ends_run and one.error is not None:
                raise one.error
        changed = [one.copy for one in outcomes if isinstance(one.error, ObjectChangedOnSourceError | ObjectGoneError)]
        for one in outcomes:
            if one.error is not None and one.copy not in changed:
                self._note(one.copy.version.key, one.error)
        return changed

    def _taken(self, copied: CopiedObjects, keys: Collection[str]) -> set[str]:
        """Those of these keys in incoming/ that have or had an object."""
        bucket, objects = self._stores.landing_bucket, self._stores.objects
        taken = copied.taken(keys, bucket)
        free = [key for key in keys if key not in taken]
        heads = self._pool.map(lambda key: objects.head(bucket, key), free)
        return taken | {key for key, head in zip(free, heads, strict=True) if head is not None}

    def _with_taken_key(self, connection: Connection, outcome: _Outcome) -> _Outcome:
        """If the key was taken: the copy is there, if an answer of the store was lost, or a run is not dead."""
        if not isinstance(outcome.error, ConditionFailedError):
            return outcome
        copy = outcome.copy
        files = IncomingFiles(self._stores.objects, self._stores.landing_bucket, connection)
        if files.has_arrived(copy.target_key, copy.version.size):
            return _Outcome(copy)
        message = f"The key {copy.target_key} was taken a moment ago. The next run chooses another one."
        return _Outcome(copy, RetryableError(Code.OBJECT_REPLACED, message))

    def _outcome(self, copy: Copy) -> _Outcome:
        """Copy one version of an object."""
        if self._halt.is_set():
            return _Outcome(copy, is_tried=False)
        if self._order.one_by_one:
            self._wait_for_clock(copy.target_key.encode())
        outcome = self._try(copy)
        overtakes = self._order.one_by_one and isinstance(outcome.error, RetryableError)
        if outcome.ends_run or overtakes:
            self._halt.set()
        return outcome

    def _try(self, copy: Copy) -> _Outcome:
        """Copy it, and try again if the source does not answer."""
        attempt = 0
        while True:
            attempt += 1
            try:
                parts = self._origin.parts(copy.version)
                self._stores.objects.put_new_parts(self._stores.landing_bucket, copy.target_key, parts)
            except (ObjectChangedOnSourceError, ObjectGoneError, ConditionFailedError) as error:
                return _Outcome(copy, error)
            except PipelineError as error:
                if error.code is Code.SOURCE_UNAVAILABLE and attempt < _ATTEMPTS:
                    self._traffic.retries += 1
                    self._wait(_WAIT_SECONDS * attempt)
                    continue
                return self._judged(copy, error)
            self._last_target, self._last_end = copy.target_key.encode(), time.monotonic()
            return _Outcome(copy)

    def _judged(self, copy: Copy, error: PipelineError) -> _Outcome:
        """The outcome of a failed copy. It ends the run unless the source serves other objects."""
        try:
            if error.code is Code.SOURCE_REFUSED and isinstance(error, PermanentError):
                return _Outcome(copy, error, ends_run=not self._origin.refuses_only(error, copy.version.key))
            if error.code is Code.SOURCE_UNAVAILABLE:
                self._origin.version_now(copy.version.key)
                return _Outcome(copy, error)
        except PipelineError as other:
            return _Outcome(copy, other, ends_run=True)
        return _Outcome(copy, error, ends_run=True)  # of our own bucket

    def _version_now(self, copy: Copy) -> NewObject | None:
        """The present version of an object that has changed, if it is to be copied."""
        now = self._origin.version_now(copy.version.key)
        self.counts.new -= 1
        if now is None or not now.size:
            self.counts.empty += now is not None
            return None
        self.counts.new += 1
        with connect(self._stores.warehouse) as connection:
            known = CopiedObjects(connection, self._source).known([now.key])
        return NewObject(now, known.get(stored_key(now.key)))

    def _note(self, key: str, error: PipelineError) -> None:
        if len(self.counts.failed) < _MOST_LOGGED:
            log.warning("%s: not copied: %s", self._source.name, error)
        self.counts.failed[key] = error

    def _wait_for_clock(self, target: bytes) -> None:
        """Wait until a copy gets a later time than the last one, if its key does not put it behind that."""
        if target < self._last_target:
            self._wait(max(0.0, _CLOCK_SECONDS - (time.monotonic() - self._last_end)))

    def _wait(self, seconds: float) -> None:
        self._traffic.waited_seconds += seconds
        time.sleep(seconds)

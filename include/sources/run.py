"""One run of one element of a source: settle what is pending, read, deliver, commit.

What belongs here: the order of these steps, and what is true when one of them fails. What does not: reading a kind of
source (a reader), the rows in the warehouse (`positions`, `runs`), files and keys (`deliver`), messages (`topic`).

What came before an error is delivered, and its position is committed; then the error is raised. After a crash the next
run settles the delivery: see `positions`. Messages may be published again, which the contract's key merges.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from include.errors import Code, PermanentError, PipelineError, RetryableError, visible
from include.settings import StreamSettings
from include.sources.database.definition import DatabaseSource
from include.sources.deliver import IncomingFiles, RawCopies, file_stem, source_prefix, utc_now
from include.sources.listing import Listing, Position
from include.sources.positions import PendingResult, Positions, StoredPosition, element_lock
from include.sources.runs import SourceRuns, run_figures
from include.sources.spool import JsonSpool, ParquetSpool, Spool
from include.sources.topic import check_contract, publish
from include.stores.object_store import ConditionFailedError
from include.stores.sql_text import statement
from include.stores.warehouse import Connection, connect, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from include.contracts.model import Contract
    from include.settings import KafkaConfig, WarehouseConfig
    from include.sources.definition import Source
    from include.sources.listing import Element, Traffic
    from include.sources.runs import AirflowAttempt
    from include.stores.object_store import ObjectStore

    # The third is the spool of the kind: a `Sink` of records, or a `RowSink` of rows.
    Read = Callable[[Element, Position, Any], Listing]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ElementTask:
    """What one run reads: an element of a source, whose rows obey a contract."""

    source: Source
    contract: Contract
    element: Element
    attempt: AirflowAttempt

    @property
    def is_published(self) -> bool:
        """Whether records become messages, and not a file."""
        return self.source.deliver == "topic"


@dataclass(frozen=True)
class SourceStores:
    """Where a run reads its position and delivers to.

    Attributes:
        objects: the store of both buckets, that of raw copies and that of incoming/.
        warehouse: as the role `ingest`.
        landing_bucket: with incoming/.
        spool_dir: on the local disk.
        kafka: the broker; only sources with `deliver: topic` need it.
        streams: partitions of a new topic, and the schema registry.
        clock: the time of raw copies.
    """

    objects: ObjectStore
    warehouse: WarehouseConfig
    landing_bucket: str
    spool_dir: Path
    kafka: KafkaConfig | None = None
    streams: StreamSettings = field(default_factory=StreamSettings)
    clock: Callable[[], datetime] = utc_now


@dataclass(frozen=True)
class CollectedElement:
    """The result of a run that has delivered everything it read.

    Attributes:
        element: its name.
        object_key: of the delivered file; None for messages, and if nothing was read.
        settled_key: of a file of an earlier run, whose position this run has committed.
        skipped_until: the source asked for no request before this time, so none was sent.
        is_unfinished: a limit ended the run; the next one continues the listing.
    """

    element: str
    records_read: int = 0
    records_written: int = 0
    records_failed: int = 0
    requests: int = 0
    bytes: int = 0
    waited_seconds: float = 0.0
    watermark: str | None = None
    object_key: str | None = None
    settled_key: str | None = None
    skipped_until: datetime | None = None
    is_not_modified: bool = False
    is_unfinished: bool = False
    is_stand_in: bool = False

    def __str__(self) -> str:
        if self.skipped_until:
            return f"{self.element}: no request before {self.skipped_until:%Y-%m-%d %H:%M:%S} UTC, as the source asks"
        summary = f"{self.element}: {self.requests} requests, {self.records_read:,} records"
        summary += ", not modified" if self.is_not_modified else ""
        summary += f", {self.records_failed:,} not readable" if self.records_failed else ""
        summary += f", waited {self.waited_seconds:.0f} s" if self.waited_seconds >= 1 else ""
        summary += ", unfinished: the next run continues" if self.is_unfinished else ""
        return summary + (f", file {self.object_key}" if self.object_key else "")

    def summary(self) -> dict[str, Any]:
        """The result as values of JSON, for XCom."""
        until = self.skipped_until
        return asdict(self) | {"skipped_until": until.isoformat() if until else None}


def collect(task: ElementTask, read: Read, traffic: Traffic, stores: SourceStores) -> CollectedElement:
    """Read an element from its position on, deliver what was read, and commit the new position.

    Args:
        task: what is read.
        read: reads the element; what it has read when it meets an error is in its listing.
        traffic: is filled by `read`.
        stores: where the position is, and where records go.

    Raises:
        RetryableError: another run reads this element; the source, a store or the broker does not answer.
        PermanentError: one of them refuses, or the contract does not fit. If the source did, what came before it is
            delivered.
    """
    if task.is_published:
        check_contract(task.contract)
    with element_lock(stores.warehouse, task.source.name, task.element.name):
        attempt = _Attempt(task, traffic, stores)
        skipped_until = attempt.begin()
        if skipped_until:
            done, error = CollectedElement(task.element.name, skipped_until=skipped_until), None
        else:
            done, error = attempt.run(read)
    log.log(logging.WARNING if error else logging.INFO, "%s: %s", task.source.name, visible(str(done)))
    if error:
        raise error
    return done


class _Attempt:
    """One attempt, while it holds the element's lock."""

    def __init__(self, task: ElementTask, traffic: Traffic, stores: SourceStores) -> None:
        self._task, self._traffic, self._stores = task, traffic, stores
        self._stored = StoredPosition()
        self._key: str | None = None
        self._settled_key: str | None = None

    def begin(self) -> datetime | None:
        """Settle what an earlier run left, and commit that this one begins.

        Returns:
            The time before which the source asks for no request: nothing begins then. Else None.
        """
        task = self._task
        with connect(self._stores.warehouse) as connection:
            positions, runs, files = self._rows(connection)
            self._stored = positions.read()
            arrived = files.arrived(self._stored)
            if arrived is not None:
                self._settled_key = self._stored.pending_key
                self._commit(connection, arrived, self._stored.not_before)
                self._stored = positions.read()
                log.info("%s: the file %s of an earlier run has arrived.", task.source.name, self._settled_key)
            now = _now(connection)
            if self._stored.not_before is not None and now < self._stored.not_before:
                return self._stored.not_before
            self._key = None if task.is_published else self._choose_key(files, now)
            with warehouse_errors(), connection.transaction():
                version = positions.begin(self._stored.version, self._key)
                self._source_run_id, self._started_at = runs.begin(task.attempt)
            self._stored = replace(self._stored, version=version)
        return None

    def run(self, read: Read) -> tuple[CollectedElement, PipelineError | None]:
        """Read, deliver, commit.

        Returns:
            What was delivered, and the error that ended the listing.
        """
        listing = Listing(self._stored.position)
        try:
            with self._spool() as spool:
                listing = read(self._task.element, self._stored.position, spool)
                if not self._is_of_another_source():
                    return self._deliver(listing, spool), listing.error
            words = "%s: %s: a stand-in answered before: everything is read from the real source."
            log.warning(words, self._task.source.name, self._task.element.name)
            with self._spool() as spool:
                listing = read(self._task.element, Position(), spool)
                return self._deliver(listing, spool), listing.error
        except PipelineError as error:
            self._fail(listing, error)
            raise
        except Exception as error:
            self._fail(listing, PermanentError(Code.INTERNAL, error=type(error).__name__))
            raise

    def _is_of_another_source(self) -> bool:
        """Whether a stand-in answered the run that has left the position, and does not answer this one.

        Known when this run was answered: some stand-ins say it in a header only.
        """
        is_known = self._stored.position != Position()
        return is_known and self._stored.is_of_stand_in and not self._traffic.is_stand_in

    def _choose_key(self, files: IncomingFiles, now: datetime) -> str:
        """The key of the file: that of an earlier run which did not deliver, else a new one."""
        prefix = source_prefix(self._task.contract.dataset, self._task.source.name)
        pending = self._stored.pending_key
        ending = self._spool().ending
        if pending is not None and pending.startswith(prefix) and pending.endswith(ending) and files.is_free(pending):
            return pending
        return files.free_key(file_stem(prefix, self._task.element.name, now), ending)

    def _spool(self) -> Spool:
        folder = self._stores.spool_dir
        if isinstance(self._task.source, DatabaseSource):
            return ParquetSpool(folder)
        return JsonSpool(folder, self._raw_copies())

    def _deliver(self, listing: Listing, spool: Spool) -> CollectedElement:
        key = self._key if spool.records else None
        if self._task.is_published and spool.records:
            publish(spool.lines(), self._task.contract, self._kafka(), self._stores.streams)
        figures = run_figures(listing, self._traffic, spool.records, key)
        own = PendingResult(listing.position, self._source_run_id, figures, spool.size_bytes, spool.sha256)
        with connect(self._stores.warehouse) as connection:
            arrived = self._write(connection, own, spool) if key is not None else own
            self._commit(connection, arrived, self._not_before(listing), own)
        return self._collected(listing, arrived)

    def _write(self, connection: Connection, own: PendingResult, spool: Spool) -> PendingResult:
        """Write the file.

        Returns:
            The result of the attempt whose file is there: another one's if that was believed dead and wrote its file.

        Raises:
            RetryableError: it is not known whether the file has arrived, or another program has taken the key.
        """
        positions, _, files = self._rows(connection)
        positions.add_result(self._stored.version, own)
        assert self._key is not None  # noqa: S101 - files have keys
        try:
            files.write(self._key, spool)
        except ConditionFailedError as error:
            arrived = files.arrived(positions.read())
            if arrived is None:
                message = "The key of the file is taken. The next attempt takes another one."
                raise RetryableError(Code.OBJECT_REPLACED, message, key=self._key) from error
            return arrived
        return own

    def _commit(
        self,
        connection: Connection,
        arrived: PendingResult,
        not_before: datetime | None,
        own: PendingResult | None = None,
    ) -> None:
        """Commit the position of the delivery that has arrived, and end its run and this one."""
        positions, runs, _ = self._rows(connection)
        with warehouse_errors(), connection.transaction():
            positions.commit(self._stored.version, arrived.position, not_before)
            runs.end(arrived.source_run_id, arrived.figures, has_arrived=True)
            if own is not None and own.source_run_id != arrived.source_run_id:
                figures = {**own.figures, "records_written": 0, "object_key": None}
                runs.end(own.source_run_id, figures, has_arrived=False)

    def _fail(self, listing: Listing, error: PipelineError) -> None:
        """Note why the run failed, if the warehouse answers. The position stays."""
        figures = run_figures(replace(listing, error=error), self._traffic)
        try:
            with connect(self._stores.warehouse) as connection:
                self._rows(connection)[1].end(self._source_run_id, figures, has_arrived=False)
        except PipelineError as other:
            log.warning("The failure is not in ops.source_run: %s", other)

    def _not_before(self, listing: Listing) -> datetime | None:
        """When the source allows the next run. A retry after an error does not wait: it would look like success."""
        seconds = self._traffic.poll_interval_seconds
        if seconds is None or listing.error is not None:
            return None
        return self._started_at + timedelta(seconds=seconds)

    def _rows(self, connection: Connection) -> tuple[Positions, SourceRuns, IncomingFiles]:
        element = self._task.source.name, self._task.element.name
        files = IncomingFiles(self._stores.objects, self._stores.landing_bucket, connection)
        return Positions(connection, *element), SourceRuns(connection, *element), files

    def _raw_copies(self) -> RawCopies | None:
        keep = self._task.source.keep_raw
        if keep is None:
            return None
        values = {**self._task.element.values, "run": self._task.attempt.run.run_id}
        return RawCopies(self._stores.objects, keep, values, self._stores.clock)

    def _kafka(self) -> KafkaConfig:
        if self._stores.kafka is None:
            raise PermanentError(Code.BROKER_REFUSED, "No broker is configured for a source with deliver: topic.")
        return self._stores.kafka

    def _collected(self, listing: Listing, arrived: PendingResult) -> CollectedElement:
        traffic = self._traffic
        is_own = arrived.source_run_id == self._source_run_id
        return CollectedElement(
            self._task.element.name,
            listing.records_read,
            arrived.figures["records_written"] if is_own else 0,
            listing.records_failed,
            traffic.requests,
            traffic.bytes,
            traffic.waited_seconds,
            arrived.position.watermark,
            arrived.figures["object_key"] if is_own else None,
            self._settled_key if is_own else self._key,
            is_not_modified=listing.not_modified,
            is_unfinished=arrived.position.next_page is not None,
            is_stand_in=traffic.is_stand_in,
        )


def _now(connection: Connection) -> datetime:
    with warehouse_errors():
        row = connection.execute(statement("current_time")).fetchone()
    assert row is not None  # noqa: S101 - one row always
    now: datetime = row[0]
    return now

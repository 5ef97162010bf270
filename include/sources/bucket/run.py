"""One run of a bucket source: list the objects, copy the new versions to incoming/, commit what has arrived.

What belongs here: the order of these steps, which objects are new, and the limits. What does not: copying (`copying`),
the rows of objects (`copies`), reading the source (`origin`), and which names a pattern matches (`globs`).

An object that cannot be copied holds up no other: the run names it at its end and fails. If the source or a store does
not answer at all, the run stops. What was copied is committed with each group of objects, so nothing is copied twice.
"""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from include.errors import Code, PermanentError, PipelineError, visible
from include.sources.bucket.apart import check_apart
from include.sources.bucket.copies import CopiedObjects, NewObject, copy_prefix, stored_key
from include.sources.bucket.copying import CopyOrder, ObjectCopier
from include.sources.bucket.globs import compiled, literal_start
from include.sources.bucket.origin import Origin
from include.sources.deliver import IncomingFiles
from include.sources.listing import Listing, Position
from include.sources.positions import Positions, element_lock
from include.sources.run import CollectedElement
from include.sources.runs import SourceRuns, run_figures
from include.stores.sql_text import statement
from include.stores.warehouse import connect, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.contracts.model import Contract
    from include.sources.bucket.definition import BucketSource
    from include.sources.listing import Element, Traffic
    from include.sources.run import SourceStores
    from include.sources.runs import AirflowAttempt
    from include.stores.object_store import ListedPage, ObjectInfo, ObjectStore
    from include.stores.warehouse import Connection

log = logging.getLogger(__name__)

# Objects whose keys are committed at once; the bytes of a group bound the time until its copies are committed.
_GROUP_OBJECTS, _GROUP_BYTES = 100, 256 * 1024**2
# So many objects in order of their time are held in memory; the others are left to the next run.
_MOST_IN_ORDER = 50_000


@dataclass(frozen=True)
class BucketTask:
    """What one run copies: the new objects of a source, whose rows obey a contract.

    Attributes:
        is_full: copy all objects again, whatever was copied before.
    """

    source: BucketSource
    contract: Contract
    element: Element
    attempt: AirflowAttempt
    is_full: bool = False


@dataclass(frozen=True)
class CollectedObjects(CollectedElement):
    """The result of a run of a bucket source. Its records are objects.

    Attributes:
        empty: objects without a byte, which were skipped.
        markers: of folders, whose keys end with a slash; likewise.
    """

    empty: int = 0
    markers: int = 0

    def __str__(self) -> str:
        text = f"{self.element}: {self.requests:,} requests, {self.records_read:,} new objects"
        text += f", {self.records_written:,} copied, {self.bytes:,} bytes"
        text += f", {self.records_failed:,} not copied" if self.records_failed else ""
        text += f", skipped {self.empty:,} empty objects" if self.empty else ""
        text += f", skipped {self.markers:,} folder markers" if self.markers else ""
        text += f", waited {self.waited_seconds:.0f} s" if self.waited_seconds >= 1 else ""
        return text + (", unfinished: the next run continues" if self.is_unfinished else "")


class _Progress(NamedTuple):
    """How far a listing is. As JSON it is the `next_page` of the position.

    `after` is the last key up to which objects were copied, `begun_at` the time when the listing began, `full_run_id`
    the run that asked for all objects again, `has_failed` whether an object up to `after` could not be copied.
    """

    after: str = ""
    begun_at: str = ""
    full_run_id: str | None = None
    has_failed: bool = False

    @classmethod
    def of(cls, next_page: str | None) -> Self:
        with suppress(ValueError, TypeError):
            return cls(**json.loads(next_page or "{}"))
        return cls()


def collect_objects(
    task: BucketTask, origin_store: ObjectStore, traffic: Traffic, stores: SourceStores
) -> CollectedObjects:
    """Copy the new objects of a source to incoming/, and commit which.

    Args:
        task: what is copied.
        origin_store: the store of the source, with its own key.
        traffic: is filled.
        stores: where the copies and the rows go.

    Raises:
        RetryableError: another run works on this source; the source or a store does not answer; objects could not be
            copied.
        PermanentError: the source or a store refuses, or the source refuses objects. The others were copied.
    """
    origin = Origin(origin_store, task.source.bucket, traffic)
    check_apart(task.source, origin, stores)
    with element_lock(stores.warehouse, task.source.name, task.element.name):
        run = _BucketRun(task, origin, traffic, stores)
        run.begin()
        done, error = run.copy()
    log.log(logging.WARNING if error else logging.INFO, "%s: %s", task.source.name, visible(str(done)))
    if error:
        raise error
    return done


class _BucketRun:
    """One run, while it holds the source's lock."""

    def __init__(self, task: BucketTask, origin: Origin, traffic: Traffic, stores: SourceStores) -> None:
        self._task, self._origin, self._traffic, self._stores = task, origin, traffic, stores
        self._source, self._limits = task.source, task.source.limits
        self._listed_prefix = self._source.prefix + literal_start(self._source.pattern)
        self._pages_read = self._empty = self._markers = 0
        # Whether every new object was copied or tried, and whether every object was listed.
        self._is_complete = self._is_listed = False

    def begin(self) -> None:
        """Commit what earlier runs copied, and that this one begins."""
        self._abort_uploads()
        with connect(self._stores.warehouse) as connection:
            files = IncomingFiles(self._stores.objects, self._stores.landing_bucket, connection)
            CopiedObjects(connection, self._source).end_arrived(files.has_arrived)
            positions, runs = self._rows(connection)
            stored = positions.read()
            with warehouse_errors(), connection.transaction():
                self._version = positions.begin(stored.version, None)
                self._source_run_id, started_at = runs.begin(self._task.attempt)
        progress = _Progress.of(stored.position.next_page)
        if self._task.is_full:
            progress = _Progress(full_run_id=self._task.attempt.run.run_id)
        progress = progress if progress.begun_at else progress._replace(begun_at=started_at.isoformat())
        # A listing from the first key on shows the objects that could not be copied.
        self._progress = progress._replace(has_failed=progress.has_failed and bool(progress.after))
        self._ends_at = time.monotonic() + self._limits.seconds
        in_order = self._task.contract.loads_in_order
        order = CopyOrder(self._source, self._source_run_id, self._progress.full_run_id, in_order)
        self._copier = ObjectCopier(order, self._origin, self._traffic, self._stores)
        self._counts = self._copier.counts

    def copy(self) -> tuple[CollectedObjects, PipelineError | None]:
        """Copy the new objects.

        Returns:
            What was copied, and the error that the run ends with.
        """
        try:
            with self._copier:
                if self._task.contract.loads_in_order:
                    self._copy_in_order()
                else:
                    self._copy_by_key()
        except PipelineError as error:
            return self._end(error), error
        except Exception as error:
            self._end(PermanentError(Code.INTERNAL, error=type(error).__name__))
            raise
        failed = self._counts.error()
        return self._end(failed), failed

    def _abort_uploads(self) -> None:
        """Delete the parts that dead runs left in the landing bucket."""
        try:
            self._stores.objects.abort_uploads(self._stores.landing_bucket, copy_prefix(self._source))
        except PipelineError as error:
            log.warning("Parts of earlier copies may be left in the landing bucket: %s", error)

    def _end(self, error: PipelineError | None) -> CollectedObjects:
        """Commit how far the listing is, and end the run. After an error the warehouse may be away."""
        done = self._collected()
        if self._counts.failed:
            self._progress = self._progress._replace(has_failed=True)
        position = Position(next_page=None if self._is_complete else json.dumps(self._progress._asdict()))
        listing = Listing(position, self._pages_read, done.records_read, done.records_failed, error=error)
        figures = run_figures(listing, self._traffic, done.records_written)
        skipped = {"skipped": done.empty + done.markers, "source_run_id": self._source_run_id}
        try:
            with connect(self._stores.warehouse) as connection, warehouse_errors(), connection.transaction():
                positions, runs = self._rows(connection)
                if self._is_listed:
                    begun_at = datetime.fromisoformat(self._progress.begun_at)
                    CopiedObjects(connection, self._source).miss(begun_at, self._listed_prefix)
                positions.commit(self._version, position, None)
                runs.end(self._source_run_id, figures, has_arrived=False)
                connection.execute(statement("skip_source_records"), skipped)
        except PipelineError as other:
            if error is None:
                raise
            log.warning("The failure is not in ops.source_run: %s", other)
        return done

    def _collected(self) -> CollectedObjects:
        counts, traffic = self._counts, self._traffic
        return CollectedObjects(
            self._task.element.name, counts.new, counts.copied, len(counts.failed), traffic.requests, traffic.bytes,
            traffic.waited_seconds, is_unfinished=not self._is_complete, is_stand_in=traffic.is_stand_in,
            empty=self._empty + counts.empty, markers=self._markers,
        )  # fmt: skip

    def _rows(self, connection: Connection) -> tuple[Positions, SourceRuns]:
        names = self._source.name, self._task.element.name
        return Positions(connection, *names), SourceRuns(connection, *names)

    # --- which objects

    def _copy_by_key(self) -> None:
        """Copy the new objects in the order of their keys, from where the last run ended.

        Objects that earlier runs of this listing could not copy are tried again at its end, so they hold up no other,
        and this run does not end well without them.
        """
        if not self._copy_pages():
            return
        self._is_listed = True
        if self._progress.has_failed:
            self._progress = self._progress._replace(after="", has_failed=False)
            if not self._copy_pages():
                return
        self._is_complete = True

    def _copy_pages(self) -> bool:
        """Copy the new objects of each page of the listing before the next page is requested.

        Returns:
            Whether the listing was read to its end.
        """
        for page in self._pages():
            new = self._new(page.objects)
            while new:
                if self._is_at_limit():
                    return False
                group = self._next_group(new)
                self._copier.copy(group)
                self._progress = self._progress._replace(after=group[-1].version.key)
                self._counts.check()
            if page.objects:
                self._progress = self._progress._replace(after=page.objects[-1].key)
            if not page.is_last and (self._pages_read >= self._limits.pages or self._is_late()):
                return False
        return True

    def _copy_in_order(self) -> None:
        """Copy the oldest objects first: files of this dataset are loaded in the order in which they were written.

        No object may overtake an older one that a later attempt may copy.

        Raises:
            PermanentError: the listing is longer than the limit of pages, so the oldest objects are not known.
        """
        self._progress = self._progress._replace(after="")
        listed = 0

        def found() -> Iterator[NewObject]:
            nonlocal listed
            for page in self._pages():
                if self._pages_read > self._limits.pages:
                    message = f"The listing has more than {self._limits.pages:,} pages, so the oldest objects are not "
                    message += "known: raise limits.pages, or narrow prefix and pattern."
                    raise PermanentError(Code.SOURCE_REFUSED, message)
                for one in self._new(page.objects):
                    listed += 1
                    yield one

        new = nsmallest(_MOST_IN_ORDER, found(), key=_written)
        self._is_listed = True
        all_fit = listed == len(new)
        while new:
            if self._is_at_limit() or self._counts.may_be_retried:
                return
            self._copier.copy(self._next_group(new))
            self._counts.check()
        self._is_complete = all_fit and not self._counts.may_be_retried

    def _pages(self) -> Iterator[ListedPage]:
        for page in self._origin.pages(self._listed_prefix, self._progress.after):
            self._pages_read += 1
            yield page

    def _new(self, page: Sequence[ObjectInfo]) -> list[NewObject]:
        """The objects of a page that match the pattern and whose version was not copied."""
        pattern, prefix = compiled(self._source.pattern), self._source.prefix
        matched = []
        for item in page:
            if item.key.endswith("/"):
                self._markers += 1
                if item.size:
                    log.warning("%s ends with a slash, so it is a folder and not copied.", visible(item.key))
            elif item.key in self._counts.failed or not pattern.matches(item.key.removeprefix(prefix)):
                continue
            elif item.size:
                matched.append(item)
            else:
                self._empty += 1
        if not matched:
            return []
        with connect(self._stores.warehouse) as connection:
            known = CopiedObjects(connection, self._source).known(item.key for item in matched)
        new = [NewObject(item, known.get(stored_key(item.key))) for item in matched]
        return [one for one in new if not self._was_copied(one)]

    def _was_copied(self, one: NewObject) -> bool:
        known, full_run_id = one.known, self._progress.full_run_id
        if known is None or not known.is_copied or known.etag != one.version.etag:
            return False
        return full_run_id is None or known.full_run_id == full_run_id

    # --- limits

    def _is_at_limit(self) -> bool:
        """Whether the run copies no further object. A run whose listing took all its time copies some."""
        counts, limits = self._counts, self._limits
        is_late = counts.tried > 0 and self._is_late()
        return counts.tried >= limits.records or counts.bytes >= limits.bytes or is_late

    def _is_late(self) -> bool:
        return time.monotonic() >= self._ends_at

    def _next_group(self, new: list[NewObject]) -> list[NewObject]:
        """Take the first objects, at least one: as many as may be copied at once, and as the limits allow."""
        most = min(_GROUP_OBJECTS, self._limits.records - self._counts.tried)
        room = min(_GROUP_BYTES, self._limits.bytes - self._counts.bytes)
        group = []
        for one in new[:most]:
            group.append(one)
            room -= one.version.size
            if room <= 0:
                break
        del new[: len(group)]
        return group


def _written(one: NewObject) -> tuple[Any, str]:
    return one.version.modified_at, one.version.key

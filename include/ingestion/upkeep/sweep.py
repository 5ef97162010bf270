"""Routes files at the top of incoming/, or in a folder of no dataset, to their dataset, or quarantines them."""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.contracts.reserved import UNKNOWN
from include.errors import Code, PermanentError, Stage, registry, visible
from include.ingestion.claim import moved_from_nul
from include.ingestion.ledger import Incoming, StaleAttemptError
from include.ingestion.object_keys import INCOMING, incoming_key
from include.ingestion.settle import settle_entries
from include.ingestion.waiting import (
    UNREADABLE_AFTER,
    entries_without_contract,
    no_etag,
    objects_to_skip,
    replaced,
)
from include.stores.object_moves import ObjectExistsError, ObjectReplacedError, move
from include.stores.object_store import ObjectMissingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.contracts.catalog import Catalog
    from include.ingestion.attempt import Stores
    from include.ingestion.records import AirflowRun
    from include.settings import IngestSettings
    from include.stores.object_store import ObjectInfo

_DIGEST_LETTERS = 12

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Swept:
    """The files of a sweep: moved to their dataset's folder, quarantined, and waiting for a draft contract."""

    routed: int
    quarantined: int
    waiting: int = 0


def sweep(contracts: Callable[[], Catalog], stores: Stores, run: AirflowRun, settings: IngestSettings) -> Swept:
    """Route files that match a file pattern of a contract; quarantine other files as `unknown-dataset`.

    A file stays where it is and waits if the contract of its dataset is broken. It belongs to that dataset if it is in
    the dataset's folder or matches a file pattern of the broken contract: the patterns that can be read from it, else
    the contract file's name followed by `*`. It is noted under that dataset. A file of a draft contract waits, too,
    until the contract is activated.

    The files in the datasets' folders are noted in the ledger, because they have no entry before they are claimed.
    Objects that the store lists without an ETag for minutes are refused, and so are files whose contract was deleted.

    Args:
        contracts: reads them. It is called after the bucket is listed: if a contract is saved and then its first file
            is dropped, a sweep that sees the file must see the contract, too.
        stores: the landing bucket, and the ledger, which gets the waiting and the quarantined files.
        run: the run that sweeps, so that an operator finds the logs.
        settings: the landing bucket's name.
    """
    bucket, objects = settings.landing_bucket, stores.objects
    items = list(objects.list(bucket, INCOMING, without_etag=True))
    catalog = contracts()
    broken = {error.dataset for error in catalog.broken}
    unknown: list[ObjectInfo] = []
    unreadable: dict[str, list[ObjectInfo]] = {}
    waiting: dict[str, list[ObjectInfo]] = {dataset: [] for dataset in catalog.known}
    to_route: list[tuple[ObjectInfo, str]] = []
    # Without any contract every file would be of an unknown dataset: then all stay where they are.
    for item in [] if catalog.is_empty else items:
        relative = item.key.removeprefix(INCOMING)
        folder = relative.split("/", maxsplit=1)[0] if "/" in relative else ""
        in_dataset_folder = folder in catalog.known or folder in broken
        if not item.etag:
            if _given_up(item):
                unreadable.setdefault(folder if in_dataset_folder else UNKNOWN, []).append(item)
            continue
        if item.key.endswith("/") or moved_from_nul(item, bucket, objects):
            continue
        if in_dataset_folder:
            waiting.setdefault(folder, []).append(item)
            continue
        if (dataset := catalog.match_broken(relative)) is not None:
            waiting.setdefault(dataset, []).append(item)
            continue
        if (draft := catalog.match_draft(relative)) is not None:
            waiting[draft.dataset].append(item)
            continue
        contract = catalog.match(relative)
        if contract is None:
            unknown.append(item)
            continue
        to_route.append((item, contract.dataset))
    work = _Sweep(stores, run, bucket)
    routed = work.route_all(to_route)
    stores.ledger.note_incoming(bucket, [_incoming(dataset, found) for dataset, found in sorted(waiting.items())])
    for dataset, found in unreadable.items():
        work.refuse_unreadable(dataset, found)
    quarantined = work.quarantine(unknown, catalog)
    if not catalog.is_empty:
        quarantined += work.end_entries_without_contract({*catalog.known, *broken})
    for dataset in sorted(broken & waiting.keys() - catalog.known.keys()):
        log.warning("%d files wait for the broken contract of %s.", len(waiting[dataset]), visible(dataset))
    return Swept(routed, quarantined, _log_drafts(catalog, waiting))


def _log_drafts(catalog: Catalog, waiting: dict[str, list[ObjectInfo]]) -> int:
    """Log the drafts that files wait for; the number of these files."""
    for dataset, contract in sorted(catalog.drafts.items()):
        if files := len(waiting[dataset]):
            log.info("%d files wait for the activation of %s (status: %s).", files, dataset, contract.status)
    return sum(len(waiting[dataset]) for dataset in catalog.drafts)


def _given_up(item: ObjectInfo) -> bool:
    """Whether an object without an ETag is so old that it is not being written any more."""
    return item.modified_at is not None and item.modified_at < datetime.now(UTC) - UNREADABLE_AFTER


def _incoming(dataset: str, found: list[ObjectInfo]) -> Incoming:
    written = [item.modified_at for item in found if item.modified_at is not None]
    return Incoming(dataset, len(found), sum(item.size for item in found), min(written, default=None))


@dataclass(frozen=True)
class _Sweep:
    """Moves the files of a sweep, and enters those that are refused in the ledger."""

    stores: Stores
    run: AirflowRun
    bucket: str

    def route_all(self, found: list[tuple[ObjectInfo, str]]) -> int:
        """Move files to the folders of their datasets; the number of moved files.

        A file that the store refuses to serve is entered in the ledger and not tried again before it is reprocessed.
        """
        skipped = self._to_skip([item for item, _ in found])
        routed = 0
        for item, dataset in found:
            if (item.key, item.etag) in skipped:
                continue
            try:
                routed += self._route(item, dataset)
            except PermanentError as error:
                answer = self.stores.objects.unreadable(error, self.bucket, item.key)
                if not answer:
                    raise
                refusal = " ".join(registry.text(Code.OBJECT_UNREADABLE, answer=answer, dataset=dataset))
                self._refuse(UNKNOWN, [(item, refusal)], Code.OBJECT_UNREADABLE)
        return routed

    def _route(self, item: ObjectInfo, dataset: str) -> int:
        """Move a file to its dataset's folder; 1 if it was moved, else 0.

        If other content has its key there, the file is moved to a subfolder: both load, and neither is overwritten.
        """

        def refuse_replaced(older: tuple[ObjectInfo, ...]) -> None:
            # A newer version replaced them before they were routed: each gets an entry of its own.
            messages = [(version, replaced(version)) for version in older]
            self._refuse(dataset, messages, Code.REPLACED_BEFORE_CLAIM)

        name = item.key.rsplit("/", maxsplit=1)[-1]
        digest = hashlib.sha256(f"{item.key}\n{item.etag}".encode()).hexdigest()[:_DIGEST_LETTERS]
        for target in (incoming_key(dataset, name), incoming_key(dataset, f"{digest}/{name}")):
            try:
                move(self.stores.objects, self.bucket, item, target, refuse_replaced)
            except ObjectExistsError:
                continue
            except (ObjectMissingError, ObjectReplacedError):
                return 0  # overwritten or removed since it was listed: the next sweep handles the new version
            log.info("%s belongs to %s: it is %s now.", visible(item.key), dataset, visible(target))
            return 1
        return 0

    def refuse_unreadable(self, dataset: str, found: list[ObjectInfo]) -> None:
        """Enter objects that never get an ETag as refused. They stay where they are, and the ledger says so."""
        skipped = self._to_skip(found)
        messages = [(item, no_etag(item)) for item in found if (item.key, item.etag) not in skipped]
        self._refuse(dataset, messages, Code.OBJECT_UNREADABLE)

    def _refuse(self, dataset: str, found: list[tuple[ObjectInfo, str]], code: Code) -> None:
        """Enter objects as refused, each with its message: they cannot be read and stay where they are, or are gone."""
        ledger, messages = self.stores.ledger, {(item.key, item.etag): message for item, message in found}
        for file_id, _ in ledger.claim(dataset, "", self.bucket, [item for item, _ in found], self.run):
            entry = ledger.read(file_id)
            if entry is not None and (message := messages.get((entry.object_key, entry.etag))) is not None:
                ledger.failed(file_id, entry.attempts, Stage.VALIDATE, code, message)
                ledger.settled(file_id, entry.object_key if code is Code.OBJECT_UNREADABLE else None)

    def quarantine(self, unknown: list[ObjectInfo], catalog: Catalog) -> int:
        """Quarantine files of no dataset; the number of files entered in the ledger."""
        ledger, known = self.stores.ledger, ", ".join(sorted(catalog.known))
        message = registry.message(Code.UNKNOWN_DATASET, datasets=known)
        skipped = self._to_skip(unknown)
        found = [item for item in unknown if (item.key, item.etag) not in skipped]
        entered = ledger.claim(UNKNOWN, "", self.bucket, found, self.run)
        for file_id, _ in entered:
            ledger.failed(file_id, 0, Stage.VALIDATE, Code.UNKNOWN_DATASET, message)
        settle_entries(ledger.unsettled(UNKNOWN, self.bucket), self.stores).raise_first()
        return len(entered)

    def end_entries_without_contract(self, datasets: set[str]) -> int:
        """Quarantine claimed files whose contract was deleted or renamed before they were loaded.

        Files of such datasets that have an outcome are settled here, because no ingest DAG exists that would do it. A
        worker that still has such a file gets an error at its next note in the ledger and changes nothing.

        Returns:
            The number of quarantined files.
        """
        ledger, ended = self.stores.ledger, 0
        entries = entries_without_contract(self.stores.connection, self.bucket, datasets | {UNKNOWN})
        for entry in entries:
            if entry.has_outcome:
                continue
            message = registry.message(Code.UNKNOWN_DATASET, "deleted", dataset=entry.dataset)
            with suppress(StaleAttemptError):  # a worker has finished it meanwhile
                ledger.failed(entry.file_id, entry.attempts, Stage.VALIDATE, Code.UNKNOWN_DATASET, message)
                log.warning("File %s (%s): %s", entry.file_id, entry.shown_key, message)
                ended += 1
        if entries:
            again = (ledger.read(entry.file_id) for entry in entries)
            finished = [entry for entry in again if entry is not None and entry.has_outcome]
            settle_entries(finished, self.stores).raise_first()
        return ended

    def _to_skip(self, found: list[ObjectInfo]) -> set[tuple[str, str]]:
        """Key and ETag of the objects that the ledger has already."""
        return objects_to_skip(self.stores.connection, self.bucket, found) if found else set()

"""Last stage: move every file that has an outcome out of incoming/, write its report, and note that in the ledger.

The ledger is updated last, so a move that was interrupted is repeated. Loaded files go to processed/, refused ones to
failed/<stage>_failed/, each into a folder named by its file_id, so that no file can overwrite another. Leftovers of a
dead worker (staging table, reject file, spool folder) are removed.

A member of an archive is settled once its archive has an outcome, and before it. It stays in the archive; if it is
refused, a copy of it goes to failed/.
"""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.errors import Code, PermanentError, PipelineError, Stage, in_stage
from include.ingestion.object_keys import (
    REJECTS,
    REPORT,
    clear_spool,
    key_in_archive,
    member_key,
    rejects_key,
    settled_key,
)
from include.ingestion.records import FileEntry, FileStatus
from include.ingestion.target import drop_staging, staging_left, staging_owner
from include.ingestion.waiting import note_replaced, postpone_move
from include.stores.object_moves import ObjectExistsError, ObjectReplacedError, move, move_own, remove_own
from include.stores.object_store import ObjectInfo, ObjectMissingError
from include.stores.warehouse import warehouse_errors

if TYPE_CHECKING:
    from include.contracts.model import Contract
    from include.ingestion.attempt import Stores
    from include.ingestion.ledger import Ledger
    from include.settings import IngestSettings
    from include.stores.object_store import ObjectStore
    from include.stores.warehouse import Connection

_MOVES_AT_ONCE = 8

_FIRST_IN_REPORT = ("status", "code", "message", "what_to_do", "file", "dataset", "rows", "rejects_by_code")

log = logging.getLogger(__name__)


@dataclass
class Settled:
    """The number of settled files per status, and the errors of files that could not be moved."""

    counts: dict[str, int] = field(default_factory=dict)
    failures: list[Exception] = field(default_factory=list)

    def raise_first(self) -> None:
        """Raise the first error of a file that could not be moved, if there is one."""
        if self.failures:
            raise self.failures[0]


def settle(contract: Contract, stores: Stores, settings: IngestSettings) -> dict[str, int]:
    """Settle all files of a dataset that have an outcome, including those of earlier runs.

    Returns:
        The number of settled files per status.

    Raises:
        Exception: a file could not be moved (the first error); the others are settled.
    """
    settled = settle_dataset(contract, stores, settings)
    settled.raise_first()
    return settled.counts


def settle_dataset(contract: Contract, stores: Stores, settings: IngestSettings) -> Settled:
    """Like `settle`, but errors are part of the result. The next run tries the files that could not be moved again."""
    entries = stores.ledger.unsettled(contract.dataset, settings.landing_bucket)
    for entry in entries:
        clear_spool(settings.spool_dir, entry)
    return settle_entries(entries, stores)


@in_stage(Stage.SETTLE)
def settle_entries(entries: list[FileEntry], stores: Stores) -> Settled:
    """Settle these files. The moves run in threads that share the connection: do not open a transaction."""
    settled = Settled()
    with warehouse_errors():
        left = staging_left(stores.connection) if entries else []
    reports = {entry.file_id: _report(entry, stores.ledger) for entry in entries}
    targets = _targets(entries, stores.ledger)
    work = _Moves(stores, settled, reports, targets, left)
    # What is left of an archive in incoming/ starts the next run: so it is moved behind its members.
    held = work.settle([entry for entry in entries if entry.parent_file_id is not None])
    work.settle([entry for entry in entries if entry.parent_file_id is None and entry.file_id not in held])
    return settled


@dataclass(frozen=True)
class _Moves:
    """Moves files and notes that, several at once. `reports` and `targets` are by file_id; `left` as `staging_left`."""

    stores: Stores
    settled: Settled
    reports: dict[int, dict[str, Any] | None]
    targets: dict[int, str]
    left: list[str]

    def settle(self, entries: list[FileEntry]) -> set[int]:
        """Settle these entries; the ids of the archives with members that could not be moved."""
        stores, settled, held = self.stores, self.settled, set()
        with ThreadPoolExecutor(_MOVES_AT_ONCE) as pool:
            moves = [
                (entry, pool.submit(_move, entry, self.targets[entry.file_id], self.reports[entry.file_id], stores))
                for entry in entries
            ]
            for entry, move in moves:
                try:
                    target = move.result()
                    with warehouse_errors():
                        drop_staging_of(entry, self.left, stores.connection)
                    stores.ledger.settled(entry.file_id, target)
                except Exception as error:
                    log.error("File %s (%s) could not be moved: %s", entry.file_id, entry.shown_key, error)
                    settled.failures.append(error)
                    held.add(entry.parent_file_id or 0)
                    with suppress(PipelineError):
                        postpone_move(stores.connection, entry.file_id)
                    continue
                status = FileStatus.ARCHIVED if entry.status is FileStatus.LOADED else entry.status
                settled.counts[status] = settled.counts.get(status, 0) + 1
        return held


def _targets(entries: list[FileEntry], ledger: Ledger) -> dict[int, str]:
    """The keys that files are moved to, by their ids; members that are not refused stay in their archive."""
    archives = {entry.file_id: entry for entry in entries}
    targets = {}
    for entry in entries:
        parent = entry.parent_file_id
        if parent is None or entry.status.is_failure:
            targets[entry.file_id] = settled_key(entry)
            continue
        if (archive := archives.get(parent) or ledger.read(parent)) is None:
            raise PermanentError(Code.INTERNAL, error=f"no entry {parent}")
        archives[parent] = archive
        targets[entry.file_id] = key_in_archive(archive, entry)
    return targets


def drop_staging_of(entry: FileEntry, left: list[str], connection: Connection) -> None:
    """Drop the staging tables of an entry among those that are `left`, as `staging_left` returns them."""
    for name in left:
        if staging_owner(name) == (entry.dataset, entry.file_id):
            drop_staging(connection, name)


def _report(entry: FileEntry, ledger: Ledger) -> dict[str, Any] | None:
    """The report of a file that is refused, or loaded with rejects or failed expectations, and of an archive.

    None for other files.
    """
    if entry.status is FileStatus.DUPLICATE:
        return None
    report = ledger.report(entry.file_id)
    members = report.pop("members") or {}
    notable = report["rows"]["rejected"] or any(not result["success"] for result in report["expectations"])
    if not (entry.status.is_failure or notable or members):
        return None
    report["what_to_do"] = (
        "Correct the file and drop it again, or trigger the DAG reprocess_failed once the cause is removed."
        if entry.status.is_failure
        else "See the reports of the refused members, which are files of their own in failed/."
        if members.get("refused")
        else "Nothing must be done: the file is loaded."
    )
    report |= {"members": members} if members else {}
    return {name: report.pop(name) for name in _FIRST_IN_REPORT} | report


def _move(entry: FileEntry, target: str, report: dict[str, Any] | None, stores: Stores) -> str | None:
    """Move the version that was claimed, with its report and reject file; its new key, or None if it is gone.

    An object that the store refuses to serve stays where it is, and the ledger says so.
    """
    objects = stores.objects
    _move_companions(entry, report, objects, target)
    if entry.parent_file_id is not None:
        if entry.status.is_failure:
            _move_member(entry, objects, target)
        return target
    source = ObjectInfo(entry.object_key, entry.etag, entry.size_bytes)

    def name_replaced(older: tuple[ObjectInfo, ...]) -> None:
        note_replaced(stores.connection, entry.file_id, older)

    try:
        move(objects, entry.bucket, source, target, name_replaced)
    except ObjectReplacedError:
        log.warning("File %s: %s was replaced by other content before it was moved.", entry.file_id, entry.shown_key)
        return None
    except ObjectMissingError:
        log.warning("File %s: %s is not there any more.", entry.file_id, entry.shown_key)
        return None
    except PermanentError as error:
        if not entry.status.is_failure or not objects.unreadable(error, entry.bucket, entry.object_key):
            raise
        log.warning("File %s: the store refuses %s, which stays where it is.", entry.file_id, entry.shown_key)
        remove_own(objects, entry.bucket, target + REPORT)  # a report beside no file
        return entry.object_key
    return target


def _move_companions(entry: FileEntry, report: dict[str, Any] | None, objects: ObjectStore, target: str) -> None:
    if report is not None:
        body = json.dumps(report, indent=2, ensure_ascii=False).encode()
        objects.put(entry.bucket, target + REPORT, body, "application/json")
    if report is not None and report["rows"]["rejected"]:
        try:
            _move_rejects(entry, objects, target + REJECTS)
        except ObjectMissingError:
            log.warning("File %s: its reject file is gone; the report has the first rows.", entry.file_id)
    elif entry.status is not FileStatus.LOADED:
        # A reject file of an attempt that did not finish, or of a duplicate: no report refers to it.
        remove_own(objects, entry.bucket, rejects_key(entry))


def _move_member(entry: FileEntry, objects: ObjectStore, target: str) -> None:
    """Move the content of a refused member, if it has one that can be read."""
    source = member_key(entry.dataset, entry.file_id)
    try:
        move_own(objects, entry.bucket, source, target)
    except ObjectMissingError:
        log.info("File %s: no content of %s is kept.", entry.file_id, entry.shown_key)
    except ObjectExistsError:  # of an earlier attempt
        remove_own(objects, entry.bucket, target)
        move_own(objects, entry.bucket, source, target)


def _move_rejects(entry: FileEntry, objects: ObjectStore, target: str) -> None:
    """Move the reject file of this attempt. A reject file of an earlier attempt under the target key is removed."""
    try:
        move_own(objects, entry.bucket, rejects_key(entry), target)
    except ObjectExistsError:
        remove_own(objects, entry.bucket, target)
        move_own(objects, entry.bucket, rejects_key(entry), target)

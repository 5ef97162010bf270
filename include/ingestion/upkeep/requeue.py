"""Requeues quarantined files: moves them back to incoming/, to be ingested again. Their history is kept."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from include.errors import Stage
from include.ingestion.ledger import Ledger
from include.ingestion.object_keys import REJECTS, REPORT, incoming_prefix
from include.ingestion.records import FileStatus
from include.ingestion.upkeep.move_back import BackMover, Notes, Requeued
from include.ingestion.upkeep.reload import archived, reload
from include.stores.object_moves import remove_own
from include.stores.sql_text import statement
from include.stores.warehouse import warehouse_errors

if TYPE_CHECKING:
    from include.ingestion.ledger import Quarantined
    from include.stores.object_store import ObjectInfo, ObjectStore
    from include.stores.warehouse import Connection


@dataclass(frozen=True)
class Selection:
    """The files to requeue; by default all of them. `name` is a pattern such as `sales_2026-*.csv`.

    `file_ids` are entries of the ledger; None means that the other conditions alone choose.
    """

    dataset: str = ""
    stage: str = ""
    name: str = "*"
    file_ids: tuple[int, ...] | None = None


def requeue(
    selection: Selection, bucket: str, objects: ObjectStore, connection: Connection, known: set[str]
) -> Requeued:
    """Move quarantined files back to incoming/. Their ledger entries are reopened when they are claimed.

    A file of no dataset is moved to the key under which it was dropped: a new contract may match it. If other content
    has the target key already (a new drop, or an older file requeued just now), the file stays in quarantine, so that
    nothing is overwritten, and the next call takes it. An object that the store does not serve, such as one that was
    moved to cold storage, stays too.

    A member of an archive is read again from there: the archive is moved back to incoming/, and only the chosen members
    are ingested. Members of an archive that is in quarantine itself come with it, and wait until it is chosen.

    Args:
        selection: which files.
        bucket: the landing bucket.
        objects: its store.
        connection: as the role `ingest`.
        known: the datasets that have a contract.
    """
    stages = [selection.stage] if selection.stage else [Stage.VALIDATE, Stage.PROCESS, Stage.LOAD]
    statuses = [FileStatus.failed_in(stage) for stage in stages]
    ledger = Ledger(connection)
    mover = BackMover(bucket, objects)
    members: dict[int, list[Quarantined]] = {}
    files: list[Quarantined] = []
    for found in ledger.quarantined(selection.dataset, bucket, statuses, selection.file_ids):
        if not has_name(found.settled_key, selection.name or "*"):
            continue
        if found.parent_file_id is not None:
            members.setdefault(found.parent_file_id, []).append(found)
        else:
            files.append(found)
    for found in files:
        dataset, object_key, settled_key = found.dataset, found.object_key, found.settled_key
        name = settled_key.rsplit("/", maxsplit=1)[-1]
        if settled_key == object_key:  # the store refused to serve it, so it never left
            ledger.requeue(bucket, settled_key)
            mover.keys.append(settled_key)
            continue
        prefix = incoming_prefix(dataset)
        target = object_key if object_key.startswith(prefix) or dataset not in known else prefix + name
        notes = Notes(
            was_moved=lambda there: there is not None,
            before=partial(_request_members, members.pop(found.file_id, []), connection),
            done=partial(_note_requeued, found, bucket, objects, connection),
        )
        mover.move(settled_key, target, notes)
    return mover.result() + _requeue_members(members, bucket, objects, connection)


def _request_members(chosen: list[Quarantined], connection: Connection, _: ObjectInfo) -> bool:
    """Request to read these members again with their archive."""
    if chosen:
        ids = [member.file_id for member in chosen]
        values = {"file_id": chosen[0].parent_file_id, "members": ids, "only_last": False}
        with warehouse_errors():
            connection.execute(statement("reload_members"), values)
    return True


def _note_requeued(file: Quarantined, bucket: str, objects: ObjectStore, connection: Connection) -> None:
    """Note that a file was moved. What lies in failed/ of members that come with it is of the attempt before."""
    ledger = Ledger(connection)
    with warehouse_errors():
        rows = connection.execute(statement("reread_members"), {"file_id": file.file_id}).fetchall()
    for (key,) in rows:
        _remove_copies(key, bucket, objects)
        ledger.requeue(bucket, key)
    ledger.requeue(bucket, file.settled_key)


def _remove_copies(key: str, bucket: str, objects: ObjectStore) -> None:
    for copy in (key, key + REPORT, key + REJECTS):
        remove_own(objects, bucket, copy)


def _requeue_members(
    members: dict[int, list[Quarantined]], bucket: str, objects: ObjectStore, connection: Connection
) -> Requeued:
    """Move the archives of refused members back to incoming/; `members` are by the archive's id."""
    total = Requeued((), ())
    for archive_id, chosen in members.items():
        keys = tuple(member.settled_key for member in chosen)
        found = archived(connection, chosen[0].dataset, bucket, [archive_id])
        if not found:
            archive = Ledger(connection).read(archive_id)
            is_gone = archive is None or archive.status in {FileStatus.ARCHIVED, FileStatus.DUPLICATE}
            total += Requeued((), keys) if is_gone else Requeued((), (), keys)
            continue
        wanted = [replace(one, members=tuple(member.file_id for member in chosen)) for one in found]
        done = reload(wanted, bucket, objects, connection)
        for key in keys if done.keys else ():
            _remove_copies(key, bucket, objects)
        total += done
    return total


def has_name(key: str, pattern: str) -> bool:
    """Whether the last part of an object's key matches a pattern such as `sales_2026-*.csv`; upper case counts."""
    return fnmatch.fnmatchcase(key.rsplit("/", maxsplit=1)[-1], pattern)

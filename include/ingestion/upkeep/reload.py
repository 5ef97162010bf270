"""Loads archived files again: moves them from processed/ back to incoming/, as new attempts of their entries.

The order of steps makes it safe to stop at any of them and to call it again: the request is in the ledger before the
object is moved, and a move copies before it deletes. So the claim always finds a file in incoming/ that its entry waits
for, and never takes it for a new one of the same content.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.ingestion.upkeep.move_back import BackMover, Notes
from include.stores.sql_text import statement
from include.stores.warehouse import warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from include.ingestion.upkeep.move_back import Requeued
    from include.stores.object_store import ObjectInfo, ObjectStore
    from include.stores.warehouse import Connection


@dataclass(frozen=True)
class Archived:
    """A loaded file: its entry, the key under which it was dropped, and its key in processed/.

    `requested_etag` is that of the object if an earlier call has requested the reload and was stopped. Of an archive
    that is read again for some refused members, `members` has their ids; None stands for all members that are loaded,
    or with `only_last` for the one that was loaded last.
    """

    file_id: int
    object_key: str
    settled_key: str
    rows_replayed: int
    rows: int
    requested_etag: str | None = None
    members: tuple[int, ...] | None = None
    only_last: bool = False


def archived(connection: Connection, dataset: str, bucket: str, file_ids: Sequence[int] | None) -> list[Archived]:
    """The loaded files of a dataset that lie in processed/, in the order in which they were written.

    Args:
        connection: as any role that reads the ledger.
        dataset: of the files.
        bucket: of the files.
        file_ids: one of these; None means all.
    """
    values = {"dataset": dataset, "bucket": bucket, "file_ids": None if file_ids is None else list(file_ids)}
    with warehouse_errors():
        return [Archived(*row) for row in connection.execute(statement("archived_files"), values).fetchall()]


def reload(files: Iterable[Archived], bucket: str, objects: ObjectStore, connection: Connection) -> Requeued:
    """Move loaded files back to incoming/. The claim reopens their entries: a new attempt, and no duplicate.

    A file stays where it is if its key in incoming/ is taken, another entry of its key or a replay of its rejected rows
    is in flight (`waiting`), the store does not serve it (`refused`), or its object is gone (`missing`).

    Args:
        files: from `archived`.
        bucket: of the files.
        objects: its store.
        connection: as the role `ingest`.

    Raises:
        PipelineError: the bucket or the warehouse does not answer or refuses. Files that were moved are reloaded.
    """
    mover = BackMover(bucket, objects)
    for file in files:
        mover.move(file.settled_key, file.object_key, _notes(file, mover, connection))
    return mover.result()


def _notes(file: Archived, mover: BackMover, connection: Connection) -> Notes:
    """The request is in the ledger before the object is moved. If the claim is faster, it has cleared the request."""

    def note(name: str, values: dict[str, Any]) -> None:
        with warehouse_errors():
            connection.execute(statement(name), {"file_id": file.file_id} | values)

    def request(source: ObjectInfo) -> bool:
        """Note the request; False if another entry of the key is in flight. The commit waits for the disk."""
        values = {"file_id": file.file_id, "settled_key": file.settled_key, "etag": source.etag}
        with warehouse_errors(), connection.transaction():
            connection.execute("SET LOCAL synchronous_commit = on")
            if connection.execute(statement("request_reload"), values).rowcount != 1:
                return False
            members = None if file.members is None else list(file.members)
            note("reload_members", {"members": members, "only_last": file.only_last})
            return True

    def moved() -> None:
        there = mover.objects.head(mover.bucket, file.object_key)
        if there is not None:
            note("reload_moved", {"etag": there.etag})

    return Notes(
        was_moved=lambda there: there is not None and there.etag == file.requested_etag,
        before=request,
        canceled=lambda: note("cancel_reload", {}),
        moved=moved,
    )

"""Requeues quarantined files: moves them back to incoming/, to be ingested again. Their history is kept."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.errors import PermanentError, Stage
from include.ingestion.object_keys import REJECTS, REPORT, incoming_prefix
from include.ingestion.records import Status
from include.stores.object_moves import ObjectExistsError, ObjectReplacedError, move, remove_own
from include.stores.object_store import ObjectMissingError
from include.stores.warehouse import statement, warehouse_errors

if TYPE_CHECKING:
    from include.ingestion.ledger import Ledger
    from include.stores.object_store import ObjectStore


@dataclass(frozen=True)
class Selection:
    """The files to requeue; by default all of them. `name` is a pattern such as `sales_2026-*.csv`.

    `file_ids` are entries of the ledger; None means that the other conditions alone choose.
    """

    dataset: str = ""
    stage: str = ""
    name: str = "*"
    file_ids: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Requeued:
    """The keys of requeued files, of files that are not in quarantine any more, and of files that stay there.

    `waiting` files wait until another file of their name is loaded, `refused` files are not served by the store.
    """

    keys: tuple[str, ...]
    missing: tuple[str, ...]
    waiting: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def requeue(selection: Selection, bucket: str, objects: ObjectStore, ledger: Ledger, known: set[str]) -> Requeued:
    """Move quarantined files back to incoming/. Their ledger entries are reopened when they are claimed.

    A file of no dataset is moved to the key under which it was dropped: a new contract may match it. If other content
    has the target key already (a new drop, or an older file requeued just now), the file stays in quarantine, so that
    nothing is overwritten, and the next call takes it. An object that the store does not serve, such as one that was
    moved to cold storage, stays too.

    Args:
        selection: which files.
        bucket: the landing bucket.
        objects: its store.
        ledger: has the quarantined files.
        known: the datasets that have a contract.
    """
    stages = [selection.stage] if selection.stage else [Stage.VALIDATE, Stage.PROCESS, Stage.LOAD]
    values = {
        "dataset": selection.dataset or None,
        "bucket": bucket,
        "file_ids": None if selection.file_ids is None else list(selection.file_ids),
        "statuses": [Status.failed_in(stage).value for stage in stages],
    }
    with warehouse_errors(), ledger.connection.cursor() as cursor:
        cursor.execute(statement("quarantined_files"), values)
        rows = cursor.fetchall()
    keys, missing, waiting, refused = [], [], [], []
    for dataset, object_key, settled_key, *_ in rows:
        if not has_name(settled_key, selection.name or "*"):
            continue
        name = settled_key.rsplit("/", maxsplit=1)[-1]
        if settled_key == object_key:  # the store refused to serve it, so it never left
            ledger.requeue(bucket, settled_key)
            keys.append(settled_key)
            continue
        prefix = incoming_prefix(dataset)
        target = object_key if object_key.startswith(prefix) or dataset not in known else prefix + name
        try:
            source = objects.head(bucket, settled_key)
            if source is not None:
                move(objects, bucket, source, target)
            elif objects.head(bucket, target) is None:
                missing.append(settled_key)
                continue
        except ObjectExistsError:
            waiting.append(settled_key)
            continue
        except (ObjectMissingError, ObjectReplacedError):
            missing.append(settled_key)
            continue
        except PermanentError as error:
            if not objects.unreadable(error, bucket, settled_key):
                raise
            refused.append(settled_key)
            continue
        for companion in (REPORT, REJECTS):
            remove_own(objects, bucket, settled_key + companion)
        ledger.requeue(bucket, settled_key)
        keys.append(target)
    return Requeued(tuple(keys), tuple(missing), tuple(waiting), tuple(refused))


def has_name(key: str, pattern: str) -> bool:
    """Whether the last part of an object's key matches a pattern such as `sales_2026-*.csv`; upper case counts."""
    return fnmatch.fnmatchcase(key.rsplit("/", maxsplit=1)[-1], pattern)

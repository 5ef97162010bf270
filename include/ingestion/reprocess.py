"""Back from quarantine: refused files return to incoming/ and take the normal road, their history kept."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.errors import Stage
from include.ingestion.places import REJECTS, REPORT, incoming_prefix
from include.ingestion.records import Status
from include.stores.object_store import ObjectMissingError, ObjectStore
from include.stores.warehouse import statement, warehouse_errors

if TYPE_CHECKING:
    from include.ingestion.ledger import Ledger


@dataclass(frozen=True)
class Selection:
    """Which files: all of them where nothing is said. `name` is a pattern such as `sales_2026-*.csv`."""

    dataset: str = ""
    stage: str = ""
    name: str = "*"


@dataclass(frozen=True)
class Returned:
    """What was put back, what was not in quarantine any more, and what waits for another file of its name."""

    keys: tuple[str, ...]
    missing: tuple[str, ...]
    waiting: tuple[str, ...] = ()


def put_back(selection: Selection, bucket: str, objects: ObjectStore, ledger: Ledger, known: set[str]) -> Returned:
    """Move quarantined files back to incoming/. Their ledger entries are reopened when they are claimed.

    A file of no dataset is put back where it was dropped: by now a contract may know it. Where another content lies
    under the name already, a new drop or an older file that was put back just now, the file stays in quarantine, for
    it would overwrite that one: the next call takes it.
    """
    stages = [selection.stage] if selection.stage else [Stage.VALIDATE, Stage.PROCESS, Stage.LOAD]
    values = {
        "dataset": selection.dataset or None,
        "bucket": bucket,
        "statuses": [Status.failed_in(stage).value for stage in stages],
    }
    with warehouse_errors("reprocess"), ledger.connection.cursor() as cursor:
        cursor.execute(statement("quarantined_files"), values)
        rows = cursor.fetchall()
    keys, missing, waiting = [], [], []
    for dataset, object_key, settled_key in rows:
        name = settled_key.rsplit("/", maxsplit=1)[-1]
        if not fnmatch.fnmatchcase(name, selection.name or "*"):
            continue
        home = incoming_prefix(dataset)
        target = object_key if object_key.startswith(home) or dataset not in known else home + name
        if _would_overwrite(objects, bucket, settled_key, target):
            waiting.append(settled_key)
            continue
        try:
            objects.move(bucket, settled_key, target)
        except ObjectMissingError:
            missing.append(settled_key)
            continue
        for companion in (REPORT, REJECTS):
            objects.delete(bucket, settled_key + companion)
        ledger.put_back(bucket, settled_key)
        keys.append(target)
    return Returned(tuple(keys), tuple(missing), tuple(waiting))


def _would_overwrite(objects: ObjectStore, bucket: str, source: str, target: str) -> bool:
    """Whether other content lies there. The same content is an earlier call's, killed before it had moved it."""
    there = objects.head(bucket, target)
    if there is None:
        return False
    here = objects.head(bucket, source)
    return here is not None and here.etag != there.etag

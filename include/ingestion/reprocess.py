"""Back from quarantine: refused files return to incoming/ and take the normal road, their history kept."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.errors import PermanentError, Stage
from include.ingestion.places import REJECTS, REPORT, incoming_prefix
from include.ingestion.records import Status
from include.stores.object_moves import ObjectExistsError, ObjectReplacedError, move, remove_own
from include.stores.object_store import ObjectMissingError
from include.stores.warehouse import statement, warehouse_errors

if TYPE_CHECKING:
    from include.ingestion.ledger import Ledger
    from include.stores.object_store import ObjectStore


@dataclass(frozen=True)
class Selection:
    """Which files: all of them where nothing is said. `name` is a pattern such as `sales_2026-*.csv`."""

    dataset: str = ""
    stage: str = ""
    name: str = "*"


@dataclass(frozen=True)
class Returned:
    """What was put back, what was not in quarantine any more, and what stays there.

    `waiting` is for another file of its name, `refused` is what the store does not serve.
    """

    keys: tuple[str, ...]
    missing: tuple[str, ...]
    waiting: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def put_back(selection: Selection, bucket: str, objects: ObjectStore, ledger: Ledger, known: set[str]) -> Returned:
    """Move quarantined files back to incoming/. Their ledger entries are reopened when they are claimed.

    A file of no dataset is put back where it was dropped: by now a contract may know it. Where another content lies
    under the name already, a new drop or an older file that was put back just now, the file stays in quarantine, for
    it would overwrite that one: the next call takes it. So does an object that the store does not serve, as one that
    was moved to cold storage.
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
    keys, missing, waiting, refused = [], [], [], []
    for dataset, object_key, settled_key in rows:
        name = settled_key.rsplit("/", maxsplit=1)[-1]
        if not fnmatch.fnmatchcase(name, selection.name or "*"):
            continue
        if settled_key == object_key:  # the store refused to serve it, so it never left
            ledger.put_back(bucket, settled_key)
            keys.append(settled_key)
            continue
        home = incoming_prefix(dataset)
        target = object_key if object_key.startswith(home) or dataset not in known else home + name
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
        ledger.put_back(bucket, settled_key)
        keys.append(target)
    return Returned(tuple(keys), tuple(missing), tuple(waiting), tuple(refused))

"""Files at the top of incoming/, or in a folder of no dataset: routed to their dataset, or quarantined."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.errors import Code, Stage, visible
from include.ingestion.claim import moved_from_nul
from include.ingestion.ledger import Incoming
from include.ingestion.places import INCOMING, incoming_key
from include.ingestion.settle import settle_entries

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.contracts.catalog import Catalog
    from include.ingestion.claim import Run
    from include.ingestion.ledger import Ledger
    from include.settings import IngestSettings
    from include.stores.object_store import ObjectInfo, ObjectStore

UNKNOWN = "unknown"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Swept:
    """What a sweep found: files sent to their dataset's folder, and files of no dataset."""

    routed: int
    quarantined: int


def sweep(
    contracts: Callable[[], Catalog], objects: ObjectStore, ledger: Ledger, run: Run, settings: IngestSettings
) -> Swept:
    """Route what a contract's file patterns name; quarantine the rest as `unknown-dataset`.

    A file of a dataset whose contract is broken stays where it is: it is somebody's, and waits for the contract.
    What lies in the datasets' folders is noted in the ledger: nothing else sees it before it is claimed.

    Args:
        contracts: reads them. It is called once the bucket is listed: who saves a contract and then drops its first
            file must not meet a sweep that read the contracts before and sees the file after.
        objects: the store of the landing bucket.
        ledger: notes what waits and what is quarantined.
        run: who sweeps, for people who look for the logs.
        settings: the landing bucket's name.
    """
    bucket = settings.landing_bucket
    items = list(objects.list(bucket, INCOMING))
    catalog = contracts()
    broken = {error.file.stem for error in catalog.broken}
    strangers: list[ObjectInfo] = []
    waiting: dict[str, list[ObjectInfo]] = {dataset: [] for dataset in catalog.contracts}
    routed = 0
    for item in items:
        relative = item.key.removeprefix(INCOMING)
        folder = relative.split("/", maxsplit=1)[0] if "/" in relative else ""
        if item.key.endswith("/") or moved_from_nul(item, bucket, objects):
            continue
        if folder in catalog.contracts or folder in broken:
            waiting.setdefault(folder, []).append(item)
            continue
        contract = catalog.match(relative)
        if contract is None:
            strangers.append(item)
            continue
        name = relative.rsplit("/", maxsplit=1)[-1]
        objects.move(bucket, item.key, incoming_key(contract.dataset, name))
        log.info("%s belongs to %s.", visible(item.key), contract.dataset)
        routed += 1
    ledger.note_incoming(bucket, [_incoming(dataset, found) for dataset, found in sorted(waiting.items())])
    _quarantine(strangers, catalog, objects, ledger, run, bucket)
    return Swept(routed, len(strangers))


def _incoming(dataset: str, found: list[ObjectInfo]) -> Incoming:
    written = [item.modified_at for item in found if item.modified_at is not None]
    return Incoming(dataset, len(found), sum(item.size for item in found), min(written, default=None))


def _quarantine(
    strangers: list[ObjectInfo], catalog: Catalog, objects: ObjectStore, ledger: Ledger, run: Run, bucket: str
) -> None:
    known = ", ".join(sorted(catalog.contracts))
    message = (
        f"No contract knows this file. Drop it into incoming/<dataset>/ (datasets: {known}), "
        "or add a contract and reprocess it."
    )
    for file_id, _ in ledger.claim(UNKNOWN, "", bucket, strangers, run.dag_id, run.run_id):
        ledger.failed(file_id, 0, Stage.VALIDATE, Code.UNKNOWN_DATASET, message)
    settle_entries(ledger.unsettled(UNKNOWN, bucket), objects, ledger)

"""What every stage works with: one attempt at an entry of the ledger, and the connections of the worker.

What belongs here: values and connections that all stages share. What does not: the stages, and what only one needs.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from include.ingestion.audit import Auditor
from include.ingestion.enrich import Enricher
from include.ingestion.ledger import Ledger
from include.settings import ml_service_settings
from include.stores.object_store import ObjectStore
from include.stores.warehouse import Connection, connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.contracts.model import Contract
    from include.ingestion.records import FileEntry
    from include.settings import IngestSettings, MlServiceSettings, S3Config, WarehouseConfig


@dataclass(frozen=True)
class Stores:
    """The connections of a worker: opened once, used for a whole batch. `connection` is that to the warehouse."""

    objects: ObjectStore
    connection: Connection
    warehouse: WarehouseConfig
    auditor: Auditor
    enricher: Enricher

    @property
    def ledger(self) -> Ledger:
        """The ledger, on the connection to the warehouse."""
        return Ledger(self.connection)

    @contextmanager
    def answering(self) -> Iterator[Stores]:
        """The stores; with a new connection to the warehouse if their own is closed.

        They are used to note that a file waits: without that note the attempt would count as a death of its worker.
        """
        if not self.connection.closed:
            yield self
            return
        with connect(self.warehouse) as connection:
            yield replace(self, connection=connection)


@contextmanager
def open_stores(
    s3: S3Config, warehouse: WarehouseConfig, ml_service: MlServiceSettings | None = None
) -> Iterator[Stores]:
    """Connect to the bucket and the warehouse. The address of the ML service is that of the settings by default."""
    auditor, enricher = Auditor(warehouse), Enricher(ml_service or ml_service_settings())
    with closing(auditor), closing(enricher), connect(warehouse) as connection:
        yield Stores(ObjectStore(s3), connection, warehouse, auditor, enricher)


@dataclass(frozen=True)
class Attempt:
    """One attempt at an entry, a file or a batch of messages. `folder` is its spool folder on the worker's disk."""

    contract: Contract
    entry: FileEntry
    folder: Path
    settings: IngestSettings
    stores: Stores

    @property
    def loads_in_order(self) -> bool:
        """Whether earlier files of the dataset must be loaded first. Messages have their own order."""
        return self.contract.loads_in_order and self.entry.is_object


def find_duplicate(attempt: Attempt, sha256: str) -> int | None:
    """The file that was loaded with the same content, if the content needs no second load.

    Raises:
        RetryableError: an earlier file must be loaded first, and has no outcome yet.
    """
    ledger = attempt.stores.ledger
    if attempt.loads_in_order:
        ledger.check_turn(attempt.entry)
    return ledger.find_duplicate(attempt.entry, sha256, allow_resend=attempt.loads_in_order)

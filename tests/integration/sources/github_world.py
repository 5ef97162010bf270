"""The shipped definitions of GitHub, from the stand-in of the API to the table, with access to objects and rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import yaml
from psycopg import sql
from pydantic import SecretStr

from include.contracts.reader import read_contract
from include.ingestion.attempt import open_stores
from include.ingestion.claim import claim
from include.ingestion.pipeline import ingest_batch
from include.ingestion.records import AirflowRun
from include.ingestion.settle import settle
from include.settings import CONTRACTS_DIR, SOURCES_DIR, IngestSettings
from include.sources.definition import RestSource
from include.sources.elements import elements
from include.sources.listing import Listing, Position, Traffic
from include.sources.rest.auth import ApiConnection
from include.sources.rest.client import RestClient
from include.sources.rest.reading import RestReader
from include.sources.run import CollectedElement, ElementTask, SourceStores, collect
from include.sources.runs import AirflowAttempt
from include.stores.object_store import ObjectStore
from local.services.stand_ins import github
from local.services.stand_ins.service import KEY

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    import psycopg

    from include.contracts.model import Contract
    from include.sources.listing import Element, Sink
    from local.services.stand_ins.github import Repositories
    from local.services.stand_ins.server import StandIns
    from local.supervisor.platform import Platform

Row = dict[str, Any]
LEDGER, BEACON = "harbour/ledger", "harbour/beacon"


@dataclass
class World:
    """`now` is the time of the collector's clock, which only tests change."""

    api: StandIns
    platform: Platform
    name: str
    raw_bucket: str
    landing_bucket: str
    owner: psycopg.Connection[Row]
    folder: Path
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.objects = ObjectStore(self.platform.s3_config)
        self.now: datetime = self.api.now + timedelta(hours=10)

    @property
    def repositories(self) -> Repositories:
        return self.api.state.repositories

    # --- collecting

    def source(self, endpoint: str, repository: str, **changes: Any) -> RestSource:
        """The shipped definition with names of this test; a file, not messages.

        Args:
            endpoint: commits, issues or events.
            repository: the only one.
            changes: `pages` of a run, `page_size`, `overlap`.
        """
        keys = yaml.safe_load((SOURCES_DIR / f"github_{endpoint}.yaml").read_text(encoding="utf-8"))
        keys |= {"name": f"{self.name}_{endpoint}", "dataset": f"{self.name}_{endpoint}", "deliver": "file"}
        keys["keepRaw"]["bucket"] = self.raw_bucket
        keys["limits"]["pages"] = changes.get("pages", 200)
        keys["requests"][0]["params"]["per_page"] = changes.get("page_size", 30)
        keys["requests"][0]["forEach"] = {"repository": [repository]}
        if "overlap" in changes:
            keys["incremental"]["overlap"] = changes["overlap"]
        return RestSource.model_validate(keys)

    def collect(
        self, repository: str = BEACON, endpoint: str = "commits", *, full: bool = False, **changes: Any
    ) -> CollectedElement:
        """Run once, as a task of the DAG does."""
        source, contract, traffic = self.source(endpoint, repository, **changes), self.contract(endpoint), Traffic()
        [element] = elements(source)
        attempt = AirflowAttempt(AirflowRun("collect_test", "run"))
        connection = ApiConnection(f"{self.api.url}/{github.NAME}", password=SecretStr(KEY))
        with RestClient(source, connection, traffic, self.slept.append) as client:
            reader = RestReader(client, contract)

            def read(element: Element, position: Position, sink: Sink) -> Listing:
                return reader.read(element, Position() if full else position, sink)

            stores = SourceStores(
                self.objects, self.platform.warehouse_config(), self.landing_bucket, self.folder / "spool",
                clock=lambda: self.now,
            )  # fmt: skip
            return collect(ElementTask(source, contract, element, attempt), read, traffic, stores)

    # --- objects, rows and state

    def keys(self, bucket: str) -> list[str]:
        return [item.key for item in self.objects.list(bucket, "")]

    @property
    def raw(self) -> list[str]:
        return self.keys(self.raw_bucket)

    @property
    def incoming(self) -> list[str]:
        return [key for key in self.keys(self.landing_bucket) if key.startswith("incoming/")]

    def body(self, bucket: str, key: str) -> bytes:
        return b"".join(self.objects.read(bucket, key)[1])

    def rows_of(self, key: str | None) -> list[Row]:
        """Return the records of a file under incoming/."""
        assert key is not None
        return [json.loads(line) for line in self.body(self.landing_bucket, key).splitlines()]

    def shas(self) -> list[str]:
        """Return the shas of all files under incoming/."""
        return [row["sha"] for key in self.incoming for row in self.rows_of(key)]

    def position(self, repository: str = BEACON, endpoint: str = "commits") -> Row:
        cursor = self.owner.execute(
            "SELECT * FROM ops.source_position WHERE source = %s AND element = %s",
            [f"{self.name}_{endpoint}", f"/repos/{repository}/{endpoint}"],
        )
        return cursor.fetchone() or {}

    def allow_requests(self, endpoint: str) -> None:
        """Let the time pass that the API asks for between two runs."""
        name = f"{self.name}_{endpoint}"
        self.owner.execute("UPDATE ops.source_position SET not_before = NULL WHERE source = %s", [name])

    def happened(self, repository: str = BEACON) -> list[Any]:
        """Return the commits that the API lists at its current time, oldest first."""
        until = self.api.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        return [commit for commit in self.repositories.history[repository] if commit.committed_at <= until]

    # --- loading

    def contract(self, endpoint: str) -> Contract:
        """Return the shipped contract with a table of this test and without slow expectations."""
        shipped = "github_events" if endpoint == "events" else endpoint
        return replace(
            read_contract(CONTRACTS_DIR / f"{shipped}.yaml"), dataset=f"{self.name}_{endpoint}", expectations=()
        )

    def load(self, endpoint: str = "commits") -> list[Row]:
        """Load the files as ingest_<dataset> does; return the ledger entries of the dataset, oldest first."""
        contract = self.contract(endpoint)
        settings = IngestSettings(landing_bucket=self.landing_bucket, spool_dir=self.folder / "spool")
        with open_stores(self.platform.s3_config, self.platform.warehouse_config()) as stores:
            for batch in claim(contract, stores, AirflowRun("ingest_test", "run"), settings):
                ingest_batch(contract, batch, stores, settings)
            settle(contract, stores, settings)
        return self.owner.execute(
            "SELECT * FROM ops.file_ingestion_log WHERE dataset = %s ORDER BY file_id", [contract.dataset]
        ).fetchall()

    def table(self, endpoint: str = "commits") -> list[Row]:
        query = sql.SQL("SELECT * FROM {}").format(sql.Identifier("raw", f"{self.name}_{endpoint}"))
        return self.owner.execute(query).fetchall()

    def clear(self) -> None:
        for endpoint in ("commits", "issues", "events"):
            name = f"{self.name}_{endpoint}"
            self.owner.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier("raw", name)))
            for table in ("source_position", "source_run"):
                self.owner.execute(f"DELETE FROM ops.{table} WHERE source = %s".encode(), [name])

"""The pipeline from the replay of the API to the table, for tests, with access to its objects and rows."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from psycopg import sql
from pydantic import SecretStr

from include.contracts.reader import read_contract
from include.ingestion.attempt import open_stores
from include.ingestion.claim import claim
from include.ingestion.pipeline import ingest_batch
from include.ingestion.records import AirflowRun
from include.ingestion.settle import settle
from include.settings import CONTRACTS_DIR, GithubSettings, IngestSettings
from include.sources.github.client import GithubClient
from include.sources.github.collect import Collected, Collector
from include.sources.github.endpoints import ENDPOINTS, Endpoint
from include.sources.github.storage import SourceObjects, States
from include.stores.http import Address
from include.stores.object_store import ObjectStore
from include.stores.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    import psycopg

    from include.contracts.model import Contract
    from local.services.github_api.server import GithubApi
    from local.supervisor.platform import Platform

Row = dict[str, Any]
LEDGER, BEACON = "harbour/ledger", "harbour/beacon"


@dataclass
class World:
    """`now` is the time of the collector's clock, which only tests change."""

    api: GithubApi
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

    # --- collecting

    def endpoint(self, name: str = "commits") -> Endpoint:
        """Return an endpoint with a dataset of this test."""
        return replace(ENDPOINTS[name], dataset=f"{self.name}_{name}")

    @contextmanager
    def collector(self, token: str = "secret", **settings: Any) -> Iterator[Collector]:
        values = {
            "raw_bucket": self.raw_bucket,
            "attempts": 2,
            "backoff_seconds": 0,
            "max_wait_seconds": 0,
            "page_size": 30,
            **settings,
        }
        chosen = GithubSettings(**values)
        with ExitStack() as stack:
            client = stack.enter_context(
                GithubClient(Address(self.api.url, SecretStr(token)), chosen, sleep=self.slept.append)
            )
            states = States(stack.enter_context(connect(self.platform.warehouse_config())))
            objects = SourceObjects(self.objects, states, self.raw_bucket, self.landing_bucket)
            yield Collector(client, objects, states, chosen, lambda: self.now)

    def collect(
        self,
        repository: str = BEACON,
        endpoint: str = "commits",
        *,
        full: bool = False,
        retry: bool = False,
        **settings: Any,
    ) -> Collected:
        """Run the collector once."""
        with self.collector(**settings) as collector:
            return collector.collect(repository, self.endpoint(endpoint), full=full, retry=retry)

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
        """Return the rows of a file under incoming/."""
        assert key is not None
        return [json.loads(line) for line in self.body(self.landing_bucket, key).splitlines()]

    def shas(self) -> list[str]:
        """Return the shas of all files under incoming/."""
        return [row["sha"] for key in self.incoming for row in self.rows_of(key)]

    def state(self, repository: str = BEACON, endpoint: str = "commits") -> Row:
        cursor = self.owner.execute(
            "SELECT * FROM ops.source_state WHERE resource = %s AND endpoint = %s", [repository, endpoint]
        )
        return cursor.fetchone() or {}

    def happened(self, repository: str = BEACON) -> list[Any]:
        """Return the commits that the API lists at its current time, oldest first."""
        until = self.api.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        return [commit for commit in self.api.replay.history[repository] if commit.committed_at <= until]

    # --- loading

    def contract(self, endpoint: str) -> Contract:
        """Return the shipped contract with a table of this test and without slow expectations."""
        contract = read_contract(CONTRACTS_DIR / f"{ENDPOINTS[endpoint].dataset}.yaml")
        return replace(contract, dataset=self.endpoint(endpoint).dataset, expectations=())

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
        query = sql.SQL("SELECT * FROM {}").format(sql.Identifier("raw", self.endpoint(endpoint).dataset))
        return self.owner.execute(query).fetchall()

    def drop_tables(self) -> None:
        for name in ENDPOINTS:
            table = sql.Identifier("raw", self.endpoint(name).dataset)
            self.owner.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))

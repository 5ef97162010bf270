"""The dbt project on a separate platform: the real pipeline loads files, and `dbt build` runs as `transform`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from include.contracts.catalog import read_catalog
from include.ingestion.attempt import open_stores
from include.ingestion.claim import claim
from include.ingestion.object_keys import incoming_prefix
from include.ingestion.pipeline import ingest_batch
from include.ingestion.records import AirflowRun
from include.ingestion.settle import settle
from include.ingestion.target import Target
from include.settings import CONTRACTS_DIR, IngestSettings

if TYPE_CHECKING:
    from include.contracts.model import Contract
    from local.supervisor.platform import Platform

ROOT = Path(__file__).parents[3]
Row = dict[str, Any]


def record_of(contract: Contract, row: Row) -> Row:
    """Return a row as the source gives it: values at the paths of their columns, and as many parents as it counts."""
    record: Row = {}
    given = row | {"parents": [{}] * row["parent_count"]} if "parent_count" in row else row
    for column in contract.source_columns:
        *parents, last = column.steps or (column.name,)
        part = record
        for step in parents:
            part = part.setdefault(step, {})
        part[last] = given.get(column.name)
    return record


@dataclass
class Warehouse:
    """A warehouse, with methods that load files and build the models."""

    platform: Platform
    folder: Path

    def __post_init__(self) -> None:
        # Without table-level expectations: the library that evaluates them takes seconds to import.
        contracts = read_catalog(CONTRACTS_DIR).contracts
        self.contracts = {name: replace(contract, expectations=()) for name, contract in contracts.items()}
        self.settings = IngestSettings(spool_dir=self.folder / "spool")

    def make_tables(self) -> None:
        """Create the raw tables, as the DAG's task `prepare_tables` does."""
        with open_stores(self.platform.s3_config, self.platform.warehouse_config()) as stores:
            for contract in self.contracts.values():
                Target(contract, file_id=0, attempt=0).ensure(stores.connection)

    def send(self, dataset: str, name: str, rows: list[Row]) -> None:
        """Drop a file with these rows and load it."""
        contract = self.contracts[dataset]
        body = "".join(json.dumps(record_of(contract, row)) + "\n" for row in rows)
        with open_stores(self.platform.s3_config, self.platform.warehouse_config()) as stores:
            stores.objects.put(self.settings.landing_bucket, incoming_prefix(dataset) + name, body.encode())
            for batch in claim(contract, stores, AirflowRun("test", name), self.settings):
                ingest_batch(contract, batch, stores, self.settings)
            settle(contract, stores, self.settings)

    def connect(self, role: str) -> psycopg.Connection[Row]:
        config = self.platform.warehouse_config(role)
        return psycopg.connect(
            host=config.host, port=config.port, dbname=config.database, user=config.user,
            password=config.password.get_secret_value(), autocommit=True, row_factory=dict_row,
            options="-c timezone=UTC -c statement_timeout=60s",
        )  # fmt: skip

    def sql(self, query: str, *values: object, role: str = "reader") -> list[Row]:
        with self.connect(role) as connection, connection.cursor() as cursor:
            cursor.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def build(self, *arguments: str, options: str = "") -> dict[str, Row]:
        """Run `dbt build` without writing into the checkout; return each node's result by its short name.

        Args:
            arguments: arguments of dbt.
            options: PostgreSQL options of its sessions (PGOPTIONS).
        """
        config = self.platform.warehouse_config("transform")
        environment = {
            "WAREHOUSE_HOST": config.host, "WAREHOUSE_PORT": str(config.port), "WAREHOUSE_DATABASE": config.database,
            "WAREHOUSE_TRANSFORM_USER": config.user,
            "WAREHOUSE_TRANSFORM_PASSWORD": config.password.get_secret_value(), "PGOPTIONS": options,
        }  # fmt: skip
        done = subprocess.run(
            [str(Path(sys.executable).with_name("dbt")), "--no-use-colors", "build", *arguments,
             "--project-dir", str(ROOT / "dbt"), "--profiles-dir", str(ROOT / "dbt"),
             "--target-path", str(self.folder / "target"), "--log-path", str(self.folder / "logs")],
            env=os.environ | environment, cwd=self.folder, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode in {0, 1}, done.stdout[-3000:]
        results = json.loads((self.folder / "target" / "run_results.json").read_text())["results"]
        # model.<project>.<name>, test.<project>.<name>.<checksum>, unit_test.<project>.<model>.<name>
        parts = [(result["unique_id"].split("."), result) for result in results]
        return {part[-1] if part[0] == "unit_test" else part[2]: result for part, result in parts}

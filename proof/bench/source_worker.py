"""A worker process that collects one table, and prints seconds, rows, key and memory as JSON.

A separate process, so that the peak memory is that of one collector. The clock starts after the imports: see `worker`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from include.contracts.reader import read_contract
from include.ingestion.records import AirflowRun
from include.settings import CONTRACTS_DIR, S3Config, WarehouseConfig
from include.sources.database.connection import DatabaseConnection
from include.sources.database.definition import DatabaseSource
from include.sources.database.reading import DatabaseReader
from include.sources.listing import Element, Traffic
from include.sources.run import ElementTask, SourceStores, collect
from include.sources.runs import AirflowAttempt
from include.stores.object_store import ObjectStore
from proof.bench.memory import peak_mb


def main() -> None:
    """Read the task (definition, connection and stores) from standard input, and collect the table."""
    task = json.load(sys.stdin)
    source = DatabaseSource.model_validate(task["source"])
    connection = DatabaseConnection.of(source.connection, task["connection"])
    if connection.engine == "mysql":
        import include.sources.database.mysql
    else:
        import include.sources.database.postgres  # noqa: F401 - the clock starts after the imports
    contract = read_contract(CONTRACTS_DIR / f"{source.dataset}.yaml")
    stores = SourceStores(
        ObjectStore(S3Config(**task["s3"])), WarehouseConfig(**task["warehouse"]), "landing", Path(task["spool"])
    )
    traffic, element = Traffic(), Element(source.relation)
    run = ElementTask(source, contract, element, AirflowAttempt(AirflowRun("bench", f"bench-{time.time()}")))
    reader = DatabaseReader(source, connection, traffic)
    start, cpu = time.perf_counter(), time.process_time()
    done = collect(run, reader.read, traffic, stores)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    figures = {"seconds": seconds, "cpu_seconds": cpu, "peak_mb": peak_mb(), "key": done.object_key}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

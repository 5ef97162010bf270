"""A worker process that ingests one object, stage by stage, and prints seconds, rows and memory as JSON.

A separate process, so that the peak memory is that of one file. The clock starts after the imports: Airflow's workers
are forks of a process that has imported everything.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from include.contracts.dialect import read_dialect
from include.contracts.problems import Findings
from include.contracts.reader import read_contract
from include.ingestion import pipeline
from include.ingestion.attempt import open_stores
from include.ingestion.ledger import Ledger
from include.ingestion.records import AirflowRun
from include.settings import CONTRACTS_DIR, S3Config, WarehouseConfig, ingest_settings
from include.stores.expectations import load_library
from include.stores.object_store import ObjectStore
from include.stores.warehouse import connect
from proof.bench.memory import peak_mb


def main() -> None:
    """Read the task (dataset, key and connections) from standard input and ingest the object."""
    task = json.load(sys.stdin)
    contract = read_contract(CONTRACTS_DIR / f"{task['dataset']}.yaml")
    contract = replace(contract, dialect=read_dialect(task["dialect"], "dialect", Findings()))
    s3, warehouse = S3Config(**task["s3"]), WarehouseConfig(**task["warehouse"])
    load_library()
    settings = ingest_settings().model_copy(update={"spool_dir": Path(task["spool"])})
    stages: dict[str, float] = {}
    for name in ("fetch", "validate", "process", "load"):
        _time_stage(name, stages)
    info = ObjectStore(s3).head(settings.landing_bucket, task["key"])
    if info is None:
        raise SystemExit(f"bucket {settings.landing_bucket} has no object {task['key']}")
    with open_stores(s3, warehouse) as stores:
        run = AirflowRun("bench", f"bench-{time.time()}")
        [(file_id, _)] = stores.ledger.claim(contract.dataset, contract.version, settings.landing_bucket, [info], run)
        start = time.perf_counter()
        entry = stores.ledger.begin(file_id)
        if entry is None:
            raise SystemExit(f"{task['key']} (file {file_id}) has its outcome already")
        loaded = pipeline.ingest_file(contract, entry, stores, settings)
        seconds = time.perf_counter() - start
    with connect(warehouse) as connection:
        report = Ledger(connection).report(file_id)
        Ledger(connection).settled(file_id, None)
    if loaded is None:
        raise SystemExit(f"{task['key']} was not loaded: {report['code']}: {report['message']}")
    print(json.dumps({"seconds": seconds, "stages": stages, "peak_mb": peak_mb(), "rows": report["rows"]}))


def _time_stage(name: str, stages: dict[str, float]) -> None:
    stage = getattr(pipeline, name)

    def timed(*args: object, **kwargs: object) -> object:
        start = time.perf_counter()
        try:
            return stage(*args, **kwargs)
        finally:
            stages[name] = time.perf_counter() - start

    setattr(pipeline, name, timed)


if __name__ == "__main__":
    main()

"""One worker process that ingests one object, stage after stage, and prints what it took, as JSON.

A process of its own, so that its peak of memory is its own. As in Airflow, whose workers are forks of a process
that has imported everything, the clock starts after the imports.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench.memory import peak_mb
from include.contracts.reader import read_contract
from include.ingestion import road
from include.ingestion.audit import load_library
from include.ingestion.ledger import Ledger
from include.settings import CONTRACTS_DIR, S3Config, WarehouseConfig, ingest_settings
from include.stores.object_store import ObjectStore
from include.stores.warehouse import connect


def main() -> None:
    """Read the task from standard input: dataset, key, and how to reach the stores."""
    task = json.load(sys.stdin)
    contract = read_contract(CONTRACTS_DIR / f"{task['dataset']}.yaml")
    s3, warehouse = S3Config(**task["s3"]), WarehouseConfig(**task["warehouse"])
    load_library()
    settings = ingest_settings().model_copy(update={"spool_dir": Path(task["spool"])})
    stages: dict[str, float] = {}
    for name in ("fetch", "validate", "process", "load"):
        _time_stage(name, stages)
    info = ObjectStore(s3).head(settings.landing_bucket, task["key"])
    if info is None:
        raise SystemExit(f"no object {task['key']}")
    with road.open_stores(s3, warehouse) as stores:
        [(file_id, _)] = stores.ledger.claim(
            contract.dataset, contract.version, settings.landing_bucket, [info], "bench", f"bench-{time.time()}"
        )
        start = time.perf_counter()
        entry = stores.ledger.begin(file_id)
        if entry is None:
            raise SystemExit("the file is decided already")
        loaded = road.ingest_file(contract, entry, stores, settings)
        seconds = time.perf_counter() - start
    with connect(warehouse) as connection:
        report = Ledger(connection).report(file_id)
        Ledger(connection).settled(file_id, None)
    if loaded is None:
        raise SystemExit(f"not loaded: {report['code']}: {report['message']}")
    print(json.dumps({"seconds": seconds, "stages": stages, "peak_mb": peak_mb(), "rows": report["rows"]}))


def _time_stage(name: str, stages: dict[str, float]) -> None:
    stage = getattr(road, name)

    def timed(*args: object, **kwargs: object) -> object:
        start = time.perf_counter()
        try:
            return stage(*args, **kwargs)
        finally:
            stages[name] = time.perf_counter() - start

    setattr(road, name, timed)


if __name__ == "__main__":
    main()

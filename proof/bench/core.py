"""Benchmarks of the stages without Airflow, against the baseline: a first load, then an update of half of the keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import psycopg

from include.contracts.reader import read_contract
from include.samples.writer import Sample, write_sample
from include.settings import CONTRACTS_DIR, WarehouseConfig
from include.stores.object_store import ObjectStore
from proof.bench import baseline
from proof.bench.results import Measurement

if TYPE_CHECKING:
    from pathlib import Path

    from local.supervisor.platform import Platform

RATIO_LIMIT = 1.5
MEMORY_LIMIT_MB = 600
DUPLICATE_SHARE = 0.01

Say = Callable[[str], None]


def measure(platform: Platform, rows: int, folder: Path, say: Say) -> Iterator[Measurement]:
    """Load two files with the baseline and with the stages in turn, on freshly checkpointed tables."""
    say(f"making two files of {rows:,} sales")
    files = {
        "first load": (sample(folder / "first.csv", rows, 0, 1)),
        "update": sample(folder / "update.csv", rows, rows // 2, 2),
    }
    with psycopg.connect(owner_dsn(platform), autocommit=True) as owner:
        baseline.prepare(owner)
        for name, path in files.items():
            say(f"{name}: baseline")
            vacuum_and_checkpoint(platform)
            copy, merge = baseline.load(owner, path)
            say(f"{name}: through the stages")
            vacuum_and_checkpoint(platform)
            result = ingest(platform, path, folder)
            yield from _comparison(name, rows, copy, merge, result)
        _compare_tables(owner)


def measure_memory(platform: Platform, rows: int, folder: Path, say: Say) -> Iterator[Measurement]:
    """Measure the peak memory of the worker for one large file."""
    say(f"making a file of {rows:,} sales")
    path = sample(folder / "large.csv", rows, 5_000_000, 3)
    say(f"{rows:,} rows: through the stages")
    result = ingest(platform, path, folder)
    path.unlink()
    yield Measurement(f"worker's peak memory, {rows:,} rows", result["peak_mb"], "MB", MEMORY_LIMIT_MB)
    yield Measurement(f"through the stages, {rows:,} rows", result["seconds"], "s")


def ingest(platform: Platform, path: Path, folder: Path, dialect: dict[str, Any] | None = None) -> dict[str, Any]:
    """Upload a file and ingest it in a worker process; return the JSON that the worker printed.

    `dialect` is the custom property for the contract, if it is to have one.
    """
    key = f"incoming/sales/{path.name}"
    store = ObjectStore(platform.s3_config)
    store.upload(path, "landing", key)
    os.sync()  # the upload and its disk writes are not measured
    try:
        task = {"dataset": "sales", "key": key, "spool": str(folder / "spool"), "dialect": dialect or {}}
        return run_worker("worker", platform, task)
    finally:
        store.delete("landing", key)


def run_worker(module: str, platform: Platform, task: dict[str, Any]) -> dict[str, Any]:
    """Run a module of this package in a process of its own; return the JSON that it printed.

    Args:
        module: its name.
        platform: the keys of its stores are added to the task.
        task: is written to the standard input.
    """
    s3, warehouse = platform.s3_config, platform.warehouse_config("ingest")
    task |= {
        "s3": {**s3.model_dump(), "secret_access_key": s3.secret_access_key.get_secret_value()},
        "warehouse": {**warehouse.model_dump(), "password": warehouse.password.get_secret_value()},
    }
    done = subprocess.run(  # noqa: S603 - this interpreter, a module of this package
        [sys.executable, "-m", f"proof.bench.{module}"],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the worker failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _comparison(name: str, rows: int, copy: float, merge: float, result: dict[str, Any]) -> Iterator[Measurement]:
    baseline_seconds = copy + merge
    yield Measurement(f"{name}, baseline", baseline_seconds, "s")
    yield Measurement(f"{name}, baseline: COPY", copy, "s")
    yield Measurement(f"{name}, baseline: MERGE", merge, "s")
    yield Measurement(f"{name}, through the stages", result["seconds"], "s")
    for stage, seconds in result["stages"].items():
        yield Measurement(f"{name}, through the stages: {stage}", seconds, "s")
    yield Measurement(f"{name}, rows a second", rows / result["seconds"], "rows/s")
    yield Measurement(f"{name}, stages / baseline", result["seconds"] / baseline_seconds, "ratio", RATIO_LIMIT)
    yield Measurement(f"{name}, worker's peak memory, {rows:,} rows", result["peak_mb"], "MB", MEMORY_LIMIT_MB)


def sample(path: Path, rows: int, start: int, version: int) -> Path:
    """Write a file of sales; its path."""
    contract = read_contract(CONTRACTS_DIR / "sales.yaml")
    write_sample(Sample(contract, rows, start=start, version=version, duplicates=DUPLICATE_SHARE), path)
    return path


def _compare_tables(owner: psycopg.Connection[tuple[object, ...]]) -> None:
    """Stop the benchmark unless both loads produced the same rows."""
    columns = ", ".join(baseline.COLUMNS)
    row = owner.execute(
        f"SELECT count(*) FROM (SELECT {columns} FROM raw.sales EXCEPT SELECT {columns} FROM public.sales_baseline) d"
    ).fetchone()
    if row is None or row[0] != 0:
        raise SystemExit(f"raw.sales has {row and row[0]} rows that public.sales_baseline does not have")


def owner_dsn(platform: Platform) -> str:
    """The warehouse as its owner."""
    return _dsn(platform.warehouse_config("owner"))


def vacuum_and_checkpoint(platform: Platform) -> None:
    """Finish the background work of the load before, so that it does not slow down the next one."""
    with psycopg.connect(_superuser_dsn(platform), autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


def _superuser_dsn(platform: Platform) -> str:
    password = platform.credentials.postgres_password
    return psycopg.conninfo.make_conninfo(
        host="127.0.0.1", port=platform.settings.postgres_port, user="postgres", password=password, dbname="warehouse"
    )


def _dsn(config: WarehouseConfig) -> str:
    return psycopg.conninfo.make_conninfo(
        host=config.host,
        port=config.port,
        user=config.user,
        password=config.password.get_secret_value(),
        dbname=config.database,
    )

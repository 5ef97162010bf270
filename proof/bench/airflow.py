"""Benchmarks through Airflow: seconds from the drop of a file to rows that can be queried."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from include.contracts.reader import read_contract
from include.samples.writer import Sample, write_sample
from include.settings import CONTRACTS_DIR
from include.stores.object_store import ObjectStore
from include.stores.warehouse import Connection, connect
from proof.bench.results import Measurement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local.supervisor.platform import Platform
    from proof.bench.core import Say

LATENCY_LIMIT = 8.0
TRANSACTIONS_LIMIT = 12.0
TRANSACTION_ROWS = 10_000
MANY_FILES_LIMIT = 90.0
_TIMEOUT_SECONDS = 600


def measure(platform: Platform, drops: int, files: int, folder: Path, say: Say) -> Iterator[Measurement]:
    """Measure single drops one after the other, then many files at once."""
    with connect(platform.warehouse_config("ingest")) as connection:
        say("one file to warm up")
        _drop_one(platform, connection, folder, -1)
        seconds = []
        for number in range(drops):
            say(f"drop {number + 1} of {drops}")
            seconds.append(_drop_one(platform, connection, folder, number))
        yield Measurement("drop to queryable, one small file, median", statistics.median(seconds), "s", LATENCY_LIMIT)
        yield Measurement("drop to queryable, one small file, slowest", max(seconds), "s")
        yield from _transactions(platform, connection, folder, say)
        say(f"{files:,} files of 100 rows at once")
        yield Measurement(
            f"{files:,} small files, drop to loaded",
            _drop_many(platform, connection, files, folder),
            "s",
            MANY_FILES_LIMIT,
        )


def _transactions(platform: Platform, connection: Connection, folder: Path, say: Say) -> Iterator[Measurement]:
    seconds = []
    for number in range(3):
        say(f"{TRANSACTION_ROWS:,} transactions as a file, {number + 1} of 3")
        start = 80_000_000 + TRANSACTION_ROWS * number
        path = _sample(folder, f"transactions-{number}.csv", start, TRANSACTION_ROWS, "transactions")
        seconds.append(_drop(platform, connection, path, f"incoming/transactions/{path.name}"))
    median = statistics.median(seconds)
    yield Measurement(f"{TRANSACTION_ROWS:,} transactions, drop to rows, median", median, "s", TRANSACTIONS_LIMIT)


def _drop_one(platform: Platform, connection: Connection, folder: Path, number: int) -> float:
    path = _sample(folder, f"one-{number}.csv", 50_000_000 + 1000 * (number + 1), 1000)
    return _drop(platform, connection, path, f"incoming/sales/{path.name}")


def _drop(platform: Platform, connection: Connection, path: Path, key: str) -> float:
    ObjectStore(platform.s3_config).upload(path, "landing", key)
    start = time.perf_counter()
    _wait(connection, key, 1, start)
    seconds = time.perf_counter() - start
    # The next drop must find the DAG waiting for files, as in normal operation.
    _wait(connection, key, 1, start, settled=True)
    time.sleep(5)
    return seconds


def _drop_many(platform: Platform, connection: Connection, files: int, folder: Path) -> float:
    paths = [_sample(folder, f"many-{at:04}.csv", 60_000_000 + 100 * at, 100) for at in range(files)]
    store = ObjectStore(platform.s3_config)
    start = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: store.upload(path, "landing", f"incoming/sales/{path.name}"), paths))
    _wait(connection, "incoming/sales/many-%", files, start)
    return time.perf_counter() - start


def _wait(connection: Connection, key: str, files: int, start: float, *, settled: bool = False) -> None:
    condition = "settled_at IS NOT NULL" if settled else "loaded_at IS NOT NULL"
    query = f"SELECT count(*) FROM ops.file_ingestion_log WHERE object_key LIKE %s AND {condition}"
    while time.perf_counter() - start < _TIMEOUT_SECONDS:
        row = connection.execute(query.encode(), [key]).fetchone()
        if row and row[0] >= files:
            return
        time.sleep(0.05)
    raise SystemExit(f"{key} was not {'settled' if settled else 'loaded'} within {_TIMEOUT_SECONDS} s")


def _sample(folder: Path, name: str, start: int, rows: int, dataset: str = "sales") -> Path:
    contract = read_contract(CONTRACTS_DIR / f"{dataset}.yaml")
    path = folder / name
    write_sample(Sample(contract, rows, seed=7, start=start), path)
    return path

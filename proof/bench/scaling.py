"""`make bench SCALING=1`: the same files through each executor setup, and the parse time of many contracts."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from include.contracts.reader import read_contract
from include.samples.writer import Sample, write_sample
from include.settings import CONTRACTS_DIR
from include.stores.object_store import ObjectStore
from include.stores.warehouse import connect
from local.services.service import shared_environment
from local.settings import REPOSITORY, temporary_settings
from local.supervisor.platform import Platform
from local.temporary import patched_env, temporary_folder
from proof.bench.results import Measurement
from proof.bench.session import report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proof.bench.core import Say

DATASETS = 4
CONTRACTS = (10, 50, 200)
# The DAG files that read every contract; each is parsed in a separate process.
DAG_FILES = (
    "ingest_datasets",
    "consume_topics",
    "broken_contracts",
    "reprocess_failed",
    "check_quality",
    "transform_warehouse",
)
_SMALL_ROWS = 100
_TIMEOUT_SECONDS = 900
_KEY_DISTANCE = 100_000_000  # between the keys of two setups: files with known keys would be duplicates


@dataclass(frozen=True)
class ExecutorSetup:
    """One executor with its workers. `slots` is how many tasks run at the same time, per worker if there are some."""

    executor: str
    workers: int
    slots: int

    @property
    def name(self) -> str:
        """The name in the table."""
        if self.executor == "local":
            return f"Local, {self.slots} slots"
        return f"Celery, {self.workers} worker{'s' if self.workers > 1 else ''} of {self.slots} slots"


SETUPS = (
    ExecutorSetup("local", 0, 2), ExecutorSetup("local", 0, 4), ExecutorSetup("local", 0, 8),
    ExecutorSetup("celery", 1, 4), ExecutorSetup("celery", 2, 4),
)  # fmt: skip


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    files: Annotated[int, typer.Option(min=DATASETS, help="small files at once")] = 200,
    rows: Annotated[int, typer.Option(help="rows of each large file")] = 200_000,
) -> None:
    """Compare the executors."""
    status = Console(stderr=True, highlight=False)
    with temporary_folder("bench-") as folder:
        measurements = list(measure(folder, files, rows, status.print))
    report(measurements, "bench-scaling.json")


def measure(folder: Path, files: int, rows: int, say: Say) -> Iterator[Measurement]:
    """Load small files, then a large one for each dataset, with each setup; compare with the first setup."""
    yield from _parsing(folder, say)
    contracts = _contracts(folder / "contracts", DATASETS)
    firsts: dict[str, float] = {}
    for number, setup in enumerate(SETUPS):
        say(f"starting: {setup.name}")
        with _platform(folder / "home", contracts, setup) as platform:
            say(f"{setup.name}: one file for each dataset to warm up")
            _run(platform, contracts, 1, _SMALL_ROWS, start=number * _KEY_DISTANCE)
            kinds = (("small", files // DATASETS, _SMALL_ROWS), ("large", 1, rows))
            for at, (kind, each, size) in enumerate(kinds, start=1):
                say(f"{setup.name}: {each * DATASETS} files of {size:,} rows")
                seconds = _run(platform, contracts, each, size, start=number * _KEY_DISTANCE + at * _KEY_DISTANCE // 4)
                what = f"{each * DATASETS} files of {size:,} rows, {DATASETS} datasets, {setup.name}"
                yield Measurement(what, seconds, "s")
                first = firsts.setdefault(kind, seconds)
                yield Measurement(f"  times as fast as {SETUPS[0].name}", first / seconds, "ratio")


def _parsing(folder: Path, say: Say) -> Iterator[Measurement]:
    """Measure the CPU time of parsing all DAG files, without and with a cache, and of the parse for one task."""
    home = folder / "airflow"
    for count in CONTRACTS:
        say(f"parsing {count} contracts")
        environment = shared_environment(home) | {
            "AIRFLOW_HOME": str(home),
            "PYTHONPATH": str(REPOSITORY),
            "INGEST_CONTRACTS_DIR": str(_contracts(folder / f"contracts-{count}", count)),
            "INGEST_CONTRACTS_CACHE_DIR": str(folder / f"cache-{count}"),
        }
        for state in ("nothing cached", "cached"):
            seconds = sum(_parse_seconds(name, environment) for name in DAG_FILES)
            yield Measurement(f"parse of {count} contracts, {len(DAG_FILES)} DAG files, {state}", seconds, "s of CPU")
        one = environment | {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": "ingest_sales0"}
        yield Measurement(f"parse of {count} contracts, a task", _parse_seconds(DAG_FILES[0], one), "s of CPU")


def _parse_seconds(dag_file: str, environment: dict[str, str]) -> float:
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-m", "proof.bench.parse_worker", str(REPOSITORY / "dags" / f"{dag_file}.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])


def _contracts(folder: Path, count: int) -> Path:
    """Write the contracts of datasets sales0, sales1 and so on, copies of sales."""
    folder.mkdir()
    text = (CONTRACTS_DIR / "sales.yaml").read_text(encoding="utf-8")
    for number in range(count):
        name = f"sales{number}"
        renamed = text.replace("name: sales", f"name: {name}").replace("id: sales", f"id: {name}")
        (folder / f"{name}.yaml").write_text(renamed.replace("sales*", f"{name}-*"), encoding="utf-8")
    return folder


@contextmanager
def _platform(home: Path, contracts: Path, setup: ExecutorSetup) -> Iterator[Platform]:
    """Start the platform with this setup. All setups share one home, one after the other, so tables exist already."""
    settings = temporary_settings(
        home,
        airflow_executor=setup.executor,
        airflow_parallelism=setup.slots * max(setup.workers, 1),
        celery_workers=max(setup.workers, 1),
        celery_concurrency=setup.slots,
        platform_start_seconds=600,
    )
    with patched_env({"INGEST_CONTRACTS_DIR": str(contracts)}):
        platform = Platform(settings)
        try:
            platform.up()
            yield platform
        finally:
            platform.down()


def _run(platform: Platform, contracts: Path, each: int, rows: int, *, start: int) -> float:
    """Drop files of every dataset at once, with keys from `start` on; return the seconds until all are loaded."""
    samples = contracts.with_name("samples")
    shutil.rmtree(samples, ignore_errors=True)
    samples.mkdir()
    dropped: list[tuple[Path, str]] = []
    for contract in sorted(contracts.glob("*.yaml")):
        for number in range(each):
            first = start + rows * number
            path = samples / f"{contract.stem}-{first}.csv"
            write_sample(Sample(read_contract(contract), rows, seed=first, start=first), path)
            dropped.append((path, f"incoming/{contract.stem}/{path.name}"))
    store = ObjectStore(platform.s3_config)
    begun = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: store.upload(one[0], "landing", one[1]), dropped))
    query = "SELECT count(*) FROM ops.file_ingestion_log WHERE object_key = ANY(%s) AND loaded_at IS NOT NULL"
    keys = [key for _, key in dropped]
    with connect(platform.warehouse_config("ingest")) as connection:
        while time.perf_counter() - begun < _TIMEOUT_SECONDS:
            row = connection.execute(query.encode(), [keys]).fetchone()
            connection.rollback()
            if row and row[0] == len(keys):
                return time.perf_counter() - begun
            time.sleep(0.1)
    raise SystemExit(f"{len(keys)} files were not loaded within {_TIMEOUT_SECONDS} s")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a SIGTERM stops the platform, too
    app()

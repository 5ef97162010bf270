"""Benchmarks of the lakehouse: updates of a table, against plain SQL that brings the same rows there.

What belongs here: the two updates, and what each is compared with. What does not: loading the warehouse (`core`).
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Annotated

import psycopg
import typer

from include.contracts.reader import read_contract
from include.lake.connect import open_lake
from include.lake.tables import LakeTable
from include.lake.update import TableUpdater
from include.samples.writer import Sample, write_sample
from include.settings import CONTRACTS_DIR
from local.supervisor.platform import STORES
from proof.bench import core
from proof.bench.results import Measurement
from proof.bench.session import progress, report, temporary_platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import duckdb

    from local.supervisor.platform import Platform

ROUNDS = 3
FIRST_LIMIT, MERGE_LIMIT = 1.5, 2.0
SALES = LakeTable("raw", "sales", ("sale_id",))
_PLAIN, _FILE = "lake.main.plain", "s3://lake/plain.parquet"
_SOURCE = "warehouse.raw.sales"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    rows: Annotated[int, typer.Option(help="rows of the table")] = 1_000_000,
    changed: Annotated[int, typer.Option(help="rows of the second load; half of them are new")] = 100_000,
) -> None:
    """Bring a table to the lake, then a second load of it, and do the same by plain SQL."""
    with temporary_platform() as (platform, folder), progress() as say:
        platform.up(STORES)
        measurements = list(Lake(platform, folder, rows, changed).measure(say))
    report(measurements, "bench-lake.json")


@dataclass
class Lake:
    """A platform, its folder, and how many rows the two loads have."""

    platform: Platform
    folder: Path
    rows: int
    changed: int

    def measure(self, say: core.Say) -> Iterator[Measurement]:
        """Measure in rounds, each with the first load and the second; the measurements are medians of the rounds."""
        rounds: list[dict[str, float]] = []
        with open_lake(
            self.platform.lake_config(writes=True), self.platform.warehouse_config("transform")
        ) as engine:  # fmt: skip
            for number in range(ROUNDS + 1):
                say(f"round {number} of {ROUNDS}" if number else "a round that is not reported: servers are cold")
                found = self._round(engine)
                rounds += [found] if number else []
        seconds = {name: median(found[name] for found in rounds) for name in rounds[0]}
        yield from (Measurement(name, value, "s") for name, value in seconds.items())
        for limit, name, base in (
            (FIRST_LIMIT, self._first, self._create),
            (None, self._first, self._copy),
            (MERGE_LIMIT, self._second, self._merge),
        ):
            ratio = median(found[name] / found[base] for found in rounds)
            yield Measurement(f"{name} / {base.partition(' ')[2]}", ratio, "ratio", limit)

    @property
    def _first(self) -> str:
        return f"update of {self.rows:,} rows"

    @property
    def _second(self) -> str:
        return f"update with {self.changed:,} changed"

    @property
    def _create(self) -> str:
        return "by CREATE TABLE AS"

    @property
    def _copy(self) -> str:
        return "by COPY to Parquet"

    @property
    def _merge(self) -> str:
        return "by MERGE"

    def _round(self, engine: duckdb.DuckDBPyConnection) -> dict[str, float]:
        updater = TableUpdater(engine, self.platform.warehouse_config("ingest"))
        self._empty(engine)
        self._load("first", 0, self.rows, 1)
        seconds = {
            self._create: timed(lambda: engine.execute(f"CREATE TABLE {_PLAIN} AS FROM {_SOURCE}")),
            self._copy: timed(lambda: engine.execute(f"COPY (FROM {_SOURCE}) TO '{_FILE}' (COMPRESSION zstd)")),
            self._first: timed(lambda: updater.update(SALES)),
        }
        [(loaded,)] = engine.execute(f"SELECT max(_loaded_at) FROM {_PLAIN}").fetchall()
        self._load("second", self.rows - self.changed // 2, self.changed, 2)
        names = [name for name, *_ in engine.execute(f"DESCRIBE {_PLAIN}").fetchall()]
        merge = (
            f"MERGE INTO {_PLAIN} AS t USING (FROM {_SOURCE} WHERE _loaded_at > ?) AS s ON t.sale_id = s.sale_id "
            f"WHEN MATCHED THEN UPDATE SET {', '.join(f'{name} = s.{name}' for name in names)} "
            f"WHEN NOT MATCHED THEN INSERT VALUES ({', '.join(f's.{name}' for name in names)})"
        )
        seconds[self._merge] = timed(lambda: engine.execute(merge, [loaded]))
        seconds[self._second] = timed(lambda: updater.update(SALES))
        self._compare(engine)
        return seconds

    def _load(self, name: str, start: int, rows: int, version: int) -> None:
        path = self.folder / f"{name}.csv"
        if not path.exists():
            contract = read_contract(CONTRACTS_DIR / "sales.yaml")
            write_sample(Sample(contract, rows, start=start, version=version), path)
        core.ingest(self.platform, path, self.folder)
        core.vacuum_and_checkpoint(self.platform)

    def _empty(self, engine: duckdb.DuckDBPyConnection) -> None:
        with psycopg.connect(core.owner_dsn(self.platform), autocommit=True) as owner:
            owner.execute("DROP TABLE IF EXISTS raw.sales")
            owner.execute("TRUNCATE ops.file_ingestion_log CASCADE")
        engine.execute(f"DROP TABLE IF EXISTS {_PLAIN}")
        engine.execute("DROP TABLE IF EXISTS lake.raw.sales; DROP TABLE IF EXISTS lake.meta.progress")
        engine.execute("CALL pg_clear_cache()")  # else the scanner has the columns of the table before

    def _compare(self, engine: duckdb.DuckDBPyConnection) -> None:
        """Stop the benchmark unless both tables have the same rows."""
        [(rows, differing)] = engine.execute(
            f"SELECT (SELECT count(*) FROM {SALES.in_lake}), (SELECT count(*) FROM (SELECT sale_id, updated_at, "
            f"total_amount FROM {SALES.in_lake} EXCEPT SELECT sale_id, updated_at, total_amount FROM {_PLAIN}))"
        ).fetchall()
        if rows != self.rows + self.changed - self.changed // 2 or differing:
            raise SystemExit(f"the lake has {rows:,} rows, and {differing:,} that the plain table does not have")


def timed(work: Callable[[], object]) -> float:
    """The seconds that a function needs."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a SIGTERM stops the platform, too
    app()

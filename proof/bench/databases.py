"""Benchmarks of database sources: a table to committed rows, against the load of the same rows from Parquet.

What belongs here: filling the tables, and the ratios. What does not: collecting (`source_worker`), loading (`core`).
"""

from __future__ import annotations

import signal
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import duckdb
import psycopg
import typer

from include.contracts.expressions import literal
from include.contracts.reader import read_contract
from include.samples.writer import Sample, write_sample
from include.settings import CONTRACTS_DIR
from include.stores.object_store import ObjectStore
from local.supervisor.platform import STORES
from proof.bench import core
from proof.bench.results import Measurement
from proof.bench.session import progress, report, temporary_platform
from tests.mariadb import LOGIN, PASSWORD, mariadb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local.supervisor.platform import Platform
    from tests.mariadb import MariaDb

ROUNDS = 3
RATIO_LIMIT = 1.3
MEMORY_LIMIT_MB = 400
_DATABASE = "bench_source"
_COLUMNS = (
    ("sale_id", "varchar(64) PRIMARY KEY"), ("sale_date", "date NOT NULL"), ("customer_id", "varchar(64) NOT NULL"),
    ("customer_name", "varchar(200)"), ("product", "varchar(200) NOT NULL"), ("category", "varchar(50) NOT NULL"),
    ("quantity", "integer NOT NULL"), ("unit_price", "decimal(12,2) NOT NULL"),
    ("total_amount", "decimal(14,2) NOT NULL"), ("region", "varchar(50)"), ("updated_at", "{moment} NOT NULL"),
)  # fmt: skip
_TYPES = {"quantity": "INTEGER", "unit_price": "DECIMAL(12,2)", "total_amount": "DECIMAL(14,2)", "sale_date": "DATE",
          "updated_at": "TIMESTAMPTZ"}  # fmt: skip

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(rows: Annotated[int, typer.Option(help="rows of the table")] = 1_000_000) -> None:
    """Collect and load the same rows from Parquet, PostgreSQL and MariaDB."""
    with temporary_platform() as (platform, folder), progress() as say:
        platform.up(STORES)
        measurements = list(measure(platform, rows, folder, say))
    report(measurements, "bench-databases.json")


def measure(platform: Platform, rows: int, folder: Path, say: core.Say) -> Iterator[Measurement]:
    """Load the same rows from Parquet, PostgreSQL and MariaDB, in turn and each as the first load of its table.

    The measurements are medians of the rounds. One load before them is not reported: it finds a cold server.
    """
    say(f"making {rows:,} sales as Parquet and as tables")
    plain, parquet = _files(folder, rows)
    with mariadb(_made(folder / "mariadb")) as server:
        connections = {"PostgreSQL": _postgres(platform, plain), "MariaDB": _mariadb(server, plain)}
        plain.unlink()
        say("a load that is not reported")
        _empty(platform)
        core.ingest(platform, parquet, folder)
        rounds: list[list[Measurement]] = []
        for number in range(1, ROUNDS + 1):
            say(f"round {number} of {ROUNDS}: load of Parquet")
            _empty(platform)
            base = core.ingest(platform, parquet, folder)["seconds"]
            rounds.append([Measurement(f"{rows:,} rows from Parquet", base, "s")])
            for name, connection in connections.items():
                say(f"round {number} of {ROUNDS}: {name}, collecting and loading")
                _empty(platform)
                rounds[-1] += _of_database(platform, folder, name, connection, base)
        for found in zip(*rounds, strict=True):
            yield replace(found[0], value=median(measurement.value for measurement in found))


def _of_database(
    platform: Platform, folder: Path, name: str, connection: dict[str, Any], base_seconds: float
) -> Iterator[Measurement]:
    """Collect and load a table; its ratio is to the load of Parquet in the same round."""
    source = {"name": "bench_sales", "kind": "database", "connection": "source_bench", "schedule": None,
              "dataset": "sales", "schema": "shop", "table": "sales"}  # fmt: skip
    spool = str(folder / "spool")
    task = {"source": source, "connection": connection, "spool": spool}
    collected = core.run_worker("source_worker", platform, task)
    key = collected["key"]
    loaded = core.run_worker("worker", platform, {"dataset": "sales", "key": key, "spool": spool, "dialect": {}})
    ObjectStore(platform.s3_config).delete("landing", key)
    seconds = collected["seconds"] + loaded["seconds"]
    yield Measurement(f"{name} to committed rows", seconds, "s")
    yield Measurement(f"{name}, the collector", collected["seconds"], "s")
    yield Measurement(f"{name}, the collector's processor time", collected["cpu_seconds"], "s")
    yield Measurement(f"{name} / Parquet", seconds / base_seconds, "ratio", RATIO_LIMIT)
    yield Measurement(f"{name}, the collector's peak memory", collected["peak_mb"], "MB", MEMORY_LIMIT_MB)


def _files(folder: Path, rows: int) -> tuple[Path, Path]:
    """The sales as CSV in the order of their key, and as Parquet."""
    contract = read_contract(CONTRACTS_DIR / "sales.yaml")
    unordered, plain, parquet = (folder / name for name in ("unordered.csv", "tables.csv", "tables.parquet"))
    write_sample(Sample(contract, rows), unordered)
    listed = ", ".join(f"CAST({name} AS {_TYPES.get(name, 'VARCHAR')}) AS {name}" for name, _ in _COLUMNS)
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        engine.execute(
            f"CREATE TABLE sales AS SELECT {listed} FROM read_csv({literal(str(unordered))}, all_varchar = true) "
            "ORDER BY sale_id"
        )
        engine.execute(f"COPY sales TO {literal(str(parquet))} (FORMAT parquet, COMPRESSION zstd)")
        texts = "* REPLACE (strftime(updated_at, '%Y-%m-%d %H:%M:%S.%f') AS updated_at)"
        engine.execute(f"COPY (SELECT {texts} FROM sales) TO {literal(str(plain))} (HEADER, DELIMITER '\t')")
    unordered.unlink()
    return plain, parquet


def _postgres(platform: Platform, plain: Path) -> dict[str, Any]:
    """Fill a table of a database of its own; its connection."""
    given = {"host": "127.0.0.1", "port": str(platform.settings.postgres_port), "user": "postgres",
             "password": platform.credentials.postgres_password}  # fmt: skip
    address = psycopg.conninfo.make_conninfo("", **given, options="-c TimeZone=UTC")
    with psycopg.connect(address, dbname="postgres", autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {_DATABASE}".encode())
    columns = ", ".join(f"{name} {kind.format(moment='timestamptz')}" for name, kind in _COLUMNS)
    with psycopg.connect(address, dbname=_DATABASE, autocommit=True) as owner:
        owner.execute(f"CREATE SCHEMA shop; CREATE TABLE shop.sales ({columns})".encode())
        copy = "COPY shop.sales FROM STDIN (FORMAT csv, HEADER, DELIMITER E'\\t')"
        with owner.cursor() as cursor, cursor.copy(copy) as target, plain.open("rb") as source:
            while chunk := source.read(1024**2):
                target.write(chunk)
        owner.execute("VACUUM ANALYZE shop.sales")
    return {"conn_type": "postgres", "host": given["host"], "port": given["port"], "login": given["user"],
            "password": given["password"], "schema": _DATABASE}  # fmt: skip


def _mariadb(server: MariaDb, plain: Path) -> dict[str, Any]:
    """Fill a table; its connection."""
    columns = ", ".join(f"{name} {kind.format(moment='timestamp(6)')}" for name, kind in _COLUMNS)
    names = ", ".join(f"@{name}" if name in {"customer_name", "region"} else name for name, _ in _COLUMNS)
    server.run(
        f"SET time_zone = '+00:00'; USE shop; CREATE TABLE sales ({columns}); "
        f"LOAD DATA LOCAL INFILE '{plain}' INTO TABLE sales CHARACTER SET utf8mb4 "
        "FIELDS TERMINATED BY '\\t' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\n' IGNORE 1 LINES "
        f"({names}) SET customer_name = nullif(@customer_name, ''), region = nullif(@region, ''); "
        "ANALYZE TABLE sales"
    )
    return {"conn_type": "mysql", "host": "127.0.0.1", "port": server.port, "login": LOGIN, "password": PASSWORD,
            "schema": "shop"}  # fmt: skip


def _empty(platform: Platform) -> None:
    """Remove the rows, what the ledger knows of their content, and how far the source was read."""
    with psycopg.connect(core.owner_dsn(platform), autocommit=True) as owner:
        owner.execute("DROP TABLE IF EXISTS raw.sales")
        owner.execute("TRUNCATE ops.file_ingestion_log CASCADE")
        owner.execute("TRUNCATE ops.source_position, ops.source_run")
    core.vacuum_and_checkpoint(platform)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a SIGTERM stops the platform, too
    app()

"""`make demo`: ingests sample files and prints the outcome of each. The platform stays up afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.table import Table

from include.contracts.reader import read_contract
from include.samples.badness import Bad, BadKind, SampleFormat
from include.samples.writer import Sample, write_sample
from include.settings import ingest_settings
from include.stores.object_store import ObjectStore
from include.stores.warehouse import Connection, connect
from local.errors import PlatformError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from include.contracts.model import Contract
    from local.supervisor.platform import Platform

ROWS = 10_000
_TIMEOUT_SECONDS = 900  # long, for slow machines


@dataclass(frozen=True)
class Drop:
    """The object key of a demo file, and what the file shows."""

    key: str
    description: str


def run(platform: Platform, console: Console) -> None:
    """Make files, drop them, wait until each is settled, and print the ledger.

    Raises:
        PlatformError: a file was not settled in time.
    """
    stamp = time.strftime("%H%M%S")
    landing = ObjectStore(platform.s3_config)
    bucket = ingest_settings().landing_bucket
    with TemporaryDirectory() as folder, connect(platform.warehouse_config("ingest")) as connection:
        (path, first), *others = _files(Path(folder), stamp, _first_number(connection))
        keys = []
        for wave in ([(path, first)], others):
            console.print("\nDropping into the bucket:")
            for path, drop in wave:
                landing.upload(path, bucket, drop.key)
                console.print(f"  s3://{bucket}/{drop.key}  [dim]{drop.description}[/]")
                keys.append(drop.key)
            _wait(connection, keys, console)
        console.print()
        _print_outcomes(connection, keys, console)
        _print_rejects(connection, keys, console)


def _files(folder: Path, stamp: str, number: int) -> Iterator[tuple[Path, Drop]]:
    """Make good files, bad files, a duplicate and a file of no dataset. Keys are new at each demo."""
    sales, inventory = _contract("sales"), _contract("inventory")

    def sample(
        contract: Contract, name: str, kind: SampleFormat, *bad: Bad, start: int = number, version: int = 1
    ) -> Path:
        path = folder / name
        write_sample(Sample(contract, ROWS, seed=number + 1, bad=bad, start=start, version=version), path, kind)
        return path

    first = sample(sales, f"sales_{stamp}.csv", SampleFormat.CSV)
    yield first, Drop(f"incoming/sales/{first.name}", "10,000 good rows")
    update = sample(sales, f"sales_{stamp}_update.parquet", SampleFormat.PARQUET, start=number + ROWS // 2, version=2)
    yield update, Drop(f"incoming/sales/{update.name}", "half of the keys again, in a newer version")
    broken = sample(
        sales, f"sales_{stamp}_broken.csv", SampleFormat.CSV, Bad(BadKind.BAD_DATE, 2), start=number + 2 * ROWS
    )
    yield broken, Drop(f"incoming/sales/{broken.name}", "two bad dates; the contract allows no bad row")
    counted = sample(inventory, f"inventory_{stamp}.ndjson", SampleFormat.NDJSON, Bad(BadKind.OUT_OF_RANGE, 3))
    yield counted, Drop(f"incoming/inventory/{counted.name}", "three bad rows; the contract allows 1 %")
    picture = sample(sales, f"sales_{stamp}_picture.csv", SampleFormat.CSV, Bad(BadKind.PNG))
    yield picture, Drop(f"incoming/sales/{picture.name}", "a PNG picture named .csv")
    yield first, Drop(f"incoming/sales/sales_{stamp}_again.csv", "the first file under another name")
    yield picture, Drop(f"incoming/holiday_{stamp}.png", "a file of no dataset")


def _contract(name: str) -> Contract:
    return read_contract(ingest_settings().contracts_dir / f"{name}.yaml")


def _first_number(connection: Connection) -> int:
    """Return the first key of this demo, above the keys of all earlier demos."""
    row = connection.execute("SELECT coalesce(max(file_id), 0) FROM ops.file_ingestion_log").fetchone()
    return int(row[0]) * ROWS if row else 0


def _wait(connection: Connection, keys: list[str], console: Console) -> None:
    start, settled = time.monotonic(), 0
    names = [key.rsplit("/", maxsplit=1)[-1] for key in keys]
    query = (
        "SELECT count(DISTINCT object_key) FROM ops.file_ingestion_log "
        "WHERE settled_at IS NOT NULL AND regexp_replace(object_key, '^.*/', '') = ANY(%s)"
    )
    with console.status("Airflow finds and ingests them") as spinner:
        while time.monotonic() - start < _TIMEOUT_SECONDS:
            row = connection.execute(query, [names]).fetchone()
            settled = int(row[0]) if row else 0
            spinner.update(f"Airflow finds and ingests them: {settled} of {len(keys)} settled")
            if settled == len(keys):
                console.print(f"Settled after {time.monotonic() - start:.0f} s.")
                return
            time.sleep(0.25)
    raise PlatformError(
        f"only {settled} of {len(keys)} files were settled within {_TIMEOUT_SECONDS} s",
        "look at the DAGs' runs in Airflow, and at the logs that `filegate status` names",
    )


def _print_outcomes(connection: Connection, keys: list[str], console: Console) -> None:
    table = _table("FILE", "STATUS", "READ", "NEW", "CHANGED", "SAME", "DUPLICATE", "REJECTED", "SECONDS", "MOVED TO")
    rows = connection.execute(
        "SELECT object_key, status, rows_read, rows_inserted, rows_updated, rows_unchanged, rows_duplicate, "
        "rows_rejected, extract(epoch FROM settled_at - claimed_at), settled_key "
        "FROM ops.file_ingestion_log WHERE object_key = ANY(%s) ORDER BY file_id",
        [keys],
    ).fetchall()
    colours = {"archived": "green", "duplicate": "yellow"}
    for key, status, *counts, seconds, settled_key in rows:
        shown = ["" if count is None else f"{count:,}" for count in counts]
        colour = colours.get(status, "red")
        table.add_row(
            key.removeprefix("incoming/"), f"[{colour}]{status}[/]", *shown, f"{seconds:.1f}", settled_key or ""
        )
    console.print(table)


def _print_rejects(connection: Connection, keys: list[str], console: Console) -> None:
    console.print("\nWhy rows and files were rejected:")
    table = _table("FILE", "LINE", "COLUMN", "CODE", "MESSAGE")
    rows = connection.execute(
        "SELECT object_key, r.source_line::text, r.column_name, r.code, r.message FROM ops.rejected_rows AS r "
        "JOIN ops.file_ingestion_log AS l USING (file_id) WHERE object_key = ANY(%(keys)s) "
        "UNION ALL SELECT object_key, NULL, NULL, error_code, error_message FROM ops.file_ingestion_log AS l "
        "WHERE object_key = ANY(%(keys)s) AND error_code IS NOT NULL "
        "AND NOT EXISTS (SELECT FROM ops.rejected_rows AS r WHERE r.file_id = l.file_id) ORDER BY 1, 2",
        {"keys": keys},
    ).fetchall()
    for key, line, column, code, message in rows:
        table.add_row(key.removeprefix("incoming/"), line or "", column or "", f"[red]{code}[/]", message)
    console.print(table)


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(
            heading,
            overflow="fold",
            justify="right"
            if heading in {"READ", "NEW", "CHANGED", "SAME", "DUPLICATE", "REJECTED", "SECONDS", "LINE"}
            else "left",
        )
    return table

"""Benchmarks of the file formats: the same rows in each format and dialect, each as the first load of its table.

What belongs here: writing the formats, and the ratios to plain CSV. What does not: loading (`core.ingest`).
"""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import shutil
import signal
import tarfile
import zipfile
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import fastavro
import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import typer
import xlsxwriter
import zstandard
from pyarrow import orc

from local.supervisor.platform import STORES
from proof.bench import core
from proof.bench.results import Measurement
from proof.bench.session import progress, report, temporary_platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from local.supervisor.platform import Platform

_BATCH = 50_000
_SHEET_ROWS = 400_000  # a sheet of a million rows of texts expands over the limit for workbooks
_GERMAN = {
    "encoding": "cp1252", "delimiter": ";", "decimal": ",", "thousands": ".", "skipLines": 4, "footerLines": 1,
}  # fmt: skip
_COMMAS = str.maketrans(",.", ".,")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(rows: Annotated[int, typer.Option(help="rows of each file")] = 1_000_000) -> None:
    """Load the same rows in each format and dialect."""
    with temporary_platform() as (platform, folder), progress() as say:
        platform.up(STORES)
        measurements = list(measure(platform, rows, folder, say))
    report(measurements, "bench-formats.json")


@dataclass(frozen=True)
class Format:
    """A way to write the rows, the custom property `dialect` that the contract needs for it, and a limit of rows."""

    name: str
    write: Callable[[Path, Path], object]
    dialect: dict[str, Any] = field(default_factory=dict)
    most_rows: int = 10**12


def measure(platform: Platform, rows: int, folder: Path, say: core.Say) -> Iterator[Measurement]:
    """Load the same rows in each format, on an empty table; ratios are of the seconds of a row.

    CSV is loaded once before, and not reported: the first load finds a cold server.

    Raises:
        RuntimeError: the loads have read another number of rows.
    """
    say(f"making files of {rows:,} sales")
    plain = core.sample(folder / "plain.csv", rows, 0, 1)
    seconds: dict[str, float] = {}
    say("one load that is not reported")
    core.ingest(platform, plain, folder, FORMATS[0].dialect)
    for one in FORMATS:
        path = folder / f"formats.{one.name.replace(' ', '.').replace(',', '')}"
        say(f"{one.name}: writing")
        one.write(plain, path)
        say(f"{one.name}: through the stages")
        _empty(platform)
        core.vacuum_and_checkpoint(platform)
        result = core.ingest(platform, path, folder, one.dialect)
        read = _read(platform)
        if read != min(rows, one.most_rows):
            raise RuntimeError(f"{one.name}: {read} rows of {rows} were read")
        size = f"{path.stat().st_size / 1024**2:,.0f} MB"
        path.unlink()
        seconds[one.name] = result["seconds"] / read
        yield Measurement(f"{one.name}, {read:,} rows, {size}", result["seconds"], "s")
        yield Measurement(f"{one.name} / csv", seconds[one.name] / seconds["csv"], "ratio")
        yield Measurement(f"{one.name}, worker's peak memory", result["peak_mb"], "MB")


def _empty(platform: Platform) -> None:
    """Remove the rows, and what the ledger knows of their content."""
    with psycopg.connect(core.owner_dsn(platform), autocommit=True) as owner:
        owner.execute("DROP TABLE IF EXISTS raw.sales")
        owner.execute("TRUNCATE ops.file_ingestion_log CASCADE")


def _read(platform: Platform) -> int:
    with psycopg.connect(core.owner_dsn(platform), autocommit=True) as owner:
        row = owner.execute("SELECT sum(rows_read) FROM ops.file_ingestion_log").fetchone()
    return int(row[0] or 0) if row else 0


def _compressed(opened: Callable[..., Any]) -> Callable[[Path, Path], None]:
    def write_file(plain: Path, path: Path) -> None:
        with plain.open("rb") as source, opened(path, "wb") as target:
            shutil.copyfileobj(source, target, 1024**2)

    return write_file


def _lines(plain: Path) -> Iterator[list[str]]:
    with plain.open(newline="", encoding="utf-8") as source:
        yield from csv.reader(source)


def _german(plain: Path, path: Path) -> None:
    header, *_ = _lines(plain)
    numbers = {header.index(name) for name in ("unit_price", "total_amount")}
    with path.open("w", newline="", encoding="cp1252", errors="replace") as target:
        target.write("Export\n\n\n\n")
        writer = csv.writer(target, delimiter=";", lineterminator="\n")
        for at, row in enumerate(_lines(plain)):
            is_number = [at > 0 and column in numbers and bool(cell) for column, cell in enumerate(row)]
            cells = zip(row, is_number, strict=True)
            writer.writerow([f"{float(cell):,.2f}".translate(_COMMAS) if number else cell for cell, number in cells])
        target.write("Ende\n")


def _utf_16(plain: Path, path: Path) -> None:
    with plain.open(encoding="utf-8") as source, path.open("w", encoding="utf-16") as target:
        shutil.copyfileobj(source, target, 1024**2)


def _records(plain: Path) -> Iterator[dict[str, str | None]]:
    lines = _lines(plain)
    header = next(lines)
    for line in lines:
        yield {name: cell or None for name, cell in zip(header, line, strict=True)}


def _ndjson(plain: Path, path: Path) -> None:
    with path.open("w", encoding="utf-8") as target:
        for record in _records(plain):
            target.write(json.dumps(record, ensure_ascii=False) + "\n")


def _json(plain: Path, path: Path) -> None:
    with path.open("w", encoding="utf-8") as target:
        target.write('{"meta": {}, "data": [')
        for at, record in enumerate(_records(plain)):
            target.write((",\n" if at else "") + json.dumps(record, ensure_ascii=False))
        target.write("]}")


def _table(plain: Path, *, typed: bool) -> pa.Table:
    table = pyarrow.csv.read_csv(plain)
    return table if typed else table.cast(pa.schema([(name, pa.string()) for name in table.column_names]))


def _avro(plain: Path, path: Path) -> None:
    names = next(_lines(plain))
    schema = {"type": "record", "name": "sale", "fields": [{"name": n, "type": ["null", "string"]} for n in names]}
    with path.open("wb") as target:
        fastavro.writer(target, schema, _records(plain), codec="deflate")


def _arrow(plain: Path, path: Path) -> None:
    table = _table(plain, typed=True)
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=_BATCH)


def _xlsx(plain: Path, path: Path) -> None:
    """The rows that one sheet can hold."""
    with xlsxwriter.Workbook(str(path), {"constant_memory": True, "strings_to_numbers": False}) as book:
        sheet = book.add_worksheet("sales")
        for at, row in enumerate(_lines(plain)):
            if at > _SHEET_ROWS:
                break
            for column, cell in enumerate(row):
                sheet.write_string(at, column, cell)


def _zip(plain: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(plain, "sales.csv")


def _tar(plain: Path, path: Path) -> None:
    with tarfile.open(path, "w:gz", compresslevel=6) as archive:
        archive.add(plain, "sales.csv")


FORMATS = (
    Format("csv", shutil.copyfile),
    Format("csv, cp1252 and decimal comma", _german, _GERMAN),
    Format("csv, utf-16", _utf_16),
    Format("csv, gzip", _compressed(partial(gzip.open, compresslevel=6))),
    Format("csv, zstd", _compressed(zstandard.open)),
    Format("csv, bzip2", _compressed(bz2.open)),
    Format("csv, xz", _compressed(partial(lzma.open, preset=1))),
    Format("csv in zip", _zip),
    Format("csv in tar.gz", _tar),
    Format("ndjson", _ndjson),
    Format("json at a record path", _json, {"recordPath": "data"}),
    Format("parquet", lambda plain, path: pq.write_table(_table(plain, typed=True), path)),
    Format("parquet of texts", lambda plain, path: pq.write_table(_table(plain, typed=False), path)),
    Format("orc", lambda plain, path: orc.write_table(_table(plain, typed=True), str(path))),
    Format("arrow", _arrow),
    Format("avro", _avro),
    Format("xlsx", _xlsx, most_rows=_SHEET_ROWS),
)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a SIGTERM stops the platform, too
    app()

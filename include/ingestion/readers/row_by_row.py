"""The slow path: types every cell on its own, and explains every bad row.

Each format's reader gives chunks of records as text. The queries of a chunk type every cell, find the faults and
separate good rows from refused ones. The slow path takes about ten times as long as the fast path. It is used where the
fast path found a fault, and for formats that have no fast path.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from include.contracts.expressions import literal
from include.contracts.model import Contract, UnknownColumns
from include.ingestion.chunk_query import Cells, Chunk, ChunkQuery
from include.ingestion.expansion import TEXT_BATCH_BYTES
from include.ingestion.header import ColumnMap, map_columns, unmatched
from include.ingestion.messages import explain_unwritable
from include.ingestion.readers.csv_text import CsvRecord, CsvShape, data_records
from include.ingestion.readers.json_columns import (
    JsonColumns,
    json_table,
    one_spelling,
    without_record_path,
)
from include.ingestion.readers.json_records import json_records
from include.ingestion.readers.json_text import JsonRecord
from include.ingestion.readers.nested_columns import PlacedColumns, stored_batches
from include.ingestion.readers.parquet_file import MOST_CELLS
from include.ingestion.readers.parquet_text import ParquetRecords, parquet_text, raw_texts
from include.ingestion.readers.text_lines import RAW_SHOWN
from include.ingestion.readers.vectorised import BATCH_ROWS
from include.ingestion.records import FileFormat, FileRefusedError, Reject, SpooledFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from include.ingestion.readers.columnar import ColumnarFile
    from include.settings import IngestSettings

CHUNK_ROWS = 20_000
CHUNK_CHARACTERS = 8 * 1024**2  # rows may be long, and a whole chunk is in memory

_Record = TypeVar("_Record", CsvRecord, JsonRecord)


def read_csv_rows(
    text: SpooledFile,
    shape: CsvShape,
    contract: Contract,
    connection: duckdb.DuckDBPyConnection,
    settings: IngestSettings,
) -> Iterator[Chunk]:
    """Read a CSV file, chunk by chunk."""
    columns = map_columns(shape.header, contract, settings.max_columns)
    query = ChunkQuery(contract.of_text_table, _positional(columns))
    most = min(CHUNK_ROWS, max(1, MOST_CELLS // len(shape.header)))
    records = data_records(text.path, shape, settings.max_row_bytes)
    first = 1
    while batch := _next_records(records, most):
        rejects = _structure_rejects(batch, first)
        chunk = query.run(connection, _csv_table(batch, first, len(shape.header)))
        rejects = sorted(rejects + chunk.rejects, key=lambda reject: reject.source_row)
        yield replace(chunk, rows=len(batch), rejects=rejects)
        first += len(batch)


def _next_records(records: Iterator[_Record], most: int = CHUNK_ROWS) -> list[_Record]:
    """The next `most` records, or fewer if they are long."""
    batch: list[_Record] = []
    size = 0
    with _paused_collector():
        for record in islice(records, most):
            batch.append(record)
            size += len(record.raw)
            if size >= CHUNK_CHARACTERS:
                break
    return batch


@contextmanager
def _paused_collector() -> Iterator[None]:
    """Pause the garbage collector: its search for cycles among many small objects takes a quarter of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def read_json_rows(
    text: SpooledFile,
    kind: FileFormat,
    contract: Contract,
    connection: duckdb.DuckDBPyConnection,
    settings: IngestSettings,
) -> Iterator[Chunk]:
    """Read a JSON document or newline-delimited JSON, chunk by chunk.

    Raises:
        FileRefusedError: no record has a required key, or `map_columns` or a reader refuses the file.
    """
    given = JsonColumns.of(contract, kind, holds_cells=text.holds_cells)

    def records() -> Iterator[JsonRecord]:
        return given.of_columns(json_records(text, kind, contract, settings.max_row_bytes))

    known: set[str] = set()
    if contract.unknown_columns is UnknownColumns.EVOLVE:
        # All chunks are written with the same columns, including those that only the last record has.
        _read_keys(records(), known, settings.max_columns)
    first, remaining = 1, records()
    while batch := _next_records(remaining):
        batch = one_spelling(batch, known, given, alone=text.records_alone)
        # A required key that no record has is a missing column, unless there are no records. The first record with
        # the key may be in a later chunk.
        alone = text.records_alone or not (known or any(record.members is not None for record in batch))
        if not alone and _lacks_required(known, given):
            _read_keys(records(), known, settings.max_columns, given)
        names = sorted(known.union(unmatched(known, contract, given.placed)) if alone else known)
        try:
            columns = map_columns(names, contract, settings.max_columns, records_alone=alone, placed=given.placed)
        except FileRefusedError as refusal:
            raise without_record_path(refusal, batch) from refusal
        with _paused_collector():
            table = json_table(batch, first, columns, given)
        cells = _positional(columns, rescued="rescued", keeps_more=given.keeps_remainder)
        chunk = ChunkQuery(contract, cells).run(connection, table)
        rejects = _structure_rejects(batch, first) + chunk.rejects
        yield replace(chunk, rows=len(batch), rejects=sorted(rejects, key=lambda reject: reject.source_row))
        first += len(batch)


def _read_keys(
    records: Iterator[JsonRecord], known: set[str], max_columns: int, required_of: JsonColumns | None = None
) -> None:
    """Add the keys of the records to `known`, until there are more than `max_columns`.

    With `required_of`: until each of that contract's required columns has a key, or its path a beginning.
    """
    for record in records:
        before = len(known)
        known.update(record.members or ())
        if len(known) == before:
            continue
        if len(known) > max_columns or (required_of is not None and not _lacks_required(known, required_of)):
            break


def _lacks_required(keys: set[str], given: JsonColumns) -> bool:
    contract = given.contract
    lacking = [contract.by_name[name] for name, steps in given.placed.items() if steps and steps[0] not in keys]
    return any(column.required for column in (*lacking, *unmatched(keys, contract, given.placed).values()))


def _structure_rejects(batch: Sequence[CsvRecord | JsonRecord], first: int) -> list[Reject]:
    return [
        Reject(first + at, record.line, None, record.code, record.message, record.raw[:RAW_SHOWN])
        for at, record in enumerate(batch)
        if record.code is not None
    ]


def read_column_rows(
    file: ColumnarFile,
    contract: Contract,
    connection: duckdb.DuckDBPyConnection,
    settings: IngestSettings,
) -> Iterator[Chunk]:
    """Read a columnar file as text, chunk by chunk."""
    placed = PlacedColumns(file, contract, settings.max_columns)
    columns = placed.columns
    query = ChunkQuery(contract, _positional(columns))
    first = 1
    for batch in stored_batches(file, BATCH_ROWS, TEXT_BATCH_BYTES):
        records = parquet_text(connection, _without_ignored(placed.placed(batch), columns), first)
        chunk = query.run(connection, records.table)
        rejects = [*chunk.rejects, *_unwritable(records, columns)]
        numbers = sorted({reject.source_row for reject in rejects})
        raws = dict(zip(numbers, raw_texts(connection, batch, [row - first for row in numbers]), strict=True))
        rejects = [replace(reject, raw=raws[reject.source_row][:RAW_SHOWN]) for reject in rejects]
        rejects = sorted(rejects, key=lambda reject: reject.source_row)
        yield replace(chunk, rows=batch.num_rows, rejects=rejects)
        first += batch.num_rows


def _without_ignored(batch: pa.RecordBatch, columns: ColumnMap) -> pa.RecordBatch:
    """The batch with nulls in the columns that the contract ignores, so that their values refuse no row."""
    kept = {at for at, name in enumerate(columns.names) if name is not None}
    kept |= {at for at, _ in (*columns.extra, *columns.remainders)}
    arrays = [column if at in kept else pa.nulls(batch.num_rows) for at, column in enumerate(batch.columns)]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _unwritable(records: ParquetRecords, columns: ColumnMap) -> Iterator[Reject]:
    """The rejects of Parquet rows with a cell that cannot be written as text."""
    for row, (at, code) in records.refused.items():
        message = explain_unwritable(code, columns.given[at])
        yield Reject(row, None, columns.names[at], code, message, "")


def _positional(columns: ColumnMap, rescued: str | None = None, *, keeps_more: bool = False) -> Cells:
    """The expressions of cells by position.

    Args:
        columns: the columns of the file.
        rescued: the table's column with the unknown values, if it has one.
        keeps_more: that column has more than the values of unknown columns.
    """
    texts = {name: f"c{at}" for at, name in enumerate(columns.names) if name is not None}
    texts |= {name: f"p{at}" for at, name in enumerate(columns.placed)}
    unnamed = columns.remainders if columns.evolves else (*columns.extra, *columns.remainders)
    if unnamed or keeps_more:
        pairs = ", ".join(f"{literal(name)}, nullif(c{at}, '')" for at, name in unnamed)
        rescued = rescued or f"json_object({pairs})::VARCHAR"
    else:
        rescued = None
    if columns.evolves:
        extra = tuple((name, f"c{at}") for at, name in columns.extra)
        return Cells(texts, extra, columns.added, rescued)
    return Cells(texts, rescued=rescued)


def _csv_table(records: list[CsvRecord], first: int, width: int) -> pa.Table:
    kept = [(first + at, record) for at, record in enumerate(records) if record.fields is not None]
    fields = [record.fields for _, record in kept if record.fields is not None]
    columns = list(zip(*fields, strict=True)) if fields else [()] * width
    arrays = [
        pa.array([row for row, _ in kept], pa.int64()),
        pa.array([record.line for _, record in kept], pa.int64()),
        pa.array([record.raw for _, record in kept], pa.string()),
        *(pa.array(column, pa.string()) for column in columns),
    ]
    names = ["_source_row", "_source_line", "_raw", *(f"c{at}" for at in range(width))]
    return pa.Table.from_arrays(arrays, names=names)

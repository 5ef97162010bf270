"""The fast path: Arrow types whole batches at once, and one query per batch checks whether any row breaks a rule.

Any fault or unusual content raises `FallBackToSlowPath`, and the slow path (`row_by_row`) reads the file. Content that
Arrow's readers accept and the contract does not is detected here first.
"""

from __future__ import annotations

from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.contracts.expressions import literal, quoted
from include.ingestion.expansion import BATCH_BYTES
from include.ingestion.header import ColumnMap, map_columns, refuse_nul
from include.ingestion.readers.arrow_csv import csv_batches
from include.ingestion.readers.nested_columns import PlacedColumns
from include.ingestion.readers.number_texts import decimals, doubles
from include.ingestion.readers.parquet_file import MOST_CELLS
from include.ingestion.readers.parquet_text import as_double, floored_to_microseconds
from include.ingestion.records import FallBackToSlowPath
from include.ingestion.row_size import RowSize
from include.ingestion.rules import cleaned, reading_checks, typed, unknown_checks, violations_sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from include.contracts.model import Column, Contract
    from include.ingestion.readers.columnar import ColumnarFile
    from include.ingestion.readers.csv_text import CsvShape
    from include.ingestion.records import SpooledFile
    from include.settings import IngestSettings

BATCH_ROWS = 65_536
HEADER = "header"  # in the metadata of a validated file's added column


def arrow_type(column: Column) -> pa.DataType:
    """The Arrow type of a column in validated files."""
    return column.type.arrow(pa, column)


def validated_schema(contract: Contract, added: Mapping[str, str] | None = None) -> pa.Schema:
    """The schema of validated files: the contract's source columns, the added ones, and the source of each row.

    Args:
        contract: what the file should be.
        added: columns that become columns of the table, with the header of each, which goes into the metadata.
    """
    return pa.schema(
        [(column.name, arrow_type(column)) for column in contract.source_columns]
        + [pa.field(name, pa.string(), metadata={HEADER: header}) for name, header in (added or {}).items()]
        + [("_rescued", pa.string()), ("_source_row", pa.int64())]
    )


def typed_csv(
    text: SpooledFile,
    shape: CsvShape,
    contract: Contract,
    connection: duckdb.DuckDBPyConnection,
    settings: IngestSettings,
) -> Iterator[pa.Table]:
    """Typed, checked tables of a CSV file.

    Raises:
        FallBackToSlowPath: a fault or unusual content; the caller discards what was yielded before.
        FileRefusedError: the header cannot be used.
    """
    refuse_nul(shape.header)
    columns = map_columns(shape.header, contract, settings.max_columns)
    with falling_back():
        batches = csv_batches(text, shape, columns, contract.of_text_table, settings)
        batches = with_formats(batches, having_formats(columns, contract), connection)
        yield from checked(batches, columns, contract, connection, check_nul=False)


def having_formats(columns: ColumnMap, contract: Contract) -> dict[int, Column]:
    """The columns of dates and times that have formats, by their position in the file."""
    named = ((at, contract.by_name.get(name or "")) for at, name in enumerate(columns.names))
    return {at: column for at, column in named if column is not None and column.formats}


def with_formats(
    batches: Iterator[pa.RecordBatch], found: Mapping[int, Column], connection: duckdb.DuckDBPyConnection
) -> Iterator[pa.RecordBatch]:
    """The batches with the values of dates and times that have formats, which are texts or whole numbers before.

    Args:
        batches: of the columns of a file.
        found: the columns to read, by position.
        connection: the engine.

    Raises:
        FallBackToSlowPath: a text has no value.
    """
    if not found:
        yield from batches
        return
    texts = ", ".join(f"t{at}, {typed(column, f't{at}')} AS v{at}" for at, column in found.items())
    checks = [check for at, column in found.items() for check in reading_checks(column, f"t{at}", f"v{at}")]
    broken = " OR ".join(f"coalesce({check.broken}, false)" for check in checks)
    values = ", ".join(f"v{at}" for at in found)
    query = f"SELECT {values}, {broken} AS broken FROM (SELECT {texts} FROM dated)"
    for batch in batches:
        cells = [batch.column(at).cast(pa.string()) for at in found]
        dated = pa.Table.from_arrays(cells, names=[f"t{at}" for at in found])
        connection.register("dated", dated)
        answer = connection.execute(query).to_arrow_table()
        connection.unregister("dated")
        if pc.any(answer["broken"]).as_py():
            raise FallBackToSlowPath
        arrays = [
            answer[f"v{at}"].combine_chunks() if at in found else batch.column(at) for at in range(batch.num_columns)
        ]
        yield pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def typed_columns(
    file: ColumnarFile, contract: Contract, connection: duckdb.DuckDBPyConnection, settings: IngestSettings
) -> Iterator[pa.Table]:
    """Typed, checked tables of a columnar file whose columns Arrow can cast to the contract's types.

    Raises:
        FallBackToSlowPath: a column or a value does not fit.
        FileRefusedError: the file cannot be read, or lacks columns.
    """
    placed = PlacedColumns(file, contract, settings.max_columns)
    columns, types = placed.columns, placed.schema_arrow.types
    dated = having_formats(columns, contract)
    dated = {at: column for at, column in dated.items() if pa.types.is_integer(types[at])}
    for at, (name, kind) in enumerate(zip(columns.names, types, strict=True)):
        if name is not None and at not in dated and not contract.by_name[name].type.fits_arrow(pa.types, kind):
            raise FallBackToSlowPath
    if columns.remainders or any(not pa.types.is_string(types[at]) for at, _ in columns.extra):
        raise FallBackToSlowPath
    with falling_back():
        batches = placed.batches(BATCH_ROWS, BATCH_BYTES)
        typed_batches = with_formats(map(_read_as_utf8, batches), dated, connection)
        yield from checked(typed_batches, columns, contract, connection, check_nul=True)


def _read_as_utf8(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch, after a check that its texts are UTF-8, which a Parquet reader does not check.

    Raises:
        pa.ArrowInvalid: a text is not.
    """
    for column in batch.columns:
        if pa.types.is_string(column.type):
            column.cast(pa.binary()).cast(pa.string())
        elif pa.types.is_large_string(column.type):
            column.cast(pa.large_binary()).cast(pa.large_string())
    return batch


def checked(
    batches: Iterator[pa.RecordBatch],
    columns: ColumnMap,
    contract: Contract,
    connection: duckdb.DuckDBPyConnection,
    *,
    check_nul: bool,
) -> Iterator[pa.Table]:
    """Typed tables of the contract's columns, from batches of a file's columns, if no row breaks a rule.

    Raises:
        FallBackToSlowPath: a row does.
    """
    schema = validated_schema(contract, columns.added)
    added = tuple(columns.added)
    # Only Parquet needs these checks: a CSV file with a NUL is not read here, and its rescued texts are valid JSON.
    unknown = unknown_checks(added) if columns.extra and check_nul else []
    broken = violations_sql(contract, columns.present, unknown, check_nul=check_nul)
    if oversized := RowSize(contract, added).oversized:
        broken = f"{broken} OR {oversized}"
    verdict = f"SELECT bool_or({broken}) FROM {cleaned('typed', contract.source_columns)}"
    first = 1
    for table in _gathered(batches):
        renamed = _as_contract(table, columns, schema, first, connection)
        if _has_long_decimals(renamed):
            raise FallBackToSlowPath
        connection.register("typed", renamed)
        answer = connection.execute(verdict).fetchone()
        connection.unregister("typed")
        if answer is None or answer[0]:
            raise FallBackToSlowPath
        yield renamed
        first += renamed.num_rows


def _has_long_decimals(table: pa.Table) -> bool:
    """Whether a decimal has more digits than its type: Arrow's CSV reader accepts those."""
    for column in table.columns:
        if pa.types.is_decimal(column.type):
            ends = pc.min_max(column).as_py()
            limit = Decimal(10) ** (column.type.precision - column.type.scale)
            if ends["min"] is not None and not -limit < ends["min"] <= ends["max"] < limit:
                return True
    return False


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Small batches combined into larger tables: each query has a fixed cost."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        waiting.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= BATCH_ROWS or size >= BATCH_BYTES or rows * batch.num_columns >= MOST_CELLS:
            yield pa.Table.from_batches(waiting)
            waiting, rows, size = [], 0, 0
    if rows:
        yield pa.Table.from_batches(waiting)


def _as_contract(
    table: pa.Table, columns: ColumnMap, schema: pa.Schema, first: int, connection: duckdb.DuckDBPyConnection
) -> pa.Table:
    given = {name: table.column(at) for at, name in enumerate(columns.names) if name is not None}
    if columns.evolves:
        given.update({name: _without_empties(table.column(at)) for at, name in columns.extra})
    elif columns.extra:
        given["_rescued"] = _rescued(table, columns, connection)
    given["_source_row"] = pa.chunked_array([pa.array(np.arange(first, first + table.num_rows, dtype=np.int64))])
    arrays = []
    for entry in schema:
        column = given.get(entry.name)
        if column is None:
            column = pa.chunked_array([pa.nulls(table.num_rows, entry.type)])
        arrays.append(column if column.type == entry.type else _cast(column, entry))
    return pa.Table.from_arrays(arrays, schema=schema)


def _cast(column: pa.ChunkedArray, entry: pa.Field) -> pa.ChunkedArray:
    """Cast a column of a file to the contract's type, with the values that its text would give."""
    kind = column.type
    if pa.types.is_decimal(entry.type) and pa.types.is_string(kind):
        return decimals(column, entry.type)
    if pa.types.is_floating(entry.type) and pa.types.is_string(kind):
        return doubles(column)
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        column = floored_to_microseconds(column)
    elif pa.types.is_float32(kind) or pa.types.is_float16(kind):
        column = as_double(column)
    return _to_utc(column) if _needs_zone(column, entry) else column.cast(entry.type)


def _rescued(table: pa.Table, columns: ColumnMap, connection: duckdb.DuckDBPyConnection) -> pa.ChunkedArray:
    unknown = pa.Table.from_arrays(
        [_without_empties(table.column(at)) for at, _ in columns.extra], names=[f"c{at}" for at, _ in columns.extra]
    )
    pairs = ", ".join(f"{literal(name)}, {quoted(f'c{at}')}" for at, name in columns.extra)
    connection.register("unknown", unknown)
    answer = connection.execute(f"SELECT json_object({pairs})::VARCHAR AS r FROM unknown").to_arrow_table()
    connection.unregister("unknown")
    return answer["r"]


def _without_empties(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A text column with null for each empty text, as in every format."""
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)


def _needs_zone(column: pa.ChunkedArray, entry: pa.Field) -> bool:
    return bool(pa.types.is_timestamp(entry.type) and entry.type.tz and column.type.tz is None)


def _to_utc(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.assume_timezone(column, "UTC")


@contextmanager
def falling_back() -> Iterator[None]:
    """Turn an error of Arrow or DuckDB into `FallBackToSlowPath`."""
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, duckdb.Error) as error:
        raise FallBackToSlowPath from error

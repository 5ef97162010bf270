"""Parquet's columns as text: each cell as a person would write it, whatever type the file has for it.

What belongs here: types that DuckDB does not read, and their spelling. What does not: whether a cell is right.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from include.contracts.expressions import literal
from include.errors import Code
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

_MICROSECONDS = {"s": 10**6, "ms": 10**3}
_LATEST = 2**63 - 1  # as microseconds, what DuckDB spells `infinity`


def parquet_text(connection: duckdb.DuckDBPyConnection, batch: pa.RecordBatch, first: int) -> pa.Table:
    """The batch as `_source_row` (from `first`), `_source_line` (none), `_raw` (JSON), and its columns as c0, c1 ...

    Raises:
        FileRefusedError: a column cannot be written as text.
    """
    names = batch.schema.names
    columns = [_plain(column) for column in batch.columns]
    try:
        try:
            return _queried(connection, columns, names, first)
        except duckdb.Error:
            # A map that has a key twice, a structure without fields, types inside others.
            return _queried(connection, [_written_out(column) for column in columns], names, first)
    except (duckdb.Error, pa.ArrowException, ValueError, OverflowError) as error:
        raise FileRefusedError(
            Code.UNREADABLE_FILE, f"The Parquet file cannot be read: {str(error).splitlines()[0]}", "Write it again."
        ) from error


def _queried(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[pa.Array], names: Sequence[str], first: int
) -> pa.Table:
    # Under names of ours: DuckDB takes `A` and `a` for one, and has none that is empty.
    table = pa.Table.from_arrays(list(columns), names=[f"c{at}" for at in range(len(columns))])
    cells = ", ".join(f"{_text(entry)} AS {entry.name}" for entry in table.schema)
    pairs = ", ".join(f"{literal(name)}, c{at}" for at, name in enumerate(names))
    connection.register("records", table)
    try:
        return connection.execute(
            f"SELECT {first} + row_number() OVER () - 1 AS _source_row, NULL::BIGINT AS _source_line, "
            f"json_object({pairs})::VARCHAR AS _raw, {cells} FROM records"
        ).to_arrow_table()
    finally:
        connection.unregister("records")


def _text(entry: pa.Field) -> str:
    if pa.types.is_nested(entry.type):
        return f"to_json({entry.name})::VARCHAR"
    if pa.types.is_binary(entry.type) or pa.types.is_large_binary(entry.type):
        return f"decode({entry.name})::VARCHAR"
    return f"{entry.name}::VARCHAR"


def _plain(column: pa.Array) -> pa.Array:
    """A column that DuckDB does not know the type of as one that it does."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.dictionary_decode())
    if pa.types.is_decimal256(kind):
        return column.cast(pa.string())
    if pa.types.is_float16(kind):
        return column.cast(pa.float32())
    if pa.types.is_timestamp(kind) and kind.unit in _MICROSECONDS:
        # What microseconds cannot say becomes `infinity`, which is no time, and that row is refused.
        factor = _MICROSECONDS[kind.unit]
        count, limit = column.cast(pa.int64()), _LATEST // factor
        clipped = pc.max_element_wise(pc.min_element_wise(count, limit, skip_nulls=False), -limit, skip_nulls=False)
        exact = pc.multiply(clipped, factor)
        beyond = pc.if_else(pc.greater(count, 0), _LATEST, -_LATEST)
        return pc.if_else(pc.equal(count, clipped), exact, beyond).cast(pa.timestamp("us", kind.tz))
    return column


def _written_out(column: pa.Array) -> pa.Array:
    """A nested column as JSON, of a key that comes twice the last value; any other column as it is."""
    if not pa.types.is_nested(column.type):
        return column
    values = column.to_pylist(maps_as_pydicts="lossy")
    return pa.array([None if value is None else json.dumps(value, default=str) for value in values], pa.string())

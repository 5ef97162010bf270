"""Writes nested columns as JSON where DuckDB has no type for them, and runs a query over columns of a file.

What belongs here: structures, lists and maps as JSON, value by value. What does not: columns of single values
(`parquet_text`).
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def selected(connection: duckdb.DuckDBPyConnection, columns: pa.Table, expressions: str) -> pa.Table:
    """The results of expressions over the columns c0, c1 ..."""
    connection.register("parquet_columns", columns)
    try:
        return connection.execute(f"SELECT {expressions} FROM parquet_columns").to_arrow_table()
    finally:
        connection.unregister("parquet_columns")


def named(columns: Sequence[pa.Array]) -> pa.Table:
    """The columns as a table, as c0, c1 ..."""
    # The file's names cannot be used: DuckDB does not distinguish `A` and `a`, and needs a name that is not empty.
    return pa.Table.from_arrays(list(columns), names=[f"c{at}" for at in range(len(columns))])


def as_list(column: pa.Array) -> pa.Array:
    """Convert a map to a list of pairs, and a list of any kind to the usual list type."""
    kind = column.type
    if pa.types.is_map(kind):
        return column.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
    return column if pa.types.is_list(kind) else column.cast(pa.list_(kind.value_type))


def written_out(column: pa.Array, connection: duckdb.DuckDBPyConnection) -> pa.Array:
    """A nested column as JSON, any other column unchanged. Of a duplicate key of a map the last value counts.

    That is the rule of the Parquet format for maps. DuckDB writes keys, names and values, as it does where it writes
    the whole column, so the text of a row does not depend on the other rows.
    """
    if not pa.types.is_nested(column.type):
        return column
    return pa.array(_json(column, connection), pa.string())


def _json(column: pa.Array, connection: duckdb.DuckDBPyConnection) -> list[str | None]:
    """Each value of a column as JSON; None for a null."""
    kind, t = column.type, pa.types
    if t.is_decimal256(kind):
        return [None if value is None else format(value, "f") for value in column.to_pylist()]
    if not t.is_nested(kind):
        return _spelled(connection, column, "to_json(c0)::VARCHAR")
    there = column.is_valid().to_pylist()
    if t.is_struct(kind):
        names = _keys(connection, pa.array([entry.name for entry in kind], pa.string()))
        rows = zip(*(_json(child, connection) for child in column.flatten()), strict=True)
        # A structure without fields has no children to iterate over.
        values = rows if names else ((),) * len(column)
        return [_object(zip(names, row, strict=True)) if is_there else None
                for is_there, row in zip(there, values, strict=True)]  # fmt: skip
    if t.is_map(kind):
        column = as_list(column)
        keys, items = column.flatten().flatten()
        pairs = iter(zip(_keys(connection, keys), _json(items, connection), strict=True))
        lengths = pc.list_value_length(column).to_pylist()
        return [None if length is None else _object(islice(pairs, length)) for length in lengths]
    cells = iter(_json(column.flatten(), connection))
    lengths = pc.list_value_length(column).to_pylist()
    return [None if length is None else f"[{','.join(map(_or_null, islice(cells, length)))}]" for length in lengths]


def _object(pairs: Iterable[tuple[str, str | None]]) -> str:
    return "{" + ",".join(f"{key}:{_or_null(item)}" for key, item in dict(pairs).items()) + "}"


def _or_null(value: str | None) -> str:
    return "null" if value is None else value


def _keys(connection: duckdb.DuckDBPyConnection, keys: pa.Array) -> list[str]:
    """Quoted keys of JSON objects. A key of a type that DuckDB lacks becomes the text of its JSON."""
    try:
        found = _spelled(connection, keys, "to_json(c0::VARCHAR)::VARCHAR")
    except duckdb.Error:
        found = _spelled(connection, pa.array(_json(keys, connection), pa.string()), "to_json(c0)::VARCHAR")
    return [_or_null(key) for key in found]


def _spelled(connection: duckdb.DuckDBPyConnection, column: pa.Array, spelling: str) -> list[str | None]:
    texts: list[str | None] = selected(connection, named([column]), f"{spelling} AS spelled")["spelled"].to_pylist()
    return texts

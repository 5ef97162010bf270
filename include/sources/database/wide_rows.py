"""Large rows of PostgreSQL: few at a time, by a cursor of the server.

What belongs here: the rows as batches of the same types as DuckDB gives them. What does not: when rows are read this
way (`postgres`).

DuckDB holds 2,048 rows at once, whatever their size, and is faster for small ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pyarrow as pa
from psycopg.types.string import TextLoader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.sources.database.columns import TableColumn

_BATCH_BYTES, _MOST_ROWS = 4 * 1024**2, 128
# Types whose values are no texts.
_ARROW = {
    "int2": pa.int16(), "int4": pa.int32(), "int8": pa.int64(), "float4": pa.float32(), "float8": pa.float64(),
    "bool": pa.bool_(),
}  # fmt: skip


def wide_batches(address: str, sql: str, columns: Sequence[TableColumn]) -> Iterator[pa.RecordBatch]:
    """The rows of a query in batches of about 4 MB; dates and times as text.

    Args:
        address: connection string of libpq, with the password.
        sql: the query.
        columns: in the order of the query.
    """
    schema = pa.schema([(column.name, _ARROW.get(column.type_name, pa.string())) for column in columns])
    with psycopg.connect(address) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        # The plan for all rows, not for the first ones: the order is that of every other read.
        connection.execute("SET LOCAL cursor_tuple_fraction = 1")
        with connection.cursor("source_rows") as cursor:
            for name in ("date", "timestamp", "timestamptz"):
                cursor.adapters.register_loader(name, TextLoader)
            cursor.execute(sql.encode())
            count = 1
            while True:
                rows = cursor.fetchmany(count)
                # The first batch has the types, also if it is empty.
                batch = _batch(rows, schema, columns)
                yield batch
                if len(rows) < count:
                    return
                row_bytes = max(1, batch.nbytes // count)
                # Never many: the next rows may be larger.
                count = max(1, min(2 * count, _BATCH_BYTES // row_bytes, _MOST_ROWS))


def _batch(rows: Sequence[Sequence[object]], schema: pa.Schema, columns: Sequence[TableColumn]) -> pa.RecordBatch:
    values = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    arrays = [
        pa.array([_stripped(value) for value in given] if column.type_name == "bpchar" else given, field.type)
        for given, column, field in zip(values, columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _stripped(value: object) -> object:
    """A value of char(n) without the blanks that fill it up, as in its text."""
    return value.rstrip(" ") if isinstance(value, str) else value

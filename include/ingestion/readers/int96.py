"""Finds INT96 timestamps of Parquet that microseconds cannot hold: Arrow silently wraps them around.

What belongs here: the comparison with the same columns in seconds, which can hold every day of INT96. What does not:
how timestamps are written as text (`parquet_text`). Files without INT96 need none of this.

Known limits: times of Julian day 0 are read as 1970-01-01 00:00:00, and negative nanoseconds 584 years too late. No
writer makes these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from include.ingestion.readers.nested_json import as_list
from include.ingestion.readers.parquet_text import offsets

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow.parquet as pq

# The largest 64-bit count, which is no valid timestamp: every reader of these batches refuses its row.
_NO_MOMENT = 2**63 - 1
_MOST_SECONDS = _NO_MOMENT // 10**6 - 1


def int96_columns(file: pq.ParquetFile) -> list[str]:
    """The names of the file's columns that are INT96, or have it inside."""
    leaves = [file.schema.column(at) for at in range(len(file.schema))]
    paths = [leaf.path for leaf in leaves if leaf.physical_type == "INT96"]
    return [
        name for name in file.schema_arrow.names if any(path == name or path.startswith(f"{name}.") for path in paths)
    ]


def without_wrapped(
    batches: Iterator[pa.RecordBatch], in_seconds: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """The batches, with each timestamp that microseconds cannot hold replaced by one that every reader refuses.

    Args:
        batches: all columns, with INT96 in microseconds.
        in_seconds: the same rows, only their INT96 columns, in seconds. Its batches may have other sizes.

    Raises:
        pa.ArrowInvalid: `in_seconds` has fewer rows.
    """
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        while sum(piece.num_rows for piece in waiting) < batch.num_rows:
            if (piece := next(in_seconds, None)) is None:
                raise pa.ArrowInvalid("Columns of the file have other numbers of rows.")
            waiting.append(piece)
        table = pa.Table.from_batches(waiting)
        waiting = table.slice(batch.num_rows).to_batches()
        yield _without_wrapped(batch, table.slice(0, batch.num_rows))


def _without_wrapped(batch: pa.RecordBatch, in_seconds: pa.Table) -> pa.RecordBatch:
    arrays = list(batch.columns)
    for at, name in enumerate(batch.schema.names):
        if name in in_seconds.column_names:
            seconds = in_seconds.column(name).combine_chunks()
            if not _fits(arrays[at], seconds):
                arrays[at] = _replaced(arrays[at], seconds)
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _fits(moments: pa.Array, seconds: pa.Array) -> bool:
    """Whether microseconds can hold each timestamp."""
    if _is_int96(moments.type, seconds.type):
        latest = pc.max(seconds.cast(pa.int64())).as_py()
        return latest is None or latest <= _MOST_SECONDS
    return all(map(_fits, _inside(moments), _inside(seconds)))


def _is_int96(moments: pa.DataType, seconds: pa.DataType) -> bool:
    """Whether a leaf is INT96: no other type of Parquet depends on the unit that is requested."""
    return bool(pa.types.is_timestamp(moments) and moments.unit == "us" and seconds.unit == "s")


def _inside(column: pa.Array) -> list[pa.Array]:
    """The columns inside a nested column; none for a flat one."""
    t, kind = pa.types, column.type
    if not t.is_nested(kind):
        return []
    if t.is_struct(kind):
        return list(column.flatten())
    return list(as_list(column).flatten().flatten()) if t.is_map(kind) else [column.flatten()]


def _replaced(moments: pa.Array, seconds: pa.Array) -> pa.Array:
    t, kind = pa.types, moments.type
    if _is_int96(kind, seconds.type):
        fits = pc.less_equal(seconds.cast(pa.int64()), _MOST_SECONDS)
        return pc.if_else(fits, moments, pa.scalar(_NO_MOMENT, pa.int64()).cast(kind))
    if not t.is_nested(kind):
        return moments
    inside = list(map(_replaced, _inside(moments), _inside(seconds)))
    empty = moments.is_null()
    if t.is_struct(kind):
        return pa.StructArray.from_arrays(inside, names=[child.name for child in kind], mask=empty)
    starts = offsets(as_list(moments))
    if t.is_map(kind):
        return pa.MapArray.from_arrays(starts, *inside, mask=empty)
    return pa.ListArray.from_arrays(starts, *inside, mask=empty)

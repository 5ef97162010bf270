"""Rows of Arrow batches as JSON objects, for messages.

What belongs here: how a value of each type is written without loss. What does not: keys and encoding of messages
(`include.sources.topic`).
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from include.ingestion.readers.parquet_text import as_double

if TYPE_CHECKING:
    from collections.abc import Iterator


def json_rows(batch: pa.RecordBatch) -> Iterator[bytes]:
    """Each row as a JSON object in UTF-8: whole numbers, floats and truths as such, everything else as text.

    A float that JSON does not have is a text: NaN, Infinity.
    """
    names = batch.schema.names
    columns = [_values(column) for column in batch.columns]
    for row in zip(*columns, strict=True):
        yield orjson.dumps(dict(zip(names, row, strict=True)))


def _values(column: pa.Array) -> list[Any]:
    kind = column.type
    if pa.types.is_floating(kind):
        values = as_double(column).to_pylist()
        return [value if value is None or isfinite(value) else _word(value) for value in values]
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind):
        return list(column.to_pylist())
    if pa.types.is_decimal(kind):  # without exponents
        return [None if value is None else format(value, "f") for value in column.to_pylist()]
    return list(column.cast(pa.string()).to_pylist())


def _word(value: float) -> str:
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124 - NaN differs from itself

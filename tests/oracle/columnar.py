"""Records of Parquet, ORC, Arrow and Avro files.

What belongs here: from a table or Avro records to raw values. What does not: opening the formats (`binary_files`).
"""

from __future__ import annotations

import io
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from include.errors import Code
from tests.oracle.documents import Number, Raw, Text, Undecoded
from tests.oracle.json_files import json_source
from tests.oracle.records import Record, Source
from tests.oracle.verdict import FileRefused


def parquet(content: bytes) -> Source:
    """The rows of a Parquet file."""
    if len(content) < 12 or not content.endswith(b"PAR1"):
        raise FileRefused(Code.TRUNCATED_FILE)
    try:
        table = pq.read_table(io.BytesIO(content), coerce_int96_timestamp_unit="us", page_checksum_verification=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise FileRefused(Code.UNREADABLE_FILE) from error
    return of_columns(table)


def of_avro(found: list[dict[str, Any]]) -> Source:
    """Records of texts and whole numbers, which count as those of JSON; their lines are their numbers."""
    if found and not any(found):  # records without fields take no bytes, so a file can claim any number of them
        raise FileRefused(Code.UNREADABLE_FILE)
    cells = [{name: Text(value) if type(value) is str else _raw(value) for name, value in row.items()} for row in found]
    return json_source([Record(at, at, row) for at, row in enumerate(cells, 1)])


def of_columns(table: pa.Table) -> Source:
    """The rows of a table."""
    names = tuple(table.schema.names)
    columns = [_exact(column).to_pylist() for column in table.columns]
    rows = zip(*columns, strict=True) if columns else ()
    cells = ({name: _raw(value) for name, value in zip(names, row, strict=True)} for row in rows)
    return Source(names, tuple(Record(at, None, row) for at, row in enumerate(cells, 1)), is_columnar=True)


def _exact(column: Any) -> Any:
    """Convert timestamps in nanoseconds to microseconds, rounded down, and 32-bit floats to the value of their text."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        counts = [None if count is None else count // 1000 for count in column.cast(pa.int64()).to_pylist()]
        return pa.array(counts, pa.int64()).cast(pa.timestamp("us", column.type.tz))
    if pa.types.is_float32(column.type):
        return pa.array([None if value is None else _single(value) for value in column.to_pylist()])
    return column


def _single(value: float) -> float:
    return value if abs(value) >= 2**24 else float(str(np.float32(value)))


def _raw(value: Any) -> Raw:
    """A value of Parquet as JSON would hold it."""
    match value:
        case None | bool() | str():
            return value
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return Undecoded("?")
        case int() | float():
            return Number(repr(value))
        case Decimal():
            return Number(format(value, "f"))
        case datetime() | date():
            return value.isoformat()
        case list():
            return list(map(_raw, value))
        case dict():
            return {key: _raw(item) for key, item in value.items()}
        case _:
            return str(value)

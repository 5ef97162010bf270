"""Converts columns of Parquet to text: each cell as CSV would hold it, whatever its type in the file.

What belongs here: how the values of every Arrow type are written, without loss. What does not: whether a cell fits the
contract. A cell that cannot be written exactly refuses its row only.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.contracts.expressions import literal
from include.errors import Code
from include.ingestion.readers.nested_json import as_list, named, selected, written_out
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_FIRST_WITHOUT_FRACTION = 2.0**24  # from here on, all 32-bit floats are whole numbers
_MICROSECONDS = {"s": 10**6, "ms": 10**3, "us": 1}
# The range that DuckDB writes exactly, in microseconds: it reads the largest 64-bit count as `infinity`. It converts
# a timestamp with a zone through milliseconds in a double.
_EARLIEST, _LATEST = -9_223_372_022_400_000_000, 2**63 - 2
_MOST_WITH_ZONE = 2**53 * 10**3
_MOST_DAYS = 2**31 - 2  # since 1970: one more is DuckDB's `infinity`
MOST_DIGITS = 38  # of a 128-bit decimal
WRITTEN_IN_FULL = 18  # DuckDB writes a decimal inside a nested value in full if its type has at least so many digits
_DAY = {"s": 86_400, "ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}
_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}

# The errors of a column of a type that cannot be written as text.
_UNWRITABLE = (duckdb.Error, pa.ArrowException, ValueError, OverflowError, RecursionError)


class UnwritableError(ValueError):
    """A value of a column cannot be written as text."""

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class ParquetRecords:
    """A batch as text: `table` has `_source_row`, `_source_line` (null), `_raw` (empty) and the columns as c0, c1 ...

    `refused` are the rows that have a cell which cannot be written as text: their number in the file, with the
    position of the column and the code. They are not in `table`.
    """

    table: pa.Table
    refused: Mapping[int, tuple[int, Code]]


def parquet_text(connection: duckdb.DuckDBPyConnection, batch: pa.RecordBatch, first: int) -> ParquetRecords:
    """Convert a batch to text; its rows are numbered from `first`.

    Raises:
        FileRefusedError: a column cannot be written as text.
    """
    refused: dict[int, tuple[int, Code]] = {}
    try:
        exact = [_each(column, _exact, at, refused) for at, column in enumerate(batch.columns)]
        columns = named(exact)
        try:
            texts = _texts(connection, columns, first)
        except duckdb.Error:
            # DuckDB has no type for a structure without fields, nor for a map with a duplicate key.
            write = partial(written_out, connection=connection)
            columns = named([_each(column, write, at, refused) for at, column in enumerate(exact)])
            texts = _texts(connection, columns, first)
    except _UNWRITABLE as error:
        reason = str(error).splitlines()[0]
        raise FileRefusedError.for_code(Code.UNREADABLE_FILE, "columnar", format="columnar", reason=reason) from error
    if refused:
        texts = texts.take(pa.array([at for at in range(batch.num_rows) if at not in refused], pa.int64()))
    numbered = {first + at: found for at, found in sorted(refused.items())}
    return ParquetRecords(texts, numbered)


def raw_texts(connection: duckdb.DuckDBPyConnection, batch: pa.RecordBatch, at: Sequence[int]) -> list[str]:
    """Rows of a file as JSON objects. A text depends on its row alone, not on the contract or on other rows.

    Args:
        connection: the engine.
        batch: rows as the file has them. A cell that cannot be written as text becomes null.
        at: the positions of the rows in the batch, sorted.
    """
    if not at:
        return []
    names = batch.schema.names
    columns = [_with_nulls(_rows_at(column, at), _exact) for column in batch.columns]
    try:
        return _objects(connection, names, columns, [f"to_json(c{at})" for at in range(len(names))])
    except duckdb.Error:
        written = [_with_nulls(column, partial(_known_to_engine, connection)) for column in columns]
        cells = [
            f"c{at}" if pa.types.is_nested(column.type) else f"to_json(c{at})" for at, column in enumerate(columns)
        ]
        return _objects(connection, names, written, cells)


def _objects(
    connection: duckdb.DuckDBPyConnection, names: Sequence[str], columns: Sequence[pa.Array], cells: Sequence[str]
) -> list[str]:
    """Each row as a JSON object, of expressions that give each cell as JSON."""
    # One call for all: DuckDB refuses a chain of operators that is as long as a wide row.
    members = ", ".join(
        f"to_json({literal(name)})::VARCHAR || ':' || coalesce({cell}::VARCHAR, 'null')"
        for name, cell in zip(names, cells, strict=True)
    )
    objects = selected(connection, named(columns), f"'{{' || concat_ws(',', {members}) || '}}' AS _raw")
    raws: list[str] = objects["_raw"].to_pylist()
    return raws


def _rows_at(column: pa.Array, at: Sequence[int]) -> pa.Array:
    """The rows of a column at sorted positions."""
    with suppress(pa.ArrowNotImplementedError):  # for some types, such as texts as views
        return column.take(pa.array(at, pa.int64()))
    ends = np.flatnonzero(np.diff(at) != 1) + 1
    runs = np.split(np.array(at), ends)
    return pa.concat_arrays([column.slice(int(run[0]), len(run)) for run in runs])


def _with_nulls(column: pa.Array, convert: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """A converted column, with null for each cell that has no text."""
    try:
        convert(column.slice(0, 0))
        return _each(column, convert, 0, {})
    except _UNWRITABLE:
        return pa.nulls(len(column))


def _known_to_engine(connection: duckdb.DuckDBPyConnection, column: pa.Array) -> pa.Array:
    """The column, a nested one written as JSON.

    Raises:
        UnwritableError: DuckDB cannot write a value of it.
    """
    try:
        written = written_out(column, connection)
        selected(connection, named([written]), "c0::VARCHAR")
    except (duckdb.Error, RecursionError) as error:
        raise UnwritableError(Code.BAD_TEXT) from error
    return written


def as_double(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Convert 32-bit floats to the doubles of their shortest text: 0.1, and not 0.10000000149011612.

    A CSV export of the same column holds that text, and a numeric column of the contract accepts it. From 2^24 on each
    float is a whole number and is converted exactly: its shortest text ends in zeros that it does not have. 16-bit
    floats are converted exactly, too.
    """
    exact = column.cast(pa.float64())
    if not pa.types.is_float32(column.type):
        return exact
    return pc.if_else(
        pc.less(pc.abs(exact), _FIRST_WITHOUT_FRACTION), column.cast(pa.string()).cast(pa.float64()), exact
    )


def floored_to_microseconds(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Convert timestamps in nanoseconds to microseconds, rounded down, before 1970 too, as further digits of a text."""
    count = column.cast(pa.int64())
    # Arrow divides towards zero.
    before = pc.subtract(pc.divide(pc.add(count, 1), 1000), 1)
    floored = pc.if_else(pc.less(count, 0), before, pc.divide(count, 1000))
    return floored.cast(pa.timestamp("us", column.type.tz))


def _texts(connection: duckdb.DuckDBPyConnection, columns: pa.Table, first: int) -> pa.Table:
    cells = [
        f"{f'to_json({entry.name})' if pa.types.is_nested(entry.type) else entry.name}::VARCHAR AS {entry.name}"
        for entry in columns.schema
    ]
    source = [f"{first} + row_number() OVER () - 1 AS _source_row", "NULL::BIGINT AS _source_line", "'' AS _raw"]
    return selected(connection, columns, ", ".join([*source, *cells]))


def _each(
    column: pa.Array, convert: Callable[[pa.Array], pa.Array], at: int, refused: dict[int, tuple[int, Code]]
) -> pa.Array:
    """A converted column. Cells that cannot be converted become null, and their rows are noted in `refused`."""
    pieces = list(_converted(column, convert, 0))
    for start, piece in pieces:
        if isinstance(piece, Code):
            refused.setdefault(start, (at, piece))
    if all(isinstance(piece, pa.Array) for _, piece in pieces):
        return pieces[0][1] if len(pieces) == 1 else pa.concat_arrays([piece for _, piece in pieces])
    kind = convert(column.slice(0, 0)).type
    return pa.concat_arrays([pa.nulls(1, kind) if isinstance(piece, Code) else piece for _, piece in pieces])


def _converted(
    column: pa.Array, convert: Callable[[pa.Array], pa.Array], start: int
) -> Iterator[tuple[int, pa.Array | Code]]:
    """The column, converted in as few pieces as possible, each with its first row; a code for each cell that fails."""
    try:
        yield start, convert(column)
    except (pa.ArrowInvalid, UnwritableError, UnicodeDecodeError) as error:
        if len(column) > 1:
            half = len(column) // 2
            yield from _converted(column.slice(0, half), convert, start)
            yield from _converted(column.slice(half), convert, start + half)
        elif len(column) == 1:
            yield start, error.code if isinstance(error, UnwritableError) else Code.BAD_ENCODING
        else:
            raise


def _exact(column: pa.Array) -> pa.Array:
    """Convert a column of any type to a type whose text DuckDB writes in full.

    Raises:
        pa.ArrowInvalid: bytes are not UTF-8.
        UnwritableError: a value has no text.
    """
    kind, t = column.type, pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _exact_extension(column)
    if t.is_dictionary(kind):
        return _exact(column.dictionary_decode())
    if t.is_nested(kind):
        return _exact_nested(column)
    if t.is_decimal(kind):
        return _exact_decimal(column)
    if t.is_floating(kind):
        return column if t.is_float64(kind) else as_double(column)
    if t.is_temporal(kind):
        return _exact_temporal(column)
    if _is_bytes(kind):
        # Parquet's readers do not check that text is UTF-8; the cast from bytes does.
        large = t.is_large_string(kind) or t.is_large_binary(kind)
        return column.cast(pa.large_binary() if large else pa.binary()).cast(
            pa.large_string() if large else pa.string()
        )
    return column


def _is_bytes(kind: pa.DataType) -> bool:
    t = pa.types
    kinds = (
        t.is_string, t.is_large_string, t.is_string_view, t.is_binary, t.is_large_binary, t.is_binary_view,
        t.is_fixed_size_binary,
    )  # fmt: skip
    return any(is_kind(kind) for is_kind in kinds)


def _exact_extension(column: pa.ExtensionArray) -> pa.Array:
    match column.type.extension_name:
        case "arrow.uuid":
            return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
        case "arrow.bool8":
            return column.storage.cast(pa.bool_())
        case _:
            return _exact(column.storage)


def _exact_decimal(column: pa.Array) -> pa.Array:
    kind = column.type
    if not pa.types.is_decimal256(kind) and 0 <= kind.scale <= kind.precision < MOST_DIGITS:
        # Without a digit before the point DuckDB writes .5, which is not JSON.
        return column.cast(pa.decimal128(max(kind.precision, kind.scale + 1), kind.scale))
    if pa.types.is_decimal128(kind) and 0 <= kind.scale < kind.precision:
        return column
    return pa.array([None if value is None else format(value, "f") for value in column.to_pylist()], pa.string())


def _exact_temporal(column: pa.Array) -> pa.Array:
    """Convert dates, times and durations of any unit.

    Raises:
        UnwritableError: DuckDB would write another value, such as `infinity` for the largest 64-bit count.
    """
    kind, t = column.type, pa.types
    if t.is_duration(kind):
        return _exact_duration(column)
    if t.is_time(kind):
        count = column.cast(pa.int32() if t.is_time32(kind) else pa.int64())
        return _within(column, count, 0, _DAY[kind.unit] - 1)
    if t.is_date(kind):
        days = pc.divide(column.cast(pa.int64()), _DAY["ms"]) if t.is_date64(kind) else column.cast(pa.int32())
        return _within(column, days, -_MOST_DAYS, _MOST_DAYS)
    if not t.is_timestamp(kind):
        return column
    if kind.unit == "ns":
        text = column.cast(pa.timestamp("ns", "UTC") if kind.tz else kind).cast(pa.string())
        shortened = pc.replace_substring_regex(pc.utf8_rtrim(text, "Z"), r"\.?0+$", "")
        # The text has nine decimals; trailing zeros are removed from the fraction only.
        moment = pc.if_else(pc.match_substring(text, "."), shortened, text)
        return pc.binary_join_element_wise(moment, "+00", "") if kind.tz else moment
    factor = _MICROSECONDS[kind.unit]
    earliest, latest = (-_MOST_WITH_ZONE, _MOST_WITH_ZONE) if kind.tz else (_EARLIEST, _LATEST)
    count = column.cast(pa.int64())
    return _within(column, count, -(-earliest // factor), latest // factor).cast(pa.timestamp("us", kind.tz))


def _within(column: pa.Array, count: pa.Array, least: int, most: int) -> pa.Array:
    """The unchanged column, if the counts of all its values are within bounds.

    Raises:
        UnwritableError: a count is not.
    """
    found = pc.min_max(count)
    if found["min"].is_valid and (found["min"].as_py() < least or found["max"].as_py() > most):
        raise UnwritableError(Code.OUT_OF_RANGE)
    return column


def _exact_duration(column: pa.Array) -> pa.Array:
    """Durations as hours, minutes and seconds with their fraction: -01:00:00 is minus one hour."""
    factor = _NANOSECONDS[column.type.unit]

    def text(count: int) -> str:
        sign, (seconds, nanoseconds) = "-" * (count < 0), divmod(abs(count) * factor, 10**9)
        minutes, second = divmod(seconds, 60)
        fraction = f".{nanoseconds:09}".rstrip("0") if nanoseconds else ""
        return f"{sign}{minutes // 60:02}:{minutes % 60:02}:{second:02}{fraction}"

    counts = column.cast(pa.int64()).to_pylist()
    return pa.array([None if count is None else text(count) for count in counts], pa.string())


def _exact_nested(column: pa.Array) -> pa.Array:
    """A nested column with exact leaves: lists of every kind as lists, structures as structures."""
    kind, t = column.type, pa.types
    empty = column.is_null()
    if t.is_struct(kind):
        if not kind.num_fields:
            return column
        children = [_exact_inside(child) for child in column.flatten()]
        return pa.StructArray.from_arrays(children, names=[child.name for child in kind], mask=empty)
    if t.is_map(kind):
        pairs = as_list(column)
        entries = pairs.flatten()
        keys, items = (_exact_inside(child) for child in entries.flatten())
        return pa.MapArray.from_arrays(offsets(pairs), keys, items, mask=empty)
    column = as_list(column)
    return pa.ListArray.from_arrays(offsets(column), _exact_inside(column.flatten()), mask=empty)


def _exact_inside(column: pa.Array) -> pa.Array:
    """Convert a level of a nested column. Decimals stay numbers; `written_out` writes those of 256 bits as JSON."""
    kind = column.type
    if not pa.types.is_decimal(kind) or pa.types.is_decimal256(kind):
        return column if pa.types.is_decimal256(kind) else _exact(column)
    if kind.scale == MOST_DIGITS:
        return column.cast(pa.decimal256(MOST_DIGITS + 1, MOST_DIGITS))
    # In JSON, DuckDB writes shorter decimals as doubles: 1.10 as 1.1, and 100 as 100.0.
    return column.cast(pa.decimal128(max(kind.precision, kind.scale + 1, WRITTEN_IN_FULL), kind.scale))


def offsets(column: pa.Array) -> pa.Array:
    """The start of each list of a column in its flattened values, and the end of the last one."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).cast(pa.int32())
    return pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths).cast(pa.int32())])

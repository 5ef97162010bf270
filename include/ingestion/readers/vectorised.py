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
import pyarrow.csv

from include.contracts.expressions import literal, quoted
from include.contracts.type_sql import NOT_ZERO
from include.contracts.type_values import FALSE_WORDS, TRUE_WORDS
from include.ingestion.expansion import BATCH_BYTES
from include.ingestion.header import ColumnMap, map_columns, refuse_nul
from include.ingestion.readers.csv_text import CsvShape, read_records
from include.ingestion.readers.nested_columns import PlacedColumns
from include.ingestion.readers.parquet_file import MOST_CELLS
from include.ingestion.readers.parquet_text import as_double, floored_to_microseconds
from include.ingestion.readers.text_lines import BYTE_ORDER_MARK
from include.ingestion.row_size import RowSize
from include.ingestion.rules import cleaned, unknown_checks, violations_sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from include.contracts.model import Column, Contract
    from include.ingestion.readers.columnar import ColumnarFile
    from include.ingestion.records import SpooledFile
    from include.settings import IngestSettings

BATCH_ROWS = 65_536
HEADER = "header"  # in the metadata of a validated file's added column
_BLOCK_BYTES = 1024**2
_DECIMAL_DIGITS = 38


class FallBackToSlowPath(Exception):  # noqa: N818 - not an error: the file may be good
    """The fast path stops at a fault or at unusual content; the slow path (`row_by_row`) reads the file."""


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
    has_integers = any(contract.by_name[name].type.is_whole for name in columns.present)
    # Arrow reads 0x1F as a whole number; no text column stores a NUL; a stray quote may hide a broken record.
    if text.has_nul or (text.has_hex and has_integers):
        raise FallBackToSlowPath
    if text.has_quote and _has_stray_quotes(text.path, shape.delimiter):
        raise FallBackToSlowPath
    # Arrow reads rows of up to two blocks, which must not be longer than a row may be.
    block = min(_BLOCK_BYTES, settings.max_row_bytes // 2)
    with falling_back():
        reader = pyarrow.csv.open_csv(
            text.path,
            read_options=pyarrow.csv.ReadOptions(block_size=block),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=shape.delimiter, newlines_in_values=text.has_quote, ignore_empty_lines=True
            ),
            convert_options=convert_options(_csv_types(text, shape, columns, contract, settings)),
        )
        if tuple(reader.schema.names) != shape.header:
            raise FallBackToSlowPath  # Arrow keeps a byte order mark before the header: its types would not match
        batches = _without_header_again(reader, shape)
        yield from checked(batches, columns, contract, connection, check_nul=False)


def convert_options(types: dict[str, pa.DataType]) -> pyarrow.csv.ConvertOptions:
    """How Arrow converts cells: an empty one is null, in every type."""
    return pyarrow.csv.ConvertOptions(
        column_types=types,
        null_values=[""],
        strings_can_be_null=True,
        true_values=_spellings(TRUE_WORDS),
        false_values=_spellings(FALSE_WORDS),
    )


def _without_header_again(batches: Iterable[pa.RecordBatch], shape: CsvShape) -> Iterator[pa.RecordBatch]:
    """The same batches, if no row repeats the header in its text columns.

    Raises:
        FallBackToSlowPath: a row does, or begins with a byte order mark, as records do where files were concatenated.
    """
    # An empty cell is null here; a column without a name has an empty one in the repeated header.
    names = [pa.array([name, None if name == "" else name], pa.string()) for name in shape.header]
    for batch in batches:
        first = batch.column(0)
        if pa.types.is_string(first.type) and pc.any(pc.starts_with(first, BYTE_ORDER_MARK)).as_py():
            raise FallBackToSlowPath
        same = None
        for column, name in zip(batch.columns, names, strict=True):
            if pa.types.is_string(column.type) and (same is None or pc.any(same).as_py()):
                found = pc.is_in(column, name)
                same = found if same is None else pc.and_(same, found)
        if same is not None and pc.any(same).as_py():
            raise FallBackToSlowPath
        yield batch


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
    for name, kind in zip(columns.names, types, strict=True):
        if name is not None and not contract.by_name[name].type.fits_arrow(pa.types, kind):
            raise FallBackToSlowPath
    if columns.remainders or any(not pa.types.is_string(types[at]) for at, _ in columns.extra):
        raise FallBackToSlowPath
    with falling_back():
        batches = placed.batches(BATCH_ROWS, BATCH_BYTES)
        yield from checked(map(_read_as_utf8, batches), columns, contract, connection, check_nul=True)


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
        return _decimals(column, entry.type)
    if pa.types.is_floating(entry.type) and pa.types.is_string(kind):
        return _doubles(column)
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        column = floored_to_microseconds(column)
    elif pa.types.is_float32(kind) or pa.types.is_float16(kind):
        column = as_double(column)
    return _to_utc(column) if _needs_zone(column, entry) else column.cast(entry.type)


def _decimals(texts: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Cast texts to decimals.

    Arrow reads some exponents wrongly, and 1e-999999999 crashes the process. A number that needs more than 38 digits at
    the given scale overflows 128 bits silently.

    Raises:
        FallBackToSlowPath: a text is too long, or has an exponent or a letter.
    """
    texts = pc.utf8_trim(texts, " \t\r\n")
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest > _DECIMAL_DIGITS:
        raise FallBackToSlowPath
    for chunk in texts.chunks:
        characters = chunk.buffers()[2]
        if characters is not None and np.any(np.frombuffer(characters, np.uint8) > ord("9")):
            raise FallBackToSlowPath
    if longest + kind.scale > _DECIMAL_DIGITS:
        return texts.cast(pa.decimal256(2 * _DECIMAL_DIGITS, kind.scale)).cast(kind)
    return texts.cast(kind)


def _doubles(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cast texts to doubles. Arrow reads a number that is too small for a double as zero.

    Raises:
        FallBackToSlowPath: it read a number other than zero as zero.
    """
    texts = pc.utf8_trim(texts, " \t\r\n")
    values = texts.cast(pa.float64())
    zeros = texts.filter(pc.equal(values, 0.0))
    if pc.any(pc.match_substring_regex(zeros, NOT_ZERO)).as_py():
        raise FallBackToSlowPath
    return values


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


def _csv_types(
    text: SpooledFile, shape: CsvShape, columns: ColumnMap, contract: Contract, settings: IngestSettings
) -> dict[str, pa.DataType]:
    """Arrow types by the file's column names."""
    records = read_records(text.path, shape.delimiter, len(shape.header), settings.max_row_bytes)
    next(records)
    first = next(records, None)
    sample = first.fields if first and first.fields else [""] * len(columns.given)
    kinds = (
        read_as(contract.by_name[name] if name else None, cell)
        for name, cell in zip(columns.names, sample, strict=False)
    )
    return dict(zip(columns.given, kinds, strict=True))


def read_as(column: Column | None, sample: str) -> pa.DataType:
    """The Arrow type as which the CSV reader reads a column; `sample` is the first cell, as text.

    It shows whether times have an offset. An unknown column is text.
    """
    kind = arrow_type(column) if column is not None else pa.string()
    if pa.types.is_decimal(kind) or pa.types.is_floating(kind):
        return pa.string()  # see _decimals and _doubles
    if pa.types.is_timestamp(kind) and kind.tz and sample:
        moment = sample.strip()
        has_offset = moment.endswith("Z") or "+" in moment or moment[10:].count("-") > 0
        return kind if has_offset else pa.timestamp("us")
    return kind


def _spellings(words: tuple[str, ...]) -> list[str]:
    return [spelling for word in words for spelling in {word, word.upper(), word.title()}]


def _has_stray_quotes(path: Path, delimiter: str) -> bool:
    """Whether a quote is neither at the start nor at the end of a field, or a quoted field is not closed."""
    edges = np.frombuffer(f'{delimiter}\r\n"'.encode(), np.uint8)
    # Even quotes open and follow an edge; odd ones close and precede an edge. An escaped quote ("") closes and opens.
    quotes = 0
    before = b"\n"
    with path.open("rb") as stream:
        while chunk := stream.read(4 * _BLOCK_BYTES):
            # Each quote is checked with both its neighbours, so the last byte is checked with the next chunk.
            data = np.frombuffer(before + chunk + (b"" if len(chunk) == 4 * _BLOCK_BYTES else b"\n"), np.uint8)
            at = np.flatnonzero(data[1:-1] == ord('"')) + 1
            opening, closing = at[quotes % 2 :: 2], at[1 - quotes % 2 :: 2]
            quotes += len(at)
            if not np.all(np.isin(data[opening - 1], edges)) or not np.all(np.isin(data[closing + 1], edges)):
                return True
            before = data[-2:].tobytes()
    return quotes % 2 == 1


@contextmanager
def falling_back() -> Iterator[None]:
    """Turn an error of Arrow or DuckDB into `FallBackToSlowPath`."""
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, duckdb.Error) as error:
        raise FallBackToSlowPath from error

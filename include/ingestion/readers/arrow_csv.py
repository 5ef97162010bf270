"""Reads a CSV file with Arrow: the options for a file's syntax, and the content that Arrow would read otherwise.

What belongs here: from a file to batches whose cells Arrow has typed. What does not: checking rows (`vectorised`),
searching the bytes of a file (`csv_bytes`).

Arrow reads some files in another way than the slow path does, or not at all. They are found first, and
`FallBackToSlowPath` is raised.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from include.contracts.type_values import FALSE_WORDS, TRUE_WORDS
from include.ingestion.readers import csv_bytes
from include.ingestion.readers.csv_text import CsvShape, read_records
from include.ingestion.readers.number_texts import plain_numbers, whole_numbers
from include.ingestion.readers.text_lines import BYTE_ORDER_MARK
from include.ingestion.records import FallBackToSlowPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from include.contracts.model import Column, Contract
    from include.ingestion.header import ColumnMap
    from include.ingestion.readers.csv_fields import CsvSyntax
    from include.ingestion.records import SpooledFile
    from include.settings import IngestSettings

_BLOCK_BYTES = 1024**2


def csv_batches(
    text: SpooledFile, shape: CsvShape, columns: ColumnMap, contract: Contract, settings: IngestSettings
) -> Iterator[pa.RecordBatch]:
    """The records of a CSV file, typed by Arrow.

    Raises:
        FallBackToSlowPath: Arrow would read the file in another way than the slow path does.
        pa.ArrowException: Arrow cannot read it.
    """
    has_integers = any(contract.by_name[name].type.is_whole for name in columns.present)
    # Arrow reads 0x1F as a whole number; no text column stores a NUL.
    if text.has_nul or (text.has_hex and has_integers):
        raise FallBackToSlowPath
    path, syntax, has_lines = _prepared(text, shape.syntax)
    # Arrow reads rows of up to two blocks, which must not be longer than a row may be.
    block = min(_BLOCK_BYTES, settings.max_row_bytes // 2)
    names = None if shape.has_header else list(shape.header)
    reader = pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(block_size=block, skip_rows=syntax.first_line - 1, column_names=names),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=syntax.delimiter,
            quote_char=syntax.quote or False,
            escape_char=syntax.escape or False,
            newlines_in_values=has_lines,
            ignore_empty_lines=True,
        ),
        convert_options=convert_options(_types(text, shape, columns, contract, settings), contract, syntax.nulls),
    )
    if tuple(reader.schema.names) != shape.header:
        raise FallBackToSlowPath  # Arrow keeps a byte order mark before the header: its types would not match
    numbers = [at for at, name in enumerate(columns.names) if name and _is_text_number(contract.by_name[name])]
    for given in _without_header_again(reader, shape):
        batch = _without_empty_texts(given) if syntax.nulls else given
        yield _with_plain_numbers(batch, numbers, columns, contract) if numbers else batch


def _prepared(text: SpooledFile, syntax: CsvSyntax) -> tuple[Path, CsvSyntax, bool]:
    """A file without comments, its syntax for Arrow, and whether a record may have several lines.

    Raises:
        FallBackToSlowPath: the file has no such form.
    """
    path = text.path
    if not syntax.delimiter.isascii() or not syntax.quote.isascii() or not syntax.escape.isascii():
        raise FallBackToSlowPath  # Arrow takes single bytes
    if syntax.comment:
        path = csv_bytes.without_comments(path, syntax)
    has_quote = text.has_quote if syntax.quote == '"' else bool(syntax.quote) and csv_bytes.has(path, syntax.quote)
    has_escape = bool(syntax.escape) and csv_bytes.has(path, syntax.escape)
    if has_escape and syntax.nulls:
        # Arrow compares a cell without its escapes: N, where the file has \N.
        if not csv_bytes.escapes_only_nulls(path, syntax):
            raise FallBackToSlowPath
        has_escape = False
    if not has_escape:
        syntax = replace(syntax, escape="")
    # A stray quote may hide a broken record.
    if (has_quote and csv_bytes.has_stray_quotes(path, syntax)) or (
        has_escape and csv_bytes.has_odd_escapes(path, syntax)
    ):
        raise FallBackToSlowPath
    return path, syntax, has_quote or has_escape


def _is_text_number(column: Column) -> bool:
    """Whether a column's cells are read as texts first, because of how its numbers are written."""
    form = column.numbers
    # Arrow reads no whole number with a decimal comma.
    return column.type.is_number and not form.is_usual and (not column.type.is_whole or form.has_several_spellings)


def _with_plain_numbers(
    batch: pa.RecordBatch, at: Iterable[int], columns: ColumnMap, contract: Contract
) -> pa.RecordBatch:
    arrays = list(batch.columns)
    for position in at:
        column = contract.by_name[str(columns.names[position])]
        texts = plain_numbers(arrays[position], column.numbers)
        arrays[position] = whole_numbers(texts) if column.type.is_whole else texts
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _without_empty_texts(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with null for each empty text: with null tokens, Arrow reads an empty cell in quotes as one."""
    arrays = [
        pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)
        if pa.types.is_string(column.type)
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def convert_options(
    types: dict[str, pa.DataType], contract: Contract, nulls: frozenset[str] = frozenset()
) -> pyarrow.csv.ConvertOptions:
    """How Arrow converts cells: an empty one is null, in every type, and so is one of `nulls` without quotes."""
    true = {word for column in contract.columns for word in column.true_words}
    false = {word for column in contract.columns for word in column.false_words}
    return pyarrow.csv.ConvertOptions(
        column_types=types,
        null_values=["", *nulls],
        strings_can_be_null=True,
        # A token in quotes is a text.
        quoted_strings_can_be_null=not nulls,
        true_values=_spellings(TRUE_WORDS, true),
        false_values=_spellings(FALSE_WORDS, false),
    )


def _types(
    text: SpooledFile, shape: CsvShape, columns: ColumnMap, contract: Contract, settings: IngestSettings
) -> dict[str, pa.DataType]:
    """Arrow types by the file's column names."""
    records = read_records(text.path, shape.syntax, len(shape.header), settings.max_row_bytes)
    if shape.has_header:
        next(records)
    first = next(records, None)
    sample = first.fields if first and first.fields else [""] * len(columns.given)
    types = {}
    for given, name, cell in zip(columns.given, columns.names, sample, strict=False):
        column = contract.by_name[name] if name else None
        is_text = column is not None and _is_text_number(column)
        types[given] = pa.string() if is_text else read_as(column, cell)
    return types


def read_as(column: Column | None, sample: str) -> pa.DataType:
    """The Arrow type as which the CSV reader reads a column; `sample` is the first cell, as text.

    It shows whether times have an offset. An unknown column is text.
    """
    if column is None or column.formats:
        return pa.string()  # DuckDB reads dates and times with formats, see `vectorised.with_formats`
    kind = column.type.arrow(pa, column)
    if pa.types.is_decimal(kind) or pa.types.is_floating(kind):
        return pa.string()  # see `number_texts`
    if pa.types.is_timestamp(kind) and kind.tz and sample:
        moment = sample.strip()
        has_offset = moment.endswith("Z") or "+" in moment or moment[10:].count("-") > 0
        return kind if has_offset else pa.timestamp("us")
    return kind


def _spellings(words: tuple[str, ...], own: set[str]) -> list[str]:
    """Spellings of words that the slow path reads as these words; it compares them in lower case."""
    found = {spelling for word in words for spelling in (word, word.upper(), word.title())}
    found.update(own)
    for word in own:
        # Some letters have no upper case whose lower case they are.
        found.update(one for one in (word.lower(), word.upper(), word.title()) if word.isascii())
    return sorted(found)


def _without_header_again(batches: Iterable[pa.RecordBatch], shape: CsvShape) -> Iterator[pa.RecordBatch]:
    """The same batches, if no row repeats the header in its text columns.

    Raises:
        FallBackToSlowPath: a row does, or begins with a byte order mark, as records do where files were concatenated.
    """
    # An empty cell is null here; a column without a name has an empty one in the repeated header.
    empties = {"", *shape.nulls}
    names = [pa.array([name, None if name in empties else name], pa.string()) for name in shape.header]
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

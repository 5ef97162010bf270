"""The fast path of JSON: records of one flat shape become CSV in memory, which the fast path of CSV types and checks.

What belongs here: finding the records in the file and the columns in the records. What does not: the text of a record
(`json_shape`), types and rules (`vectorised`). Newline-delimited records, arrays of records, and arrays at a record
path are read; all else falls back to the slow path, and so does every doubt.
"""

from __future__ import annotations

import codecs
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from include.contracts.model import Contract, UnknownColumns
from include.ingestion.header import ColumnMap, map_columns
from include.ingestion.readers.arrow_csv import convert_options, read_as
from include.ingestion.readers.json_columns import JsonColumns, value_at
from include.ingestion.readers.json_document import array_at, has_no_records
from include.ingestion.readers.json_shape import (
    MOST_LEAVES,
    JsonShape,
    Leaf,
    Members,
    OtherShapeError,
    Use,
    keys_in_order,
    records_in,
)
from include.ingestion.readers.json_values import BLANKS, text_cell
from include.ingestion.readers.vectorised import checked, falling_back, having_formats, with_formats
from include.ingestion.records import FallBackToSlowPath, FileFormat, FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import duckdb

    from include.ingestion.records import SpooledFile
    from include.settings import IngestSettings

_BLOCK_BYTES = 1024**2
_SAMPLE = 100  # records that show the keys
_BETWEEN = re.compile("[ \t\r\n]*,[ \t\r\n]*(?={)")
# What follows an array of records may be so long.
_TAIL_BYTES = 16 * 1024**2
_RESCUED = "_rescued"


def typed_json(
    text: SpooledFile,
    kind: FileFormat,
    contract: Contract,
    connection: duckdb.DuckDBPyConnection,
    settings: IngestSettings,
) -> Iterator[pa.Table]:
    """Typed, checked tables of JSON records.

    Raises:
        FallBackToSlowPath: a fault or unusual content; the caller discards what was yielded before.
    """
    if text.records_alone or contract.dialect.key_column is not None:
        raise FallBackToSlowPath
    if text.holds_cells and not contract.dialect.numbers.is_usual:
        raise FallBackToSlowPath
    if text.has_hex and any(column.type.is_whole for column in contract.source_columns):
        raise FallBackToSlowPath  # Arrow reads 0x1F as a whole number
    try:
        source = _Lines(text, settings) if kind is FileFormat.NDJSON else _Array(text, contract, settings)
        columns = _Columns.of(JsonColumns.of(contract, kind, holds_cells=text.holds_cells), source, settings)
        with falling_back():
            batches = (batch for table in columns.tables(source) for batch in table.to_batches())
            typed_batches = with_formats(batches, having_formats(columns.map, contract), connection)
            yield from checked(typed_batches, columns.map, contract, connection, check_nul=False)
    except (ValueError, FileRefusedError) as error:  # another shape, or text that is not UTF-8
        raise FallBackToSlowPath from error


class _Source(ABC):
    """A file as blocks of text, in which each record ends with `delimiter`."""

    delimiter: bytes
    blanks: bytes  # that may be inside a record

    @abstractmethod
    def sample(self) -> list[dict[str, Any]]:
        """The first records."""

    @abstractmethod
    def blocks(self) -> Iterator[bytes]:
        """The text from the first record on."""

    @abstractmethod
    def other(self, piece: str) -> tuple[list[dict[str, Any]], str | None]:
        """The records of a text between delimiters that is no record of the shape; and what follows the last record."""

    @abstractmethod
    def finish(self, after: Iterator[bytes]) -> None:
        """Check the text after the last record, whose delimiters are those of the blocks."""


class _Lines(_Source):
    """Newline-delimited records."""

    delimiter, blanks = b"\n", rb" \t"

    def __init__(self, text: SpooledFile, settings: IngestSettings) -> None:
        self._path, self._limit = text.path, settings.max_row_bytes

    def sample(self) -> list[dict[str, Any]]:
        with self._path.open("rb") as stream:
            start = stream.read(_BLOCK_BYTES)
        lines = start.split(b"\n")
        if len(start) == _BLOCK_BYTES:
            del lines[-1]  # it may be cut off
        return [record for line in lines[:_SAMPLE] for record, _ in records_in(line.decode())]

    def blocks(self) -> Iterator[bytes]:
        with self._path.open("rb") as stream:
            held = b""
            while chunk := stream.read(_BLOCK_BYTES):
                whole, end, held = (held + chunk).rpartition(b"\n")
                if len(held) >= self._limit:
                    raise FallBackToSlowPath
                if end:
                    yield _without_returns(whole + end)
            if held:
                yield _without_returns(held + b"\n")

    def other(self, piece: str) -> tuple[list[dict[str, Any]], str | None]:
        return [record for record, _ in records_in(piece)], None

    def finish(self, after: Iterator[bytes]) -> None:
        pass  # nothing follows the last line


def _without_returns(block: bytes) -> bytes:
    """The lines with line feeds only.

    Raises:
        FallBackToSlowPath: a carriage return alone, which ends a line, too.
    """
    if b"\r" not in block:
        return block
    block = block.replace(b"\r\n", b"\n")
    if b"\r" in block:
        raise FallBackToSlowPath
    return block


class _Array(_Source):
    """The records of an array, at the record path if there is one, and with one text between each two of them."""

    delimiter, blanks = b"\x1e", rb" \t\r\n"  # no JSON text has this delimiter

    def __init__(self, text: SpooledFile, contract: Contract, settings: IngestSettings) -> None:
        self._path, self._dialect, self._limit = text.path, contract.dialect, settings.max_row_bytes
        with self._path.open("rb") as stream:
            content = stream.read(_BLOCK_BYTES)
        self._is_whole = len(content) < _BLOCK_BYTES
        head = codecs.getincrementaldecoder("utf-8")().decode(content)
        start = array_at(head, self._dialect.record_steps)
        if start is None:
            raise FallBackToSlowPath
        self._before, self._beginning = head[:start], head[start:]
        first = next(records_in(self._beginning, has_commas=True), None)
        found = _BETWEEN.match(self._beginning, first[1]) if first else None
        self._between = found[0].encode() if found else b","

    def sample(self) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = []
        try:
            records.extend(record for record, _ in islice(records_in(self._beginning, has_commas=True), _SAMPLE))
        except OtherShapeError:
            if self._is_whole:
                raise
            # The last record is cut off.
        return records

    def blocks(self) -> Iterator[bytes]:
        separator, delimited = b"}" + self._between + b"{", b"}" + self.delimiter + b"{"
        with self._path.open("rb") as stream:
            stream.seek(len(self._before.encode()))
            held = b""
            while chunk := stream.read(_BLOCK_BYTES):
                if self.delimiter in chunk or len(held) > self._limit + len(self._between):
                    raise FallBackToSlowPath
                held += chunk
                if (at := held.rfind(separator)) >= 0:
                    yield held[: at + 1].replace(separator, delimited) + self.delimiter
                    held = held[at + len(separator) - 1 :]
            yield held + self.delimiter

    def other(self, piece: str) -> tuple[list[dict[str, Any]], str | None]:
        found = list(records_in(piece, has_commas=True))
        remainder = piece[found[-1][1] if found else 0 :].lstrip(BLANKS)
        return [record for record, _ in found], remainder or None

    def finish(self, after: Iterator[bytes]) -> None:
        tail = b""
        for part in after:
            tail += part.replace(self.delimiter, self._between)
            if len(tail) > _TAIL_BYTES:
                raise FallBackToSlowPath
        if self._dialect.record_path is None:
            is_end = tail.strip(BLANKS.encode()) == b"]"
        else:
            is_end = has_no_records(self._before + tail.decode(), self._limit, self._dialect)
        if not is_end:
            raise FallBackToSlowPath


@dataclass(frozen=True)
class _Columns:
    """The columns of the CSV that a file's records become."""

    shape: JsonShape
    map: ColumnMap
    options: pyarrow.csv.ConvertOptions
    limit: int

    @classmethod
    def of(cls, given: JsonColumns, source: _Source, settings: IngestSettings) -> _Columns:
        """The columns by the first records of a file.

        Raises:
            FallBackToSlowPath: they need the slow path.
        """
        records = source.sample()
        if not records:
            raise FallBackToSlowPath
        paths = {steps: name for name, steps in given.placed.items()}
        entered = {steps[:at] for steps in paths for at in range(1, len(steps))}
        keys = keys_in_order(records, lambda steps: steps not in entered)
        if given.flat_names is not None and any(map(given.flat_names.column_of, keys)):
            raise FallBackToSlowPath  # a flat member belongs at the path of its column
        found = map_columns(sorted(keys), given.contract, settings.max_columns, placed=given.placed)
        named = {key: name for key, name in zip(found.given, found.names, strict=True) if name is not None}
        if len(paths) < len(given.placed) or any((key,) in entered or (key,) in paths for key in named):
            raise FallBackToSlowPath  # a value that is in two columns
        extra = {found.given[at]: name for at, name in found.extra}
        names = {(key,): name for key, name in named.items()} | paths
        members = _members(keys, _Uses(given, names, set(extra), entered))
        shape = JsonShape(members, source.blanks)
        if not 0 < len(shape.leaves) <= MOST_LEAVES:
            raise FallBackToSlowPath
        leaves = (*shape.cells, *shape.documents)
        header = [".".join(leaf.steps) for leaf in leaves]
        columns = [names.get(leaf.steps) for leaf in leaves]
        kinds = [
            read_as(given.contract.by_name[name] if name else None, text_cell(value_at(records[0], leaf.steps)) or "")
            for leaf, name in zip(leaves, columns, strict=True)
        ]
        if shape.rescued:
            header, columns, kinds = [*header, _RESCUED], [*columns, _RESCUED], [*kinds, pa.string()]
        added = tuple((header.index(key), extra[key]) for key in sorted(extra)) if found.evolves else ()
        mapped = ColumnMap(tuple(header), tuple(columns), added, found.evolves)
        if any(column.required and column.name not in mapped.present for column in given.contract.source_columns):
            raise FallBackToSlowPath
        types = {str(at): kind for at, kind in enumerate(kinds)}
        return cls(shape, mapped, convert_options(types, given.contract), settings.max_row_bytes)

    def tables(self, source: _Source) -> Iterator[pa.Table]:
        """The records as tables, one for each block of text.

        Raises:
            FallBackToSlowPath, OtherShapeError: a record needs the slow path.
        """
        expression = self.shape.expression(source.delimiter)
        blocks = source.blocks()
        for block in blocks:
            if not block.isascii():
                block.decode()  # raises if it is not UTF-8
            self._refuse_long(block, source.delimiter)
            lines, remainder = self._lines(expression.findall(block), source, has_escapes=b"\\" in block)
            if lines:
                yield self._table(lines, has_line_ends=b"\\" in block)
            if remainder is not None:
                at, text = remainder
                pieces = block.split(source.delimiter)[at + 1 : -1]
                following = (source.delimiter + part.removesuffix(source.delimiter) for part in blocks)
                source.finish(chain([text.encode()], (source.delimiter + piece for piece in pieces), following))
                return
        source.finish(iter(()))

    def _refuse_long(self, block: bytes, delimiter: bytes) -> None:
        """Raise if a record may be longer than a record may be."""
        if len(block) >= self.limit:
            ends = np.flatnonzero(np.frombuffer(block, np.uint8) == delimiter[0])
            if max(int(ends[0]), int(np.diff(ends).max(initial=0))) >= self.limit:
                raise FallBackToSlowPath

    def _lines(
        self, found: list[tuple[bytes, ...]], source: _Source, *, has_escapes: bool
    ) -> tuple[list[bytes], tuple[int, str] | None]:
        """The lines of CSV; and the text after the last record, with the number of the piece that has it."""
        others = [at for at, groups in enumerate(found) if groups[-1]]
        if not others:
            return self.shape.lines(found, has_escapes=has_escapes), None
        lines: list[bytes] = []
        first = 0
        for at in others:
            lines += self.shape.lines(found[first:at], has_escapes=has_escapes)
            records, remainder = source.other(found[at][-1].decode())
            lines += map(self.shape.other_line, records)
            if remainder is not None:
                return lines, (at, remainder)
            first = at + 1
        return lines + self.shape.lines(found[first:], has_escapes=has_escapes), None

    def _table(self, lines: list[bytes], *, has_line_ends: bool) -> pa.Table:
        text = b"\n".join(lines) + b"\n"
        names = [str(at) for at in range(len(self.map.given))]
        return pyarrow.csv.read_csv(
            pa.BufferReader(text),
            read_options=pyarrow.csv.ReadOptions(column_names=names, block_size=len(text) + 1, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=has_line_ends, ignore_empty_lines=False),
            convert_options=self.options,
        )


@dataclass(frozen=True)
class _Uses:
    """What decides about the use of a leaf: the columns by their steps, and the unknown members to keep."""

    given: JsonColumns
    names: Mapping[tuple[str, ...], str]
    extra: set[str]
    entered: set[tuple[str, ...]]

    def of(self, steps: tuple[str, ...]) -> Use:
        """The use of a leaf."""
        contract = self.given.contract
        if (name := self.names.get(steps)) is not None:
            return Use.DOCUMENT if self.given.is_document(name) else Use.CELL
        if steps in self.entered or (len(steps) > 1 and self.given.keeps_remainder):
            raise FallBackToSlowPath  # a list that a path enters, or what paths leave of an object
        if len(steps) > 1 or steps[0] not in self.extra:
            return Use.IGNORE
        return Use.CELL if contract.unknown_columns is UnknownColumns.EVOLVE else Use.RESCUE


def _members(keys: dict[str, Any], uses: _Uses, above: tuple[str, ...] = ()) -> Members:
    return {
        key: Leaf((*above, key), uses.of((*above, key))) if inner is None else _members(inner, uses, (*above, key))
        for key, inner in keys.items()
    }

"""Finds rows that are too large for PostgreSQL: its limits on a row of a table and on an entry of a key's index.

What belongs here: the limits, as a condition in SQL that holds for every row that may be too large, and as exact
arithmetic for such a row. What does not: types and values (`rules`).

A row must fit into a page: 8,160 bytes. Values of more than 24 bytes can be moved out of the row, with a pointer of 18
bytes left in it, unless compression makes them smaller than that; shorter values are not moved. So neither 500 texts of
23 bytes fit, nor 500 long ones. An entry of the primary key's index has at most 2,704 bytes, of which values over 510
bytes are compressed first. The rules are those of heaptoast.c, heaptuple.c, indextuple.c and nbtutils.c of PostgreSQL
18, with its default compression (pglz); a test compares them with the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from include.contracts.expressions import quoted
from include.contracts.model import Column, Contract, Deletes, UnknownColumns
from include.errors import Code
from include.errors.registry import message
from include.ingestion.pglz import compressed_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

MOST_ROW_BYTES = 8_160
MOST_KEY_BYTES = 2_704
_POINTER = 18
_STAYS = 24  # bytes with the header: a larger value can leave the row
_COMPRESSIBLE = 32
_COMPRESSED_HEADER = 8
_IN_INDEX_AS_IT_IS = 510  # bytes with the header
_WIDEST_TEXT = _STAYS + 3  # a compressed value is aligned
_SYSTEM_COLUMNS = ("_file_id", "_source_row", "_loaded_at")
_Piece = tuple[int, int]  # alignment and bytes


@dataclass(frozen=True)
class SizeFault:
    """The reason why PostgreSQL would refuse a row; `column` if a single column is the reason."""

    code: Code
    message: str
    column: str | None = None


@dataclass(frozen=True)
class RowSize:
    """The size limits for the rows of one file, with the unknown columns (`extra`) that become columns of the table."""

    contract: Contract
    extra: tuple[str, ...] = ()

    @cached_property
    def oversized(self) -> str | None:
        """A condition on a typed, cleaned row: true for every row that may be too large. None if no row can be."""
        parts = [condition for condition in (self._wide_row, self._long_key) if condition]
        return " OR ".join(parts) or None

    def fault(self, row: Mapping[str, Any]) -> SizeFault | None:
        """The reason why PostgreSQL refuses a row; None if the row fits."""
        if self._long_key and (size := self._key_bytes(row)) > MOST_KEY_BYTES:
            key = self.contract.key
            too_long = message(Code.KEY_TOO_LONG, key=", ".join(key), size=size, limit=MOST_KEY_BYTES)
            return SizeFault(Code.KEY_TOO_LONG, too_long, key[0] if len(key) == 1 else None)
        if self._wide_row and (size := self._row_bytes(row)) > MOST_ROW_BYTES:
            too_wide = message(Code.ROW_TOO_WIDE, size=size, limit=MOST_ROW_BYTES, pointer=_POINTER)
            return SizeFault(Code.ROW_TOO_WIDE, too_wide)
        return None

    @cached_property
    def _wide_row(self) -> str:
        columns = self.contract.columns
        fixed = self._header + sum(_most_bytes(column) for column in columns if not _varies(column))
        texts = [column for column in columns if _varies(column)]
        # Unknown columns count only where they become columns of the table.
        unknown = self.extra if self.contract.unknown_columns is UnknownColumns.EVOLVE else ()
        if fixed + sum(map(_most_bytes, texts)) + _WIDEST_TEXT * len(unknown) <= MOST_ROW_BYTES:
            return ""
        sizes = [_size_in_row(quoted(name)) for name in (*(column.name for column in texts), *unknown)]
        return f"{fixed} + {' + '.join(sizes)} > {MOST_ROW_BYTES}"

    @cached_property
    def _long_key(self) -> str:
        columns = self.contract.key_columns
        texts = [column for column in columns if _varies(column)]
        fixed = 8 + sum(_most_bytes(column) for column in columns if not _varies(column)) + 7
        if not texts:
            return ""
        bounded = all(column.max_length is not None for column in texts)
        if bounded and fixed + sum(4 * (column.max_length or 0) + 7 for column in texts) <= MOST_KEY_BYTES:
            return ""
        sizes = " + ".join(f"coalesce(strlen({quoted(column.name)}), 0) + 7" for column in texts)
        return f"{fixed} + {sizes} > {MOST_KEY_BYTES}"

    @property
    def _header(self) -> int:
        """The bytes of a row's header, of the columns that the pipeline adds, and of `_rescued`, counted as filled."""
        columns = self._system_columns + 1 + len(self.contract.columns) + len(self.extra)
        return _aligned(23 + (columns + 7) // 8, 8) + 8 * self._system_columns + _WIDEST_TEXT

    @property
    def _system_columns(self) -> int:
        """How many columns of eight bytes the pipeline adds. A row must fit with the mark of a deleted one, too."""
        return len(_SYSTEM_COLUMNS) + (self.contract.deletes is Deletes.SOFT)

    def _row_bytes(self, row: Mapping[str, Any]) -> int:
        """The larger of the row's sizes in its table and in the staging table, which stores JSON and UUIDs as text."""
        columns = [*((column, row.get(column.name)) for column in self.contract.columns)]
        extra = [_text(row.get(name)) for name in self.extra]
        rescued = row.get("_rescued")
        stored = [(8, 8)] * self._system_columns + _given(_document(rescued))
        stored += [piece for column, value in columns for piece in _given(_stored(column, value))]
        staged = [piece for column, value in columns for piece in _given(_staged(column, value))]
        stored += [piece for found in extra for piece in _given(found)]
        staged += [piece for found in (*extra, _text(rescued)) for piece in _given(found)]
        staged.append((8, 8))
        attributes = self._system_columns + 1 + len(columns) + len(extra)
        head = _aligned(23 + (attributes + 7) // 8, 8)
        return max(_aligned(head + _total(pieces), 8) for pieces in (stored, staged))

    def _key_bytes(self, row: Mapping[str, Any]) -> int:
        columns = self.contract.key_columns
        pieces = [piece for column in columns for piece in _given(_indexed(column, row.get(column.name)))]
        return _aligned(8 + _total(pieces), 8)


def _varies(column: Column) -> bool:
    """Whether the size of a value depends on the value. Derived values count with their largest size."""
    return column.type.is_text and column.is_sent


def _most_bytes(column: Column) -> int:
    """The most bytes that a value takes in a row, including the padding before it."""
    if column.type.is_text:
        longest = 4 * column.max_length if column.max_length is not None else _COMPRESSIBLE
        return longest + 1 if longest < _STAYS else _STAYS if longest < _COMPRESSIBLE else _WIDEST_TEXT
    if column.type.has_scale:
        return 3 + 2 * (-(-(column.precision - column.scale) // 4) - (-column.scale // 4))
    if column.type.postgres_size is None:
        return _WIDEST_TEXT
    alignment, size = column.type.postgres_size
    return max(alignment - 1 + size, _POINTER if column.type.is_carried_as_text else 0)


def _size_in_row(text: str) -> str:
    bare = f"strlen({text})"
    return (
        f"CASE WHEN {text} IS NULL THEN 0 WHEN {bare} < {_STAYS} THEN {bare} + 1 "
        f"WHEN {bare} < {_COMPRESSIBLE} THEN {_POINTER} ELSE {_WIDEST_TEXT} END"
    )


def _stored(column: Column, value: Any) -> _Piece | None:
    if not column.is_sent:
        return 1, _most_bytes(column)
    if value is None:
        return None
    if column.type.is_text:
        return _text(value)
    if column.type.has_scale:
        return 1, _numeric_bytes(value)
    return column.type.postgres_size or _document(value)


def _staged(column: Column, value: Any) -> _Piece | None:
    as_text = column.type.is_carried_as_text and column.is_sent
    return _text(value) if as_text else _stored(column, value)


def _text(value: str | None) -> _Piece | None:
    """The part of a text that remains in a row after all values that can be moved out are moved."""
    if value is None:
        return None
    source = value.encode()
    if len(source) < _STAYS:
        return 1, len(source) + 1
    compressed = _compressed(source)
    return (4, compressed) if compressed is not None and compressed <= _STAYS else (1, _POINTER)


def _document(value: str | None) -> _Piece | None:
    """A value with a format of its own, such as jsonb: counted with the largest size that cannot be moved out."""
    return None if value is None else (4, _STAYS)


def _compressed(source: bytes) -> int | None:
    size = compressed_size(source)
    return size + _COMPRESSED_HEADER if size is not None and size + _COMPRESSED_HEADER < len(source) - 2 else None


def _numeric_bytes(value: Decimal) -> int:
    """Two bytes for every four decimal digits, counted from the point, without zeros at either end."""
    _, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits)) + "0" * max(0, int(exponent))
    behind = max(0, -int(exponent))
    text = text.rjust(behind + 1, "0")
    whole, fraction = (text[:-behind], text[-behind:]) if behind else (text, "")
    padded = whole.rjust(_aligned(len(whole), 4), "0") + fraction.ljust(_aligned(len(fraction), 4), "0")
    groups = [padded[at : at + 4] for at in range(0, len(padded), 4)]
    while groups and groups[0] == "0000":
        del groups[0]
    while groups and groups[-1] == "0000":
        del groups[-1]
    return 3 + 2 * len(groups)


def _indexed(column: Column, value: Any) -> _Piece | None:
    if not column.type.is_text or value is None:
        return _stored(column, value)
    source = value.encode()
    if len(source) < 127:
        return 1, len(source) + 1
    compressed = _compressed(source) if len(source) + 4 > _IN_INDEX_AS_IT_IS else None
    return 4, compressed or len(source) + 4


def _given(piece: _Piece | None) -> list[_Piece]:
    return [] if piece is None else [piece]


def _total(pieces: Iterable[_Piece]) -> int:
    size = 0
    for alignment, length in pieces:
        size = _aligned(size, alignment) + length
    return size


def _aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment

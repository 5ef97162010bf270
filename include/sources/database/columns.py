"""Columns of a table or query: how each is selected, and the exact Arrow type that its text becomes.

What belongs here: the record of a column, and the conversion of a batch. What does not: which SQL a server needs
(`postgres`, `mysql`).

Decimals arrive as the server's text, and from MySQL dates and times too, for only the text is exact: the drivers round
wide decimals, make 0 of NaN, and stop at a zero date. Texts are converted to the column's type. If a value is none of
that type, such as 0000-00-00, NaN or infinity, the whole column is written as text: then the contract refuses the row,
and not the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

# What a column can be as a cursor: a time with a zone, one without, a day, a whole number.
CursorKind = Literal["instant", "time", "day", "number"]
MOST_DIGITS = 38  # of a 128-bit decimal
UNKNOWN_DECIMAL = "DECIMAL(38,10)"  # a draft's type for decimals without a precision, or a wider one
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # 0001-01-01 and 9999-12-31, in days since 1970
_DAY_MICROSECONDS = 86_400 * 10**6


@dataclass(frozen=True)
class TableColumn:
    """A column of a table or query.

    Attributes:
        name: as the server has it.
        type_name: the server's words for its type.
        select: the SQL expression that gives its values.
        exact: the Arrow type of its values, or that its text becomes; None: values are taken as the driver gives them.
        declared: the DuckDB type of its values, by which a draft chooses the contract's type.
        cursor: what it can be as a cursor; None: nothing.
        nullable: whether it may have no value.
        key_position: in the primary key, from 1 on; 0: it is no part of it.
        comment: the table's own words about it.
        text: the SQL expression that gives its values as text; empty: `select` does.
    """

    name: str
    type_name: str
    select: str
    exact: pa.DataType | None = None
    declared: str = "VARCHAR"
    cursor: CursorKind | None = None
    nullable: bool = True
    key_position: int = 0
    comment: str = ""
    text: str = ""


class UnfitColumnsError(Exception):
    """Some columns have a value that their exact type cannot hold."""

    def __init__(self, names: Collection[str]) -> None:
        super().__init__(", ".join(sorted(names)))
        self.names = frozenset(names)


class WideRowsError(Exception):
    """The rows are too large to be read in the batches of this try: the server makes those of the next one smaller."""


def decimal_type(precision: int | None, scale: int | None) -> pa.DataType | None:
    """The exact type of decimals; None if no type can hold them, or they have no fixed scale."""
    if precision is None or scale is None or not 0 < precision <= MOST_DIGITS or not 0 <= scale <= precision:
        return None
    return pa.decimal128(precision, scale)


def key_of(columns: Sequence[TableColumn]) -> list[TableColumn]:
    """The columns of the primary key, in its order."""
    return sorted((column for column in columns if column.key_position), key=lambda column: column.key_position)


def exact_batch(batch: pa.RecordBatch, columns: Sequence[TableColumn], as_text: Collection[str]) -> pa.RecordBatch:
    """The batch with exact types.

    Args:
        batch: as the driver gives it, with the columns in this order.
        columns: of the table.
        as_text: names of columns that stay text.

    Raises:
        UnfitColumnsError: a value cannot be converted, or is a date outside the years 1 to 9999.
    """
    arrays, unfit = [], set()
    for column, values in zip(columns, batch.columns, strict=True):
        if column.exact is None or column.name in as_text:
            arrays.append(_plain(values))
            continue
        try:
            arrays.append(_converted(_plain(values), column.exact))
        except pa.ArrowInvalid:
            unfit.add(column.name)
    if unfit:
        raise UnfitColumnsError(unfit)
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


def _plain(values: pa.Array) -> pa.Array:
    """Texts as the type that every reader of Parquet knows; a column of nulls only as text."""
    kind = values.type
    if pa.types.is_large_string(kind) or pa.types.is_null(kind) or pa.types.is_string_view(kind):
        return values.cast(pa.string())
    return values


def _converted(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Texts as values of a type; values of that type as they are.

    Raises:
        pa.ArrowInvalid: one of them is none, or is a date outside the years 1 to 9999.
    """
    found = values.cast(kind)
    if pa.types.is_temporal(kind):
        unit = 1 if pa.types.is_date(kind) else _DAY_MICROSECONDS
        ends = pc.min_max(found.cast(pa.int32() if pa.types.is_date(kind) else pa.int64()))
        least, most = ends["min"].as_py(), ends["max"].as_py()
        if least is not None and not _FIRST_DAY * unit <= least <= most < (_LAST_DAY + 1) * unit:
            raise pa.ArrowInvalid("a date is outside the years 1 to 9999")
    return found

"""What an entry of the registry of column types consists of.

What belongs here: the attributes of a type, and what follows from them. What does not: the types themselves (`types`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from include.contracts import type_values

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from decimal import Decimal

    from include.contracts.model import Column
    from include.contracts.type_sql import FaultCondition, FindFaults
    from include.errors import Code


class SampleKind(StrEnum):
    """How the sample generator makes values: `listed` repeats the type's examples."""

    LISTED = "listed"
    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DAY = "day"
    MOMENT = "moment"
    UUID = "uuid"
    DOCUMENT = "document"


@dataclass(frozen=True)
class Fit:
    """A condition over all texts `v` of a sample's column: true if each is of the type. `note`: a doubt for a draft."""

    sql: str
    note: str = ""


@dataclass(frozen=True)
class Draft:
    """How a draft of a contract finds the type.

    Attributes:
        declared: a regular expression for the DuckDB types that a sample's column of this type has.
        fits: for a column of texts.
        may_be_key: whether the draft may propose such a column as the key.
        is_version: whether texts of this type can be versions, such as 1.10, which must stay text.
        needs_measure: whether one text must have a decimal mark or a signed exponent: 12E4 has neither.
    """

    declared: str = ""
    fits: tuple[Fit, ...] = ()
    may_be_key: bool = True
    is_version: bool = False
    needs_measure: bool = False


def _no_faults(*_: object) -> list[FaultCondition]:
    return []


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class ColumnType:
    """One type. Types in PostgreSQL and DuckDB may contain `{precision}` and `{scale}`, which are the column's.

    Attributes:
        name: as messages and compiled contracts write it.
        logical: its names as the standard's logicalType; a draft writes the first of them.
        physical: its names as physicalType; a draft writes the first of them, with precision and scale if it has those.
        is_default: whether it is the type of its logicalType alone, without physicalType.
        formats: values of logicalTypeOptions.format that mean this type.
        postgres: the type in the warehouse, of those to which its function for new columns is limited (sql/migrations).
        catalogue: PostgreSQL's own name for it, if that is another.
        postgres_size: alignment and bytes of a value; None if that depends on the value.
        duckdb: the type where expressions are evaluated.
        bound: the DuckDB type of a minimum or maximum, if that is another.
        is_carried_as_text: whether values are text between the stages and in the staging table.
        arrow: the type in validated files, given the module `pyarrow`.
        fits_arrow: whether Arrow casts a Parquet column's type to it without loss, given `pyarrow.types` and that type.
        avro: the schema of a value. A type with a scale adds precision and scale.
        read: DuckDB's expression for the value of a text, null if it cannot be read.
        reading_faults: the faults of a text, given the text and the result of `read`.
        value_faults: the faults of a typed value, beside those of the contract's rules.
        misfit: a condition for a value that the Arrow and DuckDB types hold and the column does not.
        canonical: the one spelling of a value that has several.
        parse_bound: a minimum or maximum in Python; a ValueError gives the correct form.
        to_python: a row's value in Python, as Avro writes it.
        listed_as: what a contract's list of allowed values consists of; None if it cannot have one.
        to_json: a text cell as JSON without quotes, or as the given JSON string; None if it always has quotes.
        written: the text of a value in a sample file.
        may_be_key: whether a contract may have it in the key.
        draft: how a draft finds it.
        samples: how the sample generator makes its values.
        examples: texts of the type.
        bad: a text that is not of the type, and the code of that fault.
        is_text: of any length, cleaned, with a pattern.
        is_whole: a number without decimals.
        has_scale: a number with the column's precision and scale.
        is_document: a value with members of its own.
        is_temporal: a day or a time.
    """

    name: str
    logical: tuple[str, ...]
    physical: tuple[str, ...]
    postgres: str
    duckdb: str
    avro: str | dict[str, Any]
    read: Callable[[Column, str], str]
    to_python: Callable[[Column, Any], Any]
    is_default: bool = False
    formats: tuple[str, ...] = ()
    catalogue: str = ""
    postgres_size: tuple[int, int] | None = None
    bound: str = ""
    is_carried_as_text: bool = False
    arrow: Callable[[Any, Column], Any] = lambda pa, _: pa.string()
    fits_arrow: Callable[[Any, Any], bool] = lambda types, kind: types.is_string(kind) or types.is_large_string(kind)
    reading_faults: FindFaults = _no_faults
    value_faults: Callable[[str], list[FaultCondition]] = _no_faults
    misfit: Callable[[str], str] | None = None
    canonical: Callable[[str], str] | None = None
    parse_bound: Callable[[str, Column], Decimal | date] = type_values.bound_number
    listed_as: type[str] | type[int] | None = None
    to_json: Callable[[str, str], str] | None = None
    written: Callable[[str], str] = lambda value: f"CAST({value} AS VARCHAR)"
    may_be_key: bool = True
    draft: Draft = Draft()
    samples: SampleKind = SampleKind.LISTED
    examples: tuple[str, ...] = ()
    bad: tuple[str, Code] | None = None
    is_text: bool = False
    is_number: bool = False
    is_whole: bool = False
    has_scale: bool = False
    is_document: bool = False
    is_temporal: bool = False
    has_time: bool = False
    has_zone: bool = False

    UUID: ClassVar[ColumnType]
    BOOLEAN: ClassVar[ColumnType]
    INTEGER: ClassVar[ColumnType]
    NUMBER: ClassVar[ColumnType]
    FLOAT: ClassVar[ColumnType]
    DATE: ClassVar[ColumnType]
    TIMESTAMP: ClassVar[ColumnType]
    TIMESTAMPTZ: ClassVar[ColumnType]
    JSON: ClassVar[ColumnType]
    TEXT: ClassVar[ColumnType]

    @property
    def is_ordered(self) -> bool:
        """Whether values have a natural order that minimum and maximum can bound."""
        return self.is_number or self.is_temporal

    @property
    def is_double(self) -> bool:
        """Whether values are binary fractions."""
        return self.is_number and not (self.is_whole or self.has_scale)

    @property
    def is_day(self) -> bool:
        """Whether values are days."""
        return self.is_temporal and not self.has_time

    @property
    def is_bare_in_json(self) -> bool:
        """Whether JSON has values of this type without quotes, and they are not documents."""
        return self.to_json is not None and not self.is_document

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"ColumnType.{self.name.upper()}"

    def __reduce__(self) -> tuple[Callable[[str], ColumnType], tuple[str]]:
        return _named, (self.name,)


def _named(name: str) -> ColumnType:
    """The type of a pickled column."""
    from include.contracts.types import TYPES

    return TYPES[name]

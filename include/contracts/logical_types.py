"""Translates the standard's logical and physical types into a column type, and parses bounds of each type.

What belongs here: types, their names and their value ranges. What does not: the other options of a column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from include.contracts.model import ColumnType
from include.contracts.problems import nearest

if TYPE_CHECKING:
    from open_data_contract_standard.model import SchemaProperty

    from include.contracts.model import Column
    from include.contracts.problems import Findings

MAX_PRECISION = 38
_PHYSICAL = re.compile(r"\s*([a-z][a-z0-9 ]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?\s*", re.IGNORECASE)

_TYPES: dict[str, dict[str, ColumnType]] = {
    "string": dict.fromkeys(("text", "varchar", "character varying", "string"), ColumnType.TEXT)
    | {"uuid": ColumnType.UUID},
    "integer": dict.fromkeys(("bigint", "int8", "integer", "int", "int4", "smallint", "int2"), ColumnType.INTEGER),
    "number": dict.fromkeys(("numeric", "decimal"), ColumnType.NUMBER)
    | dict.fromkeys(("double precision", "double", "float8", "float", "real", "float4"), ColumnType.FLOAT),
    "boolean": dict.fromkeys(("boolean", "bool"), ColumnType.BOOLEAN),
    "date": {"date": ColumnType.DATE},
    "timestamp": dict.fromkeys(("timestamp", "timestamp without time zone"), ColumnType.TIMESTAMP)
    | dict.fromkeys(("timestamptz", "timestamp with time zone"), ColumnType.TIMESTAMPTZ),
    "object": dict.fromkeys(("jsonb", "json"), ColumnType.JSON),
    "array": dict.fromkeys(("jsonb", "json"), ColumnType.JSON),
}
_DEFAULTS = {
    "string": ColumnType.TEXT,
    "integer": ColumnType.INTEGER,
    "boolean": ColumnType.BOOLEAN,
    "date": ColumnType.DATE,
    "timestamp": ColumnType.TIMESTAMP,
    "object": ColumnType.JSON,
    "array": ColumnType.JSON,
}
_INTEGER_RANGES = {
    "smallint": (-(2**15), 2**15 - 1),
    "int2": (-(2**15), 2**15 - 1),
    "integer": (-(2**31), 2**31 - 1),
    "int": (-(2**31), 2**31 - 1),
    "int4": (-(2**31), 2**31 - 1),
    "i8": (-(2**7), 2**7 - 1),
    "i16": (-(2**15), 2**15 - 1),
    "i32": (-(2**31), 2**31 - 1),
    "u8": (0, 2**8 - 1),
    "u16": (0, 2**16 - 1),
    "u32": (0, 2**32 - 1),
}
_BIGINT = (-(2**63), 2**63 - 1)


@dataclass(frozen=True)
class ResolvedType:
    """A column's type with the limits that its physical type implies."""

    type: ColumnType
    precision: int = 18
    scale: int = 2
    max_length: int | None = None
    integer_range: tuple[int, int] | None = None


def resolve(prop: SchemaProperty, path: str, findings: Findings) -> ResolvedType | None:
    """The column type of a property, or None when it has none; adds the reason to `findings`."""
    logical = prop.logicalType
    if logical not in _TYPES:
        known = ", ".join(sorted(_TYPES))
        what = f"the type '{logical}' cannot be loaded" if logical else "no logicalType"
        findings.add(f"{path}.logicalType", what, f"use one of {known}")
        return None
    if prop.physicalType is None:
        return _without_physical(prop, path, findings)
    named = _PHYSICAL.fullmatch(prop.physicalType)
    name = " ".join(named[1].lower().split()) if named else prop.physicalType
    if named is None or name not in _TYPES[logical]:
        what = f"'{prop.physicalType}' is no physical type of a {logical}"
        findings.add(f"{path}.physicalType", what, nearest(name, _TYPES[logical]))
        return None
    kind = _TYPES[logical][name]
    arguments = [int(group) for group in named.groups()[1:] if group is not None]
    _check_options(prop, kind, path, findings)
    if kind is ColumnType.NUMBER:
        return _numeric(arguments, path, findings)
    if arguments and (kind is not ColumnType.TEXT or len(arguments) > 1):
        findings.add(f"{path}.physicalType", f"{name} takes no such numbers in parentheses", f"write {name} alone")
    return ResolvedType(
        kind,
        max_length=arguments[0] if arguments and kind is ColumnType.TEXT else None,
        integer_range=_integer_range(prop, name),
    )


def _without_physical(prop: SchemaProperty, path: str, findings: Findings) -> ResolvedType | None:
    options = prop.logicalTypeOptions or {}
    logical = str(prop.logicalType)
    if logical == "number":
        if options.get("format") in {"f32", "f64"}:
            return ResolvedType(ColumnType.FLOAT)
        remedy = "add physicalType: numeric(12,2) for exact values, or double precision for measured ones"
        findings.add(path, "a number without a physicalType has no precision", remedy)
        return None
    if logical == "string" and options.get("format") == "uuid":
        return ResolvedType(ColumnType.UUID)
    if logical == "timestamp" and options.get("timezone") is True:
        return ResolvedType(ColumnType.TIMESTAMPTZ)
    return ResolvedType(_DEFAULTS[logical], integer_range=_integer_range(prop, "bigint"))


def _check_options(prop: SchemaProperty, kind: ColumnType, path: str, findings: Findings) -> None:
    """Refuse options that contradict physicalType."""
    options = prop.logicalTypeOptions or {}
    zoned = options.get("timezone")
    if isinstance(zoned, bool) and zoned is not (kind is ColumnType.TIMESTAMPTZ):
        remedy = "write timestamptz for times with a zone, timestamp with timezone: false for times without"
        findings.add(f"{path}.logicalTypeOptions.timezone", f"contradicts physicalType {prop.physicalType}", remedy)
    form = options.get("format")
    if kind is ColumnType.TEXT and form == "uuid":
        remedy = "write physicalType: uuid"
        findings.add(f"{path}.logicalTypeOptions.format", f"contradicts physicalType {prop.physicalType}", remedy)
    if kind is ColumnType.NUMBER and form in {"f32", "f64"}:
        remedy = "write physicalType: double precision, or remove the format"
        findings.add(f"{path}.logicalTypeOptions.format", f"contradicts physicalType {prop.physicalType}", remedy)


def _numeric(arguments: list[int], path: str, findings: Findings) -> ResolvedType:
    if not arguments:
        remedy = "write numeric(12,2): 12 digits in all, 2 of them after the point"
        findings.add(f"{path}.physicalType", "numeric without precision", remedy)
        return ResolvedType(ColumnType.NUMBER)
    precision, scale = arguments[0], arguments[1] if len(arguments) > 1 else 0
    if not 1 <= precision <= MAX_PRECISION or scale > precision:
        remedy = f"precision from 1 to {MAX_PRECISION}, scale from 0 to the precision"
        findings.add(f"{path}.physicalType", f"numeric({precision},{scale}) cannot be stored", remedy)
        return ResolvedType(ColumnType.NUMBER)
    return ResolvedType(ColumnType.NUMBER, precision, scale)


def _integer_range(prop: SchemaProperty, physical: str) -> tuple[int, int] | None:
    form = str((prop.logicalTypeOptions or {}).get("format", ""))
    if prop.logicalType != "integer":
        return None
    narrowest = [_INTEGER_RANGES[name] for name in (physical, form) if name in _INTEGER_RANGES]
    return (max(low for low, _ in narrowest), min(high for _, high in narrowest)) if narrowest else None


def bound_text(value: object) -> str:
    """A bound as text for the compiled contract: numbers without exponent, texts unchanged."""
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return str(value)


def parse_bound(text: str, column: Column) -> Decimal | date | datetime:
    """The value of a bound in its column's type.

    Raises:
        ValueError: it is not of that type; the message gives the correct form.
    """
    match column.type:
        case ColumnType.DATE:
            try:
                return date.fromisoformat(text)
            except ValueError as error:
                message = "write a date as 2026-01-31, in quotes"
                raise ValueError(message) from error
        case ColumnType.TIMESTAMP | ColumnType.TIMESTAMPTZ:
            return _moment(text, zoned=column.type is ColumnType.TIMESTAMPTZ)
        case _:
            return _number(text, column)


def _moment(text: str, *, zoned: bool) -> datetime:
    shape = "2026-01-31T12:00:00Z, with a zone" if zoned else "2026-01-31T12:00:00, without a zone"
    message = f"write a time as {shape}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(message) from error
    if (moment.tzinfo is not None) is not zoned:
        raise ValueError(message)
    return moment


def _number(text: str, column: Column) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite():
        message = "write a number"
        raise ValueError(message)
    if column.type is ColumnType.INTEGER and (value != int(value) or not _BIGINT[0] <= value <= _BIGINT[1]):
        message = "write a whole number of at most 64 bits"
        raise ValueError(message)
    if column.type is ColumnType.NUMBER and abs(value) >= Decimal(10) ** (column.precision - column.scale):
        message = f"write a number that {column.postgres_type} can hold, or leave the bound out"
        raise ValueError(message)
    return value

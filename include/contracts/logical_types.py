"""Translates the standard's logical and physical types into a column type, and parses bounds.

What belongs here: the names of types in a contract, and the limits that they imply. What does not: the other options
of a column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from include.contracts.problems import nearest
from include.contracts.types import TYPES, ColumnType

if TYPE_CHECKING:
    from datetime import date

    from open_data_contract_standard.model import SchemaProperty

    from include.contracts.model import Column
    from include.contracts.problems import Findings

MAX_PRECISION = 38
_PHYSICAL = re.compile(r"\s*([a-z][a-z0-9 ]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?\s*", re.IGNORECASE)

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
    kinds = [kind for kind in TYPES.values() if logical in kind.logical]
    if not kinds:
        known = ", ".join(sorted({name for kind in TYPES.values() for name in kind.logical}))
        what = f"the type '{logical}' cannot be loaded" if logical else "no logicalType"
        findings.add(f"{path}.logicalType", what, f"use one of {known}")
        return None
    if prop.physicalType is None:
        return _without_physical(prop, kinds, path, findings)
    named = _PHYSICAL.fullmatch(prop.physicalType)
    name = " ".join(named[1].lower().split()) if named else prop.physicalType
    by_name = {one: kind for kind in kinds for one in kind.physical}
    if named is None or name not in by_name:
        what = f"'{prop.physicalType}' is no physical type of a {logical}"
        findings.add(f"{path}.physicalType", what, nearest(name, by_name))
        return None
    kind = by_name[name]
    arguments = [int(group) for group in named.groups()[1:] if group is not None]
    _check_options(prop, kind, kinds, path, findings)
    if kind.has_scale:
        return _numeric(kind, arguments, path, findings)
    if arguments and (not kind.is_text or len(arguments) > 1):
        findings.add(f"{path}.physicalType", f"{name} takes no such numbers in parentheses", f"write {name} alone")
    return ResolvedType(
        kind,
        max_length=arguments[0] if arguments and kind.is_text else None,
        integer_range=_integer_range(prop, name),
    )


def _without_physical(
    prop: SchemaProperty, kinds: list[ColumnType], path: str, findings: Findings
) -> ResolvedType | None:
    options = prop.logicalTypeOptions or {}
    zoned = options.get("timezone") is True
    for kind in kinds:
        if options.get("format") in kind.formats or (zoned and kind.has_zone):
            return ResolvedType(kind)
    for kind in kinds:
        if kind.is_default:
            return ResolvedType(kind, integer_range=_integer_range(prop, kind.physical[0]))
    remedy = "add physicalType: numeric(12,2) for exact values, or double precision for measured ones"
    findings.add(path, "a number without a physicalType has no precision", remedy)
    return None


def _check_options(
    prop: SchemaProperty, kind: ColumnType, kinds: list[ColumnType], path: str, findings: Findings
) -> None:
    """Refuse options that contradict physicalType: those that mean another of the `kinds` with this logicalType."""
    options = prop.logicalTypeOptions or {}
    zoned = options.get("timezone")
    if isinstance(zoned, bool) and zoned is not kind.has_zone:
        remedy = "write timestamptz for times with a zone, timestamp with timezone: false for times without"
        findings.add(f"{path}.logicalTypeOptions.timezone", f"contradicts physicalType {prop.physicalType}", remedy)
    for meant in kinds:
        if meant is not kind and options.get("format") in meant.formats:
            remedy = f"write physicalType: {meant.physical[0]}" + (", or remove the format" if kind.is_number else "")
            findings.add(f"{path}.logicalTypeOptions.format", f"contradicts physicalType {prop.physicalType}", remedy)


def _numeric(kind: ColumnType, arguments: list[int], path: str, findings: Findings) -> ResolvedType:
    if not arguments:
        remedy = "write numeric(12,2): 12 digits in all, 2 of them after the point"
        findings.add(f"{path}.physicalType", "numeric without precision", remedy)
        return ResolvedType(kind)
    precision, scale = arguments[0], arguments[1] if len(arguments) > 1 else 0
    if not 1 <= precision <= MAX_PRECISION or scale > precision:
        remedy = f"precision from 1 to {MAX_PRECISION}, scale from 0 to the precision"
        findings.add(f"{path}.physicalType", f"numeric({precision},{scale}) cannot be stored", remedy)
        return ResolvedType(kind)
    return ResolvedType(kind, precision, scale)


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


def parse_bound(text: str, column: Column) -> Decimal | date:
    """The value of a bound in its column's type.

    Raises:
        ValueError: it is not of that type; the message gives the correct form.
    """
    return column.type.parse_bound(text, column)

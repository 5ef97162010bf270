"""Gives a good record one fault.

What belongs here: for each kind, which column it applies to and which value it writes. What does not: choosing the
rows and writing them (`writer`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

import duckdb

from include.contracts.expressions import literal, quoted
from include.contracts.logical_types import parse_bound
from include.contracts.types import ColumnType
from include.errors import Code
from include.samples.badness import DESCRIPTIONS, BadKind, SampleError

if TYPE_CHECKING:
    from include.contracts.model import Column, Contract
    from include.samples.records import FileColumn, TextFormat

LONG_LINE_BYTES = 50 * 1024**2
Row: TypeAlias = Mapping[str, str | None]  # a row's values as text, by column
MakeFault: TypeAlias = "Callable[[Contract, Column, Row], CellFault | None]"


@dataclass(frozen=True)
class CellFault:
    """A value that replaces the good one in a column; None is null."""

    column: str
    value: str | None
    code: Code


_CODES_OF_LINES = {
    BadKind.TOO_MANY_FIELDS: Code.TOO_MANY_FIELDS,
    BadKind.TOO_FEW_FIELDS: Code.TOO_FEW_FIELDS,
    BadKind.BROKEN_QUOTE: Code.BROKEN_QUOTE,
    BadKind.BAD_ROW_JSON: Code.BAD_ROW_JSON,
    BadKind.NOT_AN_OBJECT: Code.NOT_AN_OBJECT,
    BadKind.NOT_UTF8: Code.BAD_ENCODING,
    BadKind.LONG_LINE: Code.ROW_TOO_LONG,
}
LINE_KINDS = frozenset(_CODES_OF_LINES)


def line_fault(kind: BadKind, columns: list[FileColumn], fields: list[str], form: TextFormat) -> tuple[bytes, Code]:
    """A whole bad record: its bytes and the expected code, which is about the row and not about a column."""
    code = _CODES_OF_LINES[kind]
    texts = [index for index, column in enumerate(columns) if column.type.is_text]
    if kind in {BadKind.BROKEN_QUOTE, BadKind.NOT_UTF8, BadKind.LONG_LINE} and not texts:
        raise _not_possible(kind, "it has no text column")
    free = [index for index in texts if (known := columns[index].column) and not known.allowed and not known.pattern]
    at = (free or texts or [0])[-1]
    match kind:
        case BadKind.TOO_MANY_FIELDS:
            return form.record(columns, [*fields, "surplus"]).encode(), code
        case BadKind.TOO_FEW_FIELDS:
            return form.record(columns, fields[:-1]).encode(), code
        case BadKind.BROKEN_QUOTE:
            struck = _replaced(fields, at, '"broken"quote')
            return form.record(columns, struck).encode(), code
        case BadKind.BAD_ROW_JSON:
            whole = form.record(columns, fields)
            return whole[: len(whole) // 2].encode(), code
        case BadKind.NOT_AN_OBJECT:
            return b"[1, 2, 3]", code
        case BadKind.LONG_LINE:
            struck = _replaced(fields, at, form.field("x" * LONG_LINE_BYTES, ColumnType.TEXT))
            return form.record(columns, struck).encode(), code
        case _:  # NOT_UTF8
            struck = _replaced(fields, at, form.field("caf@@", ColumnType.TEXT))
            return form.record(columns, struck).encode().replace(b"caf@@", b"caf\xff\xc3\xa9"), code


def cell_fault(kind: BadKind, contract: Contract, names: set[str], row: Row) -> CellFault:
    """The bad value of a row, in the first column that this kind applies to.

    Args:
        kind: a kind that changes one value.
        contract: with the columns and rules.
        names: the columns of the file.
        row: the good row's values as text, by column.

    Raises:
        SampleError: the kind applies to no column of the contract.
    """
    if kind is BadKind.RULE_BROKEN:
        return _broken_rule(contract, names, row)
    make = _CELLS[kind]
    columns = [column for column in contract.source_columns if column.name in names]
    # a bad key is a different row: key columns come last
    for column in sorted(columns, key=lambda column: column.name in contract.key):
        fault = make(contract, column, row)
        if fault is not None:
            return fault
    raise _not_possible(kind, "none of its columns can")


def _unreadable(*codes: Code) -> MakeFault:
    """A text that is not of the column's type, for types whose code is one of `codes`."""

    def make(_: Contract, column: Column, __: Row) -> CellFault | None:
        bad = column.type.bad
        return CellFault(column.name, *bad) if bad and bad[1] in codes else None

    return make


def _too_many_decimals(__: Contract, column: Column, row: Row) -> CellFault | None:
    if not column.type.has_scale:
        return None
    # the value still rounds to the good one, so nothing else is wrong with the row
    whole, _, fraction = (row[column.name] or "1").partition(".")
    return CellFault(column.name, f"{whole}.{fraction.ljust(column.scale, '0')}01", Code.TOO_MANY_DECIMALS)


def _missing_key(contract: Contract, column: Column, __: Row) -> CellFault | None:
    return CellFault(column.name, None, Code.MISSING_VALUE) if column.name in contract.key else None


def _not_in_list(_: Contract, column: Column, __: Row) -> CellFault | None:
    if not column.allowed:
        return None
    return CellFault(column.name, "Nonsense" if column.type.is_text else "-999999", Code.NOT_IN_LIST)


def _too_long(_: Contract, column: Column, __: Row) -> CellFault | None:
    if column.max_length is None or column.pattern or column.allowed:
        return None
    return CellFault(column.name, "x" * (column.max_length + 1), Code.TOO_LONG)


def _pattern_mismatch(_: Contract, column: Column, __: Row) -> CellFault | None:
    if column.pattern is None:
        return None
    length = max(column.min_length or 1, 1)
    return CellFault(column.name, ("?" * length)[: column.max_length], Code.PATTERN_MISMATCH)


def _out_of_range(_: Contract, column: Column, __: Row) -> CellFault | None:
    if column.minimum is None and column.maximum is None:
        return None
    below = column.minimum is not None
    bound = parse_bound((column.minimum if below else column.maximum) or "", column)
    if isinstance(bound, Decimal):
        step = Decimal(1).scaleb(-column.scale) if column.type.has_scale else Decimal(1)
        return CellFault(column.name, format(bound - step if below else bound + step, "f"), Code.OUT_OF_RANGE)
    day = timedelta(days=1)
    return CellFault(column.name, _outside(bound, -day if below else day), Code.OUT_OF_RANGE)


def _outside(bound: date, step: timedelta) -> str:
    return (bound + step).isoformat()


_CELLS: dict[BadKind, MakeFault] = {
    BadKind.BAD_DATE: _unreadable(Code.BAD_DATE),
    BadKind.BAD_TIMESTAMP: _unreadable(Code.BAD_TIMESTAMP),
    BadKind.TEXT_IN_NUMBER: _unreadable(Code.BAD_INTEGER, Code.BAD_NUMBER),
    BadKind.TOO_MANY_DECIMALS: _too_many_decimals,
    BadKind.BAD_BOOLEAN: _unreadable(Code.BAD_BOOLEAN),
    BadKind.BAD_UUID: _unreadable(Code.BAD_UUID),
    BadKind.BAD_JSON: _unreadable(Code.BAD_JSON),
    BadKind.MISSING_KEY: _missing_key,
    BadKind.NOT_IN_LIST: _not_in_list,
    BadKind.OUT_OF_RANGE: _out_of_range,
    BadKind.TOO_LONG: _too_long,
    BadKind.PATTERN_MISMATCH: _pattern_mismatch,
}


def _broken_rule(contract: Contract, names: set[str], row: Row) -> CellFault:
    """Try values near the good one until DuckDB calculates the rule as false."""
    for rule in contract.row_rules:
        columns = [rule.column] if rule.column else [column.name for column in contract.source_columns]
        for name in columns:
            column = contract.by_name[name]
            if name not in names or name in contract.key or not column.is_sent:
                continue
            for candidate in _candidates(column, contract, row):
                if _is_broken(rule.expression, contract, {**row, name: candidate}):
                    return CellFault(name, candidate, Code.RULE_BROKEN)
    raise _not_possible(BadKind.RULE_BROKEN, "no row rule can be broken by changing one number or date")


def _candidates(column: Column, contract: Contract, row: Row) -> list[str]:
    """Other values of a column that its own bounds allow."""
    found: list[str] = []
    if column.type.is_number:
        known = [Decimal(value) for name, value in row.items() if value and contract.by_name[name].type.is_number]
        good = Decimal(row[column.name] or 0)
        found = [format(value, "f") for value in (good + 1, good - 1, *(n + 1 for n in known), *(n - 1 for n in known))]
        if column.type.is_whole:
            found = [text for text in found if Decimal(text) == int(Decimal(text))]
    elif column.type.is_day:
        known_days = [value for name, value in row.items() if value and contract.by_name[name].type.is_day]
        found = [_outside(date.fromisoformat(d), timedelta(days=s)) for d in known_days for s in (1, -1)]
    elif column.type.is_text:
        found = list(column.allowed)
    return [text for text in found if _within(text, column)]


def _within(text: str, column: Column) -> bool:
    if not column.is_ordered:
        return True
    value = parse_bound(text, column)
    low = parse_bound(column.minimum, column) if column.minimum is not None else None
    high = parse_bound(column.maximum, column) if column.maximum is not None else None
    above = low is None or (value > low if column.exclusive_minimum else value >= low)  # type: ignore[operator]
    below = high is None or (value < high if column.exclusive_maximum else value <= high)  # type: ignore[operator]
    return bool(above and below)


def _is_broken(expression: str, contract: Contract, row: Row) -> bool:
    values = ", ".join(
        f"CAST({'NULL' if value is None else literal(value)} AS {column.duckdb_type}) AS {quoted(column.name)}"
        for column, value in ((contract.by_name[name], value) for name, value in row.items())
    )
    derived = [
        f"CAST(({c.derived}) AS {c.duckdb_type}) AS {quoted(c.name)}" for c in contract.columns if c.derived is not None
    ]
    source = f"SELECT {', '.join(['*', *derived])} FROM (SELECT {values})"
    answer = duckdb.execute(f"SELECT ({expression}) FROM ({source})").fetchone()
    return answer is not None and answer[0] is False


def _replaced(fields: list[str], at: int, value: str) -> list[str]:
    return [*fields[:at], value, *fields[at + 1 :]]


def _not_possible(kind: BadKind, reason: str) -> SampleError:
    return SampleError(f"this dataset cannot have {kind} ({DESCRIPTIONS[kind]}): {reason}")

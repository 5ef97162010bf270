"""Keys from numbers: every ordinal has its own key, for any key columns.

What belongs here: how many keys a contract can have, and key number `o` as DuckDB expressions, with the SQL parts that
`values` uses too. What does not: values of other columns (`values`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from math import gcd, prod
from typing import TYPE_CHECKING

from include.contracts.expressions import literal
from include.contracts.logical_types import parse_bound
from include.contracts.types import SampleKind
from include.samples.badness import SampleError
from include.samples.patterns import UnsupportedPatternError, positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.contracts.model import Column, Contract

FIRST_DAY = date(2024, 1, 1)
UNBOUNDED = 2**62
_KEY_DAYS = 7_000
_BELOW_ZERO = 1_000
_ROOM_FOR_PREFIX = 8


def key_capacity(contract: Contract) -> int:
    """How many different keys the contract's key columns can have; any number if each row is its own key."""
    return UNBOUNDED if contract.appends else prod(_capacity(column) for column in contract.key_columns)


def check_keys(contract: Contract, different: int, repeated: int) -> None:
    """Refuse a sample whose rows cannot have so many different keys, or repeat a key.

    Raises:
        SampleError: they cannot.
    """
    if different > key_capacity(contract):
        message = f"the key of {contract.dataset} has only {key_capacity(contract):,} different values"
        raise SampleError(message)
    if repeated and contract.appends:
        message = f"{contract.dataset} has no key that two rows could share"
        raise SampleError(message)


def epoch_seconds(day: date) -> int:
    """The day's first second, UTC, since 1970."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def key_expression(contract: Contract, column: Column) -> str:
    """The column's part of key number `o`: the first key column counts fastest."""
    divisor = 1
    for name in contract.key:
        if name == column.name:
            break
        divisor *= _capacity(contract.by_name[name])
    capacity = _capacity(column)
    number = f"(o // {divisor})" if divisor > 1 else "o"
    if capacity < UNBOUNDED:
        number = f"({number} % {capacity})"
    match column.type.samples:
        case SampleKind.TEXT if column.allowed:
            return f"{sql_list(column.allowed)}[1 + {number}]"
        case SampleKind.TEXT if column.pattern:
            spread = f"(({number} * {_coprime(capacity)}) % {capacity})" if capacity < 2**31 else number
            return spelled(column, spread)
        case SampleKind.TEXT:
            return f"{literal(prefix(column))} || lpad(({number})::VARCHAR, {_digits(column)}, '0')"
        case SampleKind.UUID:
            return f"md5(concat('key ', {number}))::UUID"
        case SampleKind.DAY:
            return f"DATE '{FIRST_DAY}' + ({number})::INTEGER"
        case SampleKind.MOMENT:
            return f"make_timestamp(({epoch_seconds(FIRST_DAY)} + {number}) * 1000000)"
        case SampleKind.BOOLEAN:
            return f"{number} = 1"
        case SampleKind.LISTED:
            return f"{sql_list(column.type.examples)}[1 + {number}]"
        case _:
            low, _ = bounds(column, 0)
            return f"{low} + {number}"


def _capacity(column: Column) -> int:
    low, high = bounds(column, 0) if column.type.is_whole or column.type.has_scale else (0, None)
    match column.type.samples:
        case SampleKind.TEXT if column.allowed:
            return len(column.allowed)
        case SampleKind.TEXT if column.pattern:
            return min(prod(len(choice) for choice in _choices(column)), UNBOUNDED)
        case SampleKind.TEXT:
            return int(min(10 ** _digits(column), UNBOUNDED))
        case SampleKind.BOOLEAN:
            return 2
        case SampleKind.DAY:
            return _KEY_DAYS
        case SampleKind.DECIMAL if column.type.has_scale:
            most = 10 ** (column.precision - column.scale) - 1
            return int(min(min(high, most) if high is not None else most, UNBOUNDED) - low + 1)
        case SampleKind.INTEGER:
            return min((high if high is not None else UNBOUNDED) - low + 1, UNBOUNDED)
        case SampleKind.LISTED:
            return len(column.type.examples)
        case _:
            return UNBOUNDED


def bounds(column: Column, digits: int) -> tuple[int, int | None]:
    """Least and greatest value in units of the last digit; a missing minimum is 0 unless the maximum is below."""
    unit = Decimal(1).scaleb(-digits)

    def units(text: str | None) -> int | None:
        value = parse_bound(text, column) if text is not None else None
        return int(value / unit) if isinstance(value, Decimal) else None

    low, high = units(column.minimum), units(column.maximum)
    if low is not None and (column.exclusive_minimum or Decimal(low) * unit < Decimal(column.minimum or 0)):
        low += 1
    if high is not None and column.exclusive_maximum and Decimal(high) * unit == Decimal(column.maximum or 0):
        high -= 1
    if low is None:
        low = 0 if high is None or high >= 0 else high - _BELOW_ZERO
    return low, high


def _choices(column: Column) -> list[str]:
    try:
        return positions(column.pattern or "")
    except UnsupportedPatternError as error:
        message = f"{column.name}: {error}; give the column a custom property 'sample'"
        raise SampleError(message) from error


def spelled(column: Column, number: str) -> str:
    """The text of a pattern with this number; the last position counts fastest."""
    parts: list[str] = []
    divisor = 1
    for choice in reversed(_choices(column)):
        if len(choice) == 1 or divisor >= UNBOUNDED:
            parts.append(literal(choice[0]))
            continue
        parts.append(f"substr({literal(choice)}, 1 + (({number} // {divisor}) % {len(choice)})::BIGINT, 1)")
        divisor *= len(choice)
    return " || ".join(reversed(parts)) or "''"


def prefix(column: Column) -> str:
    """The first letter of a column's made-up identifiers; empty if the column is too short for it."""
    return "" if column.max_length is not None and column.max_length < _ROOM_FOR_PREFIX else column.name[0].upper()


def _digits(column: Column) -> int:
    return min(10, (column.max_length or 64) - len(prefix(column)))


def _coprime(number: int) -> int:
    """A multiplier near the golden ratio that is coprime to the number, so that it visits every residue once."""
    factor = max(int(number * 0.6180339887), 1)
    while gcd(factor, number) != 1:
        factor += 1
    return factor


def sql_list(items: Sequence[str]) -> str:
    """A DuckDB list of texts."""
    return f"[{', '.join(map(literal, items))}]"


def bigint(expression: str) -> str:
    """The expression as a signed number."""
    return f"CAST({expression} AS BIGINT)"

"""DuckDB expressions that generate a column's values.

What belongs here: one expression a column, over the ordinal `o` of a row's key and its revision `r`. The same
ordinal always has the same key; all other columns but the newest-by column change with version and revision.
What does not: which rows a file has and how they are written (`writer`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from include.contracts.expressions import literal, quoted
from include.contracts.logical_types import parse_bound
from include.contracts.types import SampleKind
from include.samples.keys import (
    FIRST_DAY,
    UNBOUNDED,
    bigint,
    bounds,
    epoch_seconds,
    key_expression,
    prefix,
    spelled,
    sql_list,
)
from include.samples.project_data import project_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.contracts.model import Column, Contract

DAYS = 700
REVISIONS = 16  # rows of one key in a file; with more, a revision would be newer than the next version
_NUMBER_RANGE = 1000
_INTEGER_RANGE = 100
_FIRST_NAMES = [
    "Ada",
    "Alan",
    "Barbara",
    "Chloé",
    "Edsger",
    "Grace",
    "Hedy",
    "José",
    "Katherine",
    "Linus",
    "Niklaus",
    "Radia",
    "Renée",
    "Søren",
    "Tim",
    "Zoë",
]
_LAST_NAMES = [
    "Curie",
    "Dijkstra",
    "García",
    "Hamilton",
    "Hopper",
    "Knuth",
    "Lamarr",
    "Liskov",
    "Lovelace",
    "Müller",
    "Perlman",
    "Torvalds",
    "Turing",
]
_WORDS = [
    "amber",
    "basil",
    "cedar",
    "delta",
    "ember",
    "fable",
    "grove",
    "harbor",
    "indigo",
    "juniper",
    "kettle",
    "lumen",
    "meadow",
    "nectar",
    "orchid",
]


@dataclass(frozen=True)
class Vintage:
    """What distinguishes two samples of a contract: the seed and the version of the rows."""

    seed: int = 1
    version: int = 1


def source_query(contract: Contract, vintage: Vintage, rows_from: str, columns: list[Column]) -> str:
    """A query that yields `columns` for every row (p, o, r) of `rows_from`, in its order."""
    known = project_values(contract, vintage.seed, vintage.version)
    made = [
        (column, known.get(column.name) or _expression(contract, column, index, vintage))
        for index, column in enumerate(contract.columns)
    ]
    base = ", ".join(
        f"CAST({expression} AS {column.duckdb_type}) AS {quoted(column.name)}"
        for column, expression in made
        if column.is_sent
    )
    query = f"SELECT p, {base} FROM {rows_from}"
    for column in contract.source_columns:
        if column.sample is not None:
            hint = f"CAST(({column.sample}) AS {column.duckdb_type})"
            query = f"SELECT * REPLACE ({hint} AS {quoted(column.name)}) FROM ({query})"
    names = ", ".join(["p", *(quoted(column.name) for column in columns)])
    return f"SELECT {names} FROM ({query})"


def _expression(contract: Contract, column: Column, index: int, vintage: Vintage) -> str:
    if column.name == contract.newest_by:
        return _newest(column, vintage)
    if column.name in contract.key:
        return key_expression(contract, column)
    salt = f"{vintage.seed * 1_000_003 + vintage.version * 1_009 + index}"
    value = _value(column, f"hash(o, r, {salt})")
    if column.required:
        return value
    return f"CASE WHEN hash(o, r, {salt}, 7) % 8 > 0 THEN {value} END"


def _newest(column: Column, vintage: Vintage) -> str:
    """Strictly later for every later version and revision of the same ordinal."""
    later = f"{REVISIONS * vintage.version} + r"
    drawn = f"hash(o, {vintage.seed})"
    match column.type.samples:
        case SampleKind.DAY:
            return f"DATE '{FIRST_DAY}' + ({later} + {bigint(f'{drawn} % {DAYS}')})::INTEGER"
        case SampleKind.MOMENT:
            start = epoch_seconds(FIRST_DAY)
            seconds = f"({later}) * 43200 + {bigint(f'{drawn} % 43200')}"
            return f"make_timestamp(({start} + {seconds}) * 1000000)"
        case _:
            return later


def _value(column: Column, drawn: str) -> str:
    match column.type.samples:
        case SampleKind.TEXT:
            return _text(column, drawn)
        case SampleKind.INTEGER:
            low, high = bounds(column, 0)
            top = min(high, low + _INTEGER_RANGE - 1) if high is not None else low + _INTEGER_RANGE - 1
            if column.allowed:
                return f"{sql_list(column.allowed)}[1 + {bigint(f'{drawn} % {len(column.allowed)}')}]"
            return f"{low} + {bigint(f'{drawn} % {max(top - low + 1, 1)}')}"
        case SampleKind.DECIMAL:
            return _number(column, drawn)
        case SampleKind.BOOLEAN:
            return f"{drawn} % 2 = 0"
        case SampleKind.DAY:
            first, days = _days(column)
            return f"DATE '{first}' + {bigint(f'{drawn} % {days}')}::INTEGER"
        case SampleKind.MOMENT:
            first, days = _days(column)
            start = epoch_seconds(first)
            return f"make_timestamp(({start} + {bigint(f'{drawn} % {days * 86400}')}) * 1000000)"
        case SampleKind.UUID:
            return f"md5({drawn}::VARCHAR)::UUID"
        case SampleKind.DOCUMENT:
            if column.examples:
                return f"{sql_list(column.examples)}[1 + {bigint(f'{drawn} % {len(column.examples)}')}]"
            return f"json_object('level', {drawn} % 9, 'colour', {_one_of(_WORDS, drawn)}, 'tags', ['new', 'heavy'])"
        case SampleKind.LISTED:
            return _one_of(column.type.examples, drawn)


def _text(column: Column, drawn: str) -> str:
    if column.allowed:
        return _one_of(column.allowed, drawn)
    if column.pattern:
        return spelled(column, bigint(f"{drawn} % {UNBOUNDED}"))
    if len(column.examples) > 1:
        value = _one_of(column.examples, drawn)
    elif column.name.endswith("_name"):
        value = f"{_one_of(_FIRST_NAMES, drawn)} || ' ' || {_one_of(_LAST_NAMES, f'({drawn} // 64)')}"
    elif column.name.endswith("_id"):
        value = f"{literal(prefix(column))} || lpad(({drawn} % 100000)::VARCHAR, 6, '0')"
    else:
        value = f"{_one_of(_WORDS, drawn)} || ' ' || {_one_of(_WORDS, f'({drawn} // 64)')}"
    if column.max_length is not None:
        value = f"rtrim(left({value}, {column.max_length}))"
    if column.min_length:
        value = f"rpad({value}, greatest(length({value}), {column.min_length})::INTEGER, 'x')"
    return value


def _number(column: Column, drawn: str) -> str:
    digits = min(column.scale, 6) if column.type.has_scale else 3
    low, high = bounds(column, digits)
    top = low + _NUMBER_RANGE * 10**digits
    if column.type.has_scale:
        top = min(top, 10 ** (column.precision - column.scale + digits) - 1)
    if high is not None:
        top = min(top, high)
    units = f"({low} + {bigint(f'{drawn} % {max(top - low + 1, 1)}')})"
    return f"{units} / {10**digits}.0" if digits else units


def _days(column: Column) -> tuple[date, int]:
    """First day and number of days to draw from, inside the bounds."""
    bounds = [parse_bound(text, column) if text is not None else None for text in (column.minimum, column.maximum)]
    low, high = (bound.date() if isinstance(bound, datetime) else bound for bound in bounds)
    first, last = FIRST_DAY, FIRST_DAY + timedelta(days=DAYS - 1)
    if isinstance(low, date) and first <= low:
        first = low + timedelta(days=1)
        last = max(last, first + timedelta(days=DAYS - 1))
    if isinstance(high, date):
        last = min(last, high - timedelta(days=1))
        if first > last:
            first = max(last - timedelta(days=DAYS), low) if isinstance(low, date) else last - timedelta(days=DAYS)
    return first, max((last - first).days + 1, 1)


def _one_of(items: Sequence[str], drawn: str) -> str:
    return f"{sql_list(items)}[1 + {bigint(f'{drawn} % {len(items)}')}]"

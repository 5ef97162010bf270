"""The messages of rejects: what is wrong with a cell or row, the value, and what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.errors import Code, visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.contracts.model import Column, Contract

_SHOWN = 80
_UNKNOWN_MESSAGES = {
    Code.BAD_TEXT: "A column that the contract does not name holds a NUL character, which no text column can keep.",
    Code.BAD_JSON: (
        "What the contract does not name cannot be kept as JSON: a NUL character, a number beyond PostgreSQL's, depth."
    ),
}


def explain(code: Code, contract: Contract, column: str | None, text: str | None) -> str:
    """The message of a reject for a cell, or for columns that the contract does not name: one sentence, on one line."""
    if column is None:
        return _UNKNOWN_MESSAGES[code]
    return visible(_cell_message(code, contract.by_name[column], _shown(text)))


def explain_rule(contract: Contract, name: str, row: Mapping[str, object]) -> str:
    """The message for a row that breaks the rule of that name; `row` has its typed values."""
    rule = next(rule for rule in contract.row_rules if rule.name == name)
    used = [column.name for column in contract.source_columns if column.name in rule.expression]
    values = ", ".join(f"{column} = {row.get(column)}" for column in used)
    return visible(f"Not so: {(rule.description or rule.name).rstrip('.')} ({rule.name}): {values}.")


def explain_derivation(
    contract: Contract, column: Column, raw: str | None, row: Mapping[str, object], *, is_made: bool
) -> str:
    """The message for a derived column: it cannot be calculated, or the column may not have the value `raw`."""
    if is_made and raw is None:
        return visible(f"{column.name} is required, and {column.derived} comes out empty.")
    if is_made:
        return visible(
            f"{column.name} is {_shown(raw)}, which {column.postgres_type} with the contract's limits cannot hold "
            "unchanged; nothing is rounded or cut."
        )
    used = [one.name for one in contract.source_columns if one.name in str(column.derived)]
    values = ", ".join(f"{name} = {str(row.get(name))[:_SHOWN]}" for name in used)
    return visible(f"{column.name} cannot be calculated as {column.derived}{f': {values}' if values else ''}.")


def explain_unwritable(code: Code, name: str) -> str:
    """The message for a cell of a Parquet file that cannot be written as text; `name` is its column in the file."""
    if code is Code.BAD_ENCODING:
        return visible(f"{name} holds bytes that are not UTF-8; write text as UTF-8.")
    return visible(f"{name} holds a value that its type does not have, such as a time of day after 24 hours.")


def _cell_message(code: Code, column: Column, value: str) -> str:
    match code:
        case Code.MISSING_VALUE:
            return f"{column.name} is required and empty."
        case Code.BAD_INTEGER:
            return f"{value} is not a whole number."
        case Code.BAD_NUMBER:
            return f"{value} is not a number."
        case Code.BAD_BOOLEAN:
            return f"{value} is neither true nor false (true, t, yes, y, 1; false, f, no, n, 0)."
        case Code.BAD_DATE:
            return f"{value} is not a date; write YYYY-MM-DD{_or_formats(column)}."
        case Code.BAD_TIMESTAMP:
            zone = " with an offset such as Z or +02:00" if column.type.has_zone else " without an offset"
            return f"{value} is not a time; write YYYY-MM-DDTHH:MM:SS{zone}{_or_formats(column)}."
        case Code.BAD_UUID:
            return f"{value} is not a UUID."
        case Code.BAD_JSON:
            return (
                f"{value} is not JSON that jsonb keeps: it is broken, has NaN, a key twice, a NUL character, a number "
                "beyond PostgreSQL's, or over 200 levels."
            )
        case Code.BAD_TEXT:
            return f"{value} holds a NUL character, which no text column can keep."
        case Code.OUT_OF_RANGE:
            return f"{value} is out of range{_range(column)}."
        case Code.TOO_MANY_DECIMALS:
            return f"{value} has more than {column.scale} decimals; it is not rounded silently."
        case Code.TOO_SHORT:
            return f"{value} has fewer than {column.min_length} characters."
        case Code.TOO_LONG:
            return f"{value} has more than {column.max_length} characters."
        case Code.NOT_IN_LIST:
            return f"{value} is not one of: {', '.join(column.allowed)}."
        case Code.PATTERN_MISMATCH:
            return f"{value} does not match the pattern {column.pattern}."
        case _:
            return f"{value}: {code}"


def _range(column: Column) -> str:
    low = (
        f"{'above' if column.exclusive_minimum else 'at least'} {column.minimum}" if column.minimum is not None else ""
    )
    high = (
        f"{'below' if column.exclusive_maximum else 'at most'} {column.maximum}" if column.maximum is not None else ""
    )
    bounds = " and ".join(part for part in (low, high) if part)
    return f": it must be {bounds}" if bounds else f" for {column.postgres_type}"


def _or_formats(column: Column) -> str:
    return f" (or {', '.join(column.formats)})" if column.formats else ""


def _shown(text: str | None) -> str:
    if text is None:
        return "The empty value"
    return f"'{text[:_SHOWN]}…'" if len(text) > _SHOWN else f"'{text}'"

"""The messages of rejects: what is wrong with a cell or row, the value, and what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.errors import Code, visible
from include.errors.registry import message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.contracts.model import Column, Contract

_SHOWN = 80
# The variants of the messages about what the contract does not name.
_UNNAMED = {Code.BAD_TEXT: "added", Code.BAD_JSON: "rescued"}


def explain(code: Code, contract: Contract, column: str | None, text: str | None) -> str:
    """The message of a reject for a cell, or for columns that the contract does not name: one sentence, on one line."""
    if column is None:
        return message(code, _UNNAMED[code])
    shown, cell = _shown(text), contract.by_name[column]
    return visible(message(code, column=cell, value=shown, expected=_expected(code, cell)))


def explain_rule(contract: Contract, name: str, row: Mapping[str, object]) -> str:
    """The message for a row that breaks the rule of that name; `row` has its typed values."""
    rule = next(rule for rule in contract.row_rules if rule.name == name)
    used = [column.name for column in contract.source_columns if column.name in rule.expression]
    values = ", ".join(f"{column} = {row.get(column)}" for column in used)
    description = (rule.description or rule.name).rstrip(".")
    return visible(message(Code.RULE_BROKEN, description=description, rule=rule.name, values=values))


def explain_derivation(
    contract: Contract, column: Column, raw: str | None, row: Mapping[str, object], *, is_made: bool
) -> str:
    """The message for a derived column: it cannot be calculated, or the column may not have the value `raw`."""
    if is_made and raw is None:
        return visible(message(Code.DERIVATION_FAILED, "empty", column=column))
    if is_made:
        return visible(message(Code.DERIVATION_FAILED, "unfit", column=column, value=_shown(raw)))
    used = [one.name for one in contract.source_columns if one.name in str(column.derived)]
    values = ", ".join(f"{name} = {str(row.get(name))[:_SHOWN]}" for name in used)
    return visible(message(Code.DERIVATION_FAILED, column=column, values=f": {values}" if values else ""))


def explain_unwritable(code: Code, name: str) -> str:
    """The message for a cell of a Parquet file that cannot be written as text; `name` is its column in the file."""
    return visible(message(code, "parquet", name=name))


def _expected(code: Code, column: Column) -> str:
    """What the column adds to the message of a cell; empty for most codes."""
    match code:
        case Code.BAD_INTEGER | Code.BAD_NUMBER:
            return _or_numbers(column)
        case Code.BAD_BOOLEAN:
            words = (column.true_words, column.false_words)
            return "".join(f"; {', '.join(some)}" for some in words if some)
        case Code.BAD_DATE:
            return _or_formats(column)
        case Code.BAD_TIMESTAMP:
            zone = " with an offset such as Z or +02:00" if column.type.has_zone else " without an offset"
            return zone + _or_formats(column)
        case Code.OUT_OF_RANGE:
            return _range(column)
        case Code.NOT_IN_LIST:
            return ", ".join(column.allowed)
        case _:
            return ""


def _range(column: Column) -> str:
    low = (
        f"{'above' if column.exclusive_minimum else 'at least'} {column.minimum}" if column.minimum is not None else ""
    )
    high = (
        f"{'below' if column.exclusive_maximum else 'at most'} {column.maximum}" if column.maximum is not None else ""
    )
    bounds = " and ".join(part for part in (low, high) if part)
    return f": it must be {bounds}" if bounds else f" for {column.postgres_type}"


def _or_numbers(column: Column) -> str:
    form = column.numbers
    if form.is_usual:
        return ""
    parts = [f"decimal mark '{form.decimal}'"]
    parts += [f"thousands separator '{form.thousands}' in groups of three digits"] if form.thousands else []
    parts += ["a minus before or behind it"] if form.trailing_minus else []
    return f" of the contract's dialect, as {form.example}: {', '.join(parts)}"


def _or_formats(column: Column) -> str:
    return f" (or {', '.join(column.formats)})" if column.formats else ""


def _shown(text: str | None) -> str:
    if text is None:
        return "The empty value"
    return f"'{text[:_SHOWN]}…'" if len(text) > _SHOWN else f"'{text}'"

"""The contract as DuckDB expressions: what a text and a typed value must satisfy.

Every rule is written once: the rules of a type in its entry of `include.contracts.types`, all others here. The fast
path types cells with Arrow, whose grammar is narrower than this one, and applies the same checks: a row that it accepts
is accepted here with the same values (a test compares both paths). Where a rule is not obvious, its comment says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import TYPE_CHECKING

from include.contracts.expressions import literal, quoted
from include.contracts.model import Cleaning, Column, Contract
from include.errors import Code

if TYPE_CHECKING:
    from collections.abc import Iterable

FIRST_PLAUSIBLE_DAY = "1900-01-01"
_SPACES = ("' '", "chr(9)", "chr(10)", "chr(13)")


@dataclass(frozen=True)
class RowCheck:
    """A condition that refuses a cell or row: `broken` is a boolean SQL expression, for which null means accepted."""

    code: Code
    broken: str
    column: Column | None = None
    rule: str = ""


def cleaned(relation: str, columns: Iterable[Column]) -> str:
    """A relation with cleaned text columns. An empty text is null, in every format.

    Each cleaning step is one nested SELECT. A step names its input twice, so nested expressions would double in size
    with each step, and planning would take longer than the query.
    """
    texts = [column for column in columns if column.type.is_text]
    for at in range(max((len(column.cleaning) for column in texts), default=0)):
        steps = {c.name: _cleaning_step(c.cleaning[at], quoted(c.name)) for c in texts if at < len(c.cleaning)}
        relation = _replacing(relation, steps)
    return _replacing(relation, {c.name: f"nullif({quoted(c.name)}, '')" for c in texts})


def _replacing(relation: str, values: dict[str, str]) -> str:
    if not values:
        return relation
    replaced = ", ".join(f"{value} AS {quoted(name)}" for name, value in values.items())
    return f"(SELECT * REPLACE ({replaced}) FROM {relation})"


def _cleaning_step(step: Cleaning, text: str) -> str:
    match step:
        case Cleaning.TRIM:
            # Most values are clean: this test costs a twentieth of trimming all values.
            edges = " OR ".join(f"ends_with({text}, {space})" for space in _SPACES)
            return f"CASE WHEN {text} < '!' OR {edges} THEN trim({text}, concat({', '.join(_SPACES)})) ELSE {text} END"
        case Cleaning.COLLAPSE_SPACES:
            found = " OR ".join(f"contains({text}, {space})" for space in ("'  '", *_SPACES[1:]))
            return rf"CASE WHEN {found} THEN regexp_replace({text}, '[ \t\n\r]+', ' ', 'g') ELSE {text} END"
        case Cleaning.LOWER:
            return f"lower({text})"
        case Cleaning.UPPER:
            return f"upper({text})"
        case Cleaning.EMPTY_TO_NULL:
            return f"nullif({text}, '')"


def typed(column: Column, text: str) -> str:
    """The typed value of a text cell, null where it cannot be read."""
    return column.type.read(column, text)


def reading_checks(column: Column, text: str, value: str) -> list[RowCheck]:
    """The checks of whether a text cell can be read as the column's type; `value` is the result of `typed`."""
    return [RowCheck(code, broken, column) for code, broken in column.type.reading_faults(column, text, value)]


def value_checks(column: Column, value: str) -> list[RowCheck]:
    """The checks of a typed, cleaned value. `required` is not among them: an unreadable value is not a missing one."""
    checks = []
    if column.type.is_text:
        if column.min_length:
            checks.append(RowCheck(Code.TOO_SHORT, f"length({value}) < {column.min_length}", column))
        if column.max_length is not None:
            checks.append(RowCheck(Code.TOO_LONG, f"length({value}) > {column.max_length}", column))
        if column.pattern:
            match = f"NOT regexp_full_match({value}, {literal(column.pattern)})"
            checks.append(RowCheck(Code.PATTERN_MISMATCH, match, column))
    checks.extend(RowCheck(code, broken, column) for code, broken in column.type.value_faults(value))
    checks.extend(_plausible_checks(column, value))
    if column.allowed:
        as_text = value if column.type.is_text else f"{value}::VARCHAR"
        checks.append(RowCheck(Code.NOT_IN_LIST, f"{as_text} NOT IN {_words(column.allowed)}", column))
    checks.extend(_range_checks(column, value))
    return checks


def _plausible_checks(column: Column, value: str) -> list[RowCheck]:
    """A day before 1900 is seldom one: software writes year 1 for no date. A minimum says what the column may have."""
    if not column.type.is_temporal or column.minimum is not None:
        return []
    return [RowCheck(Code.IMPLAUSIBLE_DATE, f"{value} < '{FIRST_PLAUSIBLE_DAY}'::{column.duckdb_type}", column)]


def row_checks(contract: Contract) -> list[RowCheck]:
    """The contract's row rules, over columns with the contract's names."""
    return [
        RowCheck(
            Code.RULE_BROKEN,
            # A rule that cannot be calculated, such as a product that overflows, refuses the row too. TRY does not
            # catch all of VALUE_ERRORS; if one is raised, `chunk_query` looks for the row.
            f"coalesce(TRY(coalesce(NOT ({rule.expression})::BOOLEAN, false)), true)",
            contract.by_name.get(rule.column) if rule.column else None,
            rule.name,
        )
        for rule in contract.row_rules
    ]


def unknown_checks(added: Iterable[str]) -> list[RowCheck]:
    """The checks of columns that the contract does not name: can PostgreSQL store `added` columns and `_rescued`?"""
    return [
        *(RowCheck(Code.BAD_TEXT, f"contains({quoted(name)}, chr(0))") for name in added),
        RowCheck(Code.BAD_JSON, "NOT kept_by_jsonb(_rescued)"),
    ]


def violations_sql(contract: Contract, present: set[str], unknown: list[RowCheck], *, check_nul: bool) -> str:
    """A condition on a row of typed, cleaned columns: whether any check refuses it. For the fast path."""
    conditions = [check.broken for check in unknown]
    for column in contract.source_columns:
        if column.name in present:
            name = quoted(column.name)
            conditions.extend(check.broken for check in value_checks(column, name))
            if column.required:
                conditions.append(f"{name} IS NULL")
            if column.type.misfit and (check_nul or not column.type.is_text):
                conditions.append(column.type.misfit(name))
    conditions.extend(check.broken for check in row_checks(contract))
    return " OR ".join(f"coalesce({condition}, false)" for condition in conditions) or "false"


def _range_checks(column: Column, value: str) -> list[RowCheck]:
    if not column.is_ordered:
        return []
    kind = column.bound_type
    checks = []
    if column.minimum is not None:
        sign = "<=" if column.exclusive_minimum else "<"
        bound = _bound(column, column.minimum, ROUND_FLOOR if column.exclusive_minimum else ROUND_CEILING)
        checks.append(RowCheck(Code.OUT_OF_RANGE, f"{value} {sign} {literal(bound)}::{kind}", column))
    if column.maximum is not None:
        sign = ">=" if column.exclusive_maximum else ">"
        bound = _bound(column, column.maximum, ROUND_CEILING if column.exclusive_maximum else ROUND_FLOOR)
        checks.append(RowCheck(Code.OUT_OF_RANGE, f"{value} {sign} {literal(bound)}::{kind}", column))
    return checks


def _bound(column: Column, text: str, rounding: str) -> str:
    """A bound in the column's type, rounded to the column's scale, which does not change which values are in range.

    To compare a number of 38 digits with a bound of another scale, DuckDB would need a type of more digits.
    """
    if not column.type.has_scale:
        return text
    with localcontext() as exact:
        exact.prec = 100
        return format(Decimal(text).quantize(Decimal(1).scaleb(-column.scale), rounding), "f")


def _words(words: tuple[str, ...]) -> str:
    return "(" + ", ".join(literal(word) for word in words) + ")"

"""The contract as DuckDB expressions: how a text becomes a typed value, and what a typed value must satisfy.

Every rule is written once, here. The fast path types cells with Arrow, whose grammar is narrower than this one, and
applies the same checks: a row that it accepts is accepted here with the same values (a test compares both paths).
Where a rule is not obvious, its comment says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import TYPE_CHECKING

from include.contracts.date_formats import format_pattern, has_time
from include.contracts.expressions import literal, quoted
from include.contracts.model import Cleaning, Column, ColumnType, Contract
from include.errors import Code

if TYPE_CHECKING:
    from collections.abc import Iterable

_TIME = r"([T ][0-9]{2}(:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?)?)?"
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_ZONE = r"(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?"
_FIRST_MOMENT, _LAST_MOMENT = "0001-01-01", "9999-12-31 23:59:59.999999"
# Software without a nullable integer type, such as pandas, writes 1 as 1.0. A number with an exponent is refused:
# spreadsheets write rounded numbers as 1.23457E+12.
_INTEGER = "[+-]?[0-9]+([.]0*)?"
_FLOAT = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"
# The beginning of a number that is not zero, up to its first digit other than 0.
NOT_ZERO = "^[+-]?[0.]*[1-9]"
_UUID = r"[{]?[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}[}]?"
_PADDING = 80  # zeros on both sides of a number's digits: more than the 38 digits of the widest type
_ENDLESS = 10**12  # an exponent that moves the point out of any text
_SPACES = ("' '", "chr(9)", "chr(10)", "chr(13)")
TRUE_WORDS = ("true", "t", "yes", "y", "1")
FALSE_WORDS = ("false", "f", "no", "n", "0")
_MOMENTS = {ColumnType.DATE, ColumnType.TIMESTAMP, ColumnType.TIMESTAMPTZ}


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
    texts = [column for column in columns if column.type is ColumnType.TEXT]
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
    bare = f"nullif(trim({text}, ' \t\r\n'), '')"
    match column.type:
        case ColumnType.TEXT:
            return f"nullif({text}, '')"
        case ColumnType.JSON:
            return bare
        case ColumnType.INTEGER:
            whole = f"TRY_CAST(regexp_extract({bare}, '^[^.]*') AS BIGINT)"
            return f"CASE WHEN regexp_full_match({bare}, '{_INTEGER}') THEN {whole} END"
        case ColumnType.NUMBER:
            plain = _without_exponent(bare)
            is_kept = f"regexp_full_match({bare}, '{_FLOAT}') AND NOT {_has_more_decimals(plain, column.scale)}"
            return f"CASE WHEN {is_kept} THEN TRY_CAST({plain} AS DECIMAL({column.precision},{column.scale})) END"
        case ColumnType.FLOAT:
            # A cast turns a number that is too large into infinity, and one that is too small into zero.
            read = f"TRY_CAST({bare} AS DOUBLE)"
            is_kept = f"isfinite({read}) AND NOT ({read} = 0 AND regexp_matches({bare}, '{NOT_ZERO}'))"
            return f"CASE WHEN regexp_full_match({bare}, '{_FLOAT}') AND {is_kept} THEN {read} END"
        case ColumnType.BOOLEAN:
            return (
                f"CASE WHEN lower({bare}) IN {_words(TRUE_WORDS)} THEN true "
                f"WHEN lower({bare}) IN {_words(FALSE_WORDS)} THEN false END"
            )
        case ColumnType.UUID:
            # The cast alone ignores dashes at any position.
            return f"CASE WHEN regexp_full_match({bare}, '{_UUID}') THEN TRY_CAST({bare} AS UUID)::VARCHAR END"
        case _:
            return _moment(column, bare)


def reading_checks(column: Column, text: str, value: str) -> list[RowCheck]:
    """The checks of whether a text cell can be read as the column's type; `value` is the result of `typed`."""
    bare = f"nullif(trim({text}, ' \t\r\n'), '')"
    given = f"{bare} IS NOT NULL"
    unread = f"{given} AND {value} IS NULL"
    match column.type:
        case ColumnType.TEXT:
            return [RowCheck(Code.BAD_TEXT, f"contains({text}, chr(0))", column)]
        case ColumnType.JSON:
            return []
        case ColumnType.INTEGER:
            shape = f"{given} AND NOT regexp_full_match({bare}, '{_INTEGER}')"
            return [RowCheck(Code.BAD_INTEGER, shape, column), RowCheck(Code.OUT_OF_RANGE, unread, column)]
        case ColumnType.NUMBER:
            return _number_checks(column, bare, value)
        case ColumnType.FLOAT:
            shape = f"{given} AND NOT regexp_full_match({bare}, '{_FLOAT}')"
            return [RowCheck(Code.BAD_NUMBER, shape, column), RowCheck(Code.OUT_OF_RANGE, unread, column)]
        case ColumnType.BOOLEAN:
            return [RowCheck(Code.BAD_BOOLEAN, unread, column)]
        case ColumnType.UUID:
            return [RowCheck(Code.BAD_UUID, unread, column)]
        case ColumnType.DATE:
            return [RowCheck(Code.BAD_DATE, unread, column)]
        case _:
            return [RowCheck(Code.BAD_TIMESTAMP, unread, column)]


def value_checks(column: Column, value: str) -> list[RowCheck]:
    """The checks of a typed, cleaned value. `required` is not among them: an unreadable value is not a missing one."""
    checks = []
    if column.type is ColumnType.TEXT:
        if column.min_length:
            checks.append(RowCheck(Code.TOO_SHORT, f"length({value}) < {column.min_length}", column))
        if column.max_length is not None:
            checks.append(RowCheck(Code.TOO_LONG, f"length({value}) > {column.max_length}", column))
        if column.pattern:
            match = f"NOT regexp_full_match({value}, {literal(column.pattern)})"
            checks.append(RowCheck(Code.PATTERN_MISMATCH, match, column))
    if column.type is ColumnType.FLOAT:
        checks.append(RowCheck(Code.BAD_NUMBER, f"NOT isfinite({value})", column))
    if column.type is ColumnType.JSON:
        checks.append(RowCheck(Code.BAD_JSON, f"NOT kept_by_jsonb({value})", column))
    if column.allowed:
        as_text = value if column.type is ColumnType.TEXT else f"{value}::VARCHAR"
        checks.append(RowCheck(Code.NOT_IN_LIST, f"{as_text} NOT IN {_words(column.allowed)}", column))
    checks.extend(_range_checks(column, value))
    return checks


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
            if column.type is ColumnType.UUID:
                conditions.append(f"NOT regexp_full_match({name}, '[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}')")
            if column.type in _MOMENTS:
                conditions.append(f"NOT {is_known_moment(name)}")
            if check_nul and column.type is ColumnType.TEXT:
                conditions.append(f"contains({name}, chr(0))")
    conditions.extend(check.broken for check in row_checks(contract))
    return " OR ".join(f"coalesce({condition}, false)" for condition in conditions) or "false"


def _number_checks(column: Column, bare: str, value: str) -> list[RowCheck]:
    given = f"{bare} IS NOT NULL"
    return [
        RowCheck(Code.BAD_NUMBER, f"{given} AND NOT regexp_full_match({bare}, '{_FLOAT}')", column),
        RowCheck(
            Code.TOO_MANY_DECIMALS, f"{given} AND {_has_more_decimals(_without_exponent(bare), column.scale)}", column
        ),
        RowCheck(Code.OUT_OF_RANGE, f"{given} AND {value} IS NULL", column),
    ]


def _has_more_decimals(plain: str, scale: int) -> str:
    """Whether a number without exponent needs more decimals than `scale`, by its text.

    A cast would round them, and no number is rounded silently. A cast to a wider type is no solution: a column of 38
    digits already has the widest, and any type rounds 1e-40.
    """
    return f"regexp_matches({plain}, '[.][0-9]{{{scale}}}[0-9]*[1-9]')"


def _without_exponent(bare: str) -> str:
    """The text of a number without its exponent: a cast would truncate a long mantissa with an exponent.

    The digits are padded with zeros on both sides, enough for every type. If the exponent moves the point out of the
    padded text, the number is too large or has too many decimals anyway.
    """
    digits = f"replace(regexp_extract({bare}, '^[+-]?([0-9.]*)', 1), '.', '')"
    padded = f"concat(repeat('0', {_PADDING}), {digits}, repeat('0', {_PADDING}))"
    before_point = f"length(regexp_extract({bare}, '^[+-]?([0-9]*)', 1))"
    beyond = f"CASE WHEN regexp_matches({bare}, '[eE]-') THEN -{_ENDLESS} ELSE {_ENDLESS} END"
    written = f"coalesce(TRY_CAST(regexp_extract({bare}, '[eE](.*)$', 1) AS BIGINT), {beyond})"
    power = f"greatest(least({written}, {_ENDLESS}), -{_ENDLESS})"
    point = f"greatest(least({_PADDING} + {before_point} + {power}, length({padded})), 0)"
    sign = f"CASE WHEN starts_with({bare}, '-') THEN '-' ELSE '' END"
    moved = f"concat({sign}, left({padded}, {point}), '.', substr({padded}, {point} + 1))"
    return f"(CASE WHEN regexp_matches({bare}, '[eE]') THEN {moved} ELSE {bare} END)"


def _moment(column: Column, bare: str) -> str:
    # ISO 8601 allows an hour without minutes, and minutes without seconds, but no cast reads them.
    iso = bare
    for given in ("[0-9]{2}", "[0-9]{2}:[0-9]{2}"):
        iso = rf"regexp_replace({iso}, '^({_DAY}[T ]{given})(Z|[+-][0-9:]+)?$', '\1:00\2')"
    match column.type:
        case ColumnType.DATE:
            shape, cast = _DAY + r"([T ]00(:00(:00([.]0+)?)?)?)?", f"TRY_CAST(left({bare}, 10) AS DATE)"
        case ColumnType.TIMESTAMP:
            shape, cast = _DAY + _TIME, f"TRY_CAST({iso} AS TIMESTAMP)"
        case _:
            # A time without an offset is read as UTC.
            shape, cast = _DAY + _TIME + _ZONE, f"TRY_CAST({iso} AS TIMESTAMPTZ)"
    branches = [f"WHEN regexp_full_match({bare}, '{shape}') THEN {cast}"]
    target = {ColumnType.DATE: "DATE", ColumnType.TIMESTAMP: "TIMESTAMP"}.get(column.type, "TIMESTAMPTZ")
    branches.extend(_format_branch(bare, form, target) for form in column.formats)
    moment = f"CASE {' '.join(branches)} END"
    return f"CASE WHEN {is_known_moment(moment)} THEN {moment} END"


def _format_branch(bare: str, form: str, target: str) -> str:
    read = f"try_strptime({bare}, {literal(form)})"
    fits = f"regexp_full_match({bare}, {literal(format_pattern(form))}) AND {read} IS NOT NULL"
    if target == "DATE" and has_time(form):
        fits += f" AND {read} = date_trunc('day', {read})"  # a time of day is not dropped
    return f"WHEN {fits} THEN {read}::{target}"


def is_known_moment(value: str) -> str:
    """A condition: the value is in the years 1 to 9999, which every format and database can write."""
    return f"{value} BETWEEN '{_FIRST_MOMENT}'::TIMESTAMP AND '{_LAST_MOMENT}'::TIMESTAMP"


def _range_checks(column: Column, value: str) -> list[RowCheck]:
    if not column.is_ordered:
        return []
    kind = {
        ColumnType.INTEGER: "BIGINT",
        ColumnType.NUMBER: f"DECIMAL(38,{column.scale})",
        ColumnType.FLOAT: "DOUBLE",
        ColumnType.DATE: "DATE",
        ColumnType.TIMESTAMP: "TIMESTAMP",
        ColumnType.TIMESTAMPTZ: "TIMESTAMPTZ",
    }[column.type]
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
    if column.type is not ColumnType.NUMBER:
        return text
    with localcontext() as exact:
        exact.prec = 100
        return format(Decimal(text).quantize(Decimal(1).scaleb(-column.scale), rounding), "f")


def _words(words: tuple[str, ...]) -> str:
    return "(" + ", ".join(literal(word) for word in words) + ")"

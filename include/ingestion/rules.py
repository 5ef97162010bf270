"""The contract as DuckDB expressions: how a text becomes a typed value, and what a typed value must satisfy.

Every rule is written once, here. The fast road types cells by Arrow, whose grammar is narrower than this one,
and applies the same checks; so what passes there passes here with the same value (a test holds them together).
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
# Software without whole numbers that may be missing writes 1 as 1.0: pandas, for one. With an exponent a number is
# refused: spreadsheets write 1.23457E+12 for what they have rounded.
_INTEGER = "[+-]?[0-9]+([.]0*)?"
_FLOAT = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"
# The sign, point and digits of a number that is not zero, up to the first digit that shows it.
NOT_ZERO = "^[+-]?[0.]*[1-9]"
_UUID = r"[{]?[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}[}]?"
_PADDING = 80  # zeros on both sides of a number's digits: more than the 38 digits of the widest type
_ENDLESS = 10**12  # an exponent that moves the point out of any text
_SPACES = ("' '", "chr(9)", "chr(10)", "chr(13)")
TRUE_WORDS = ("true", "t", "yes", "y", "1")
FALSE_WORDS = ("false", "f", "no", "n", "0")
_MOMENTS = {ColumnType.DATE, ColumnType.TIMESTAMP, ColumnType.TIMESTAMPTZ}


@dataclass(frozen=True)
class Check:
    """A condition under which a cell or row is refused: `broken` is a boolean expression, null counting as kept."""

    code: Code
    broken: str
    column: Column | None = None
    rule: str = ""


def cleaned(relation: str, columns: Iterable[Column]) -> str:
    """A relation whose text columns are as process leaves them. An empty text is null, in every format.

    One nested SELECT per step: a step written inside another would be repeated where each names its input twice,
    and planning would take longer than the work.
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
            # Most values are clean: asking first costs a twentieth of trimming all of them.
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
            # A cast makes infinity of a number that is too large, and zero of one that is too small.
            read = f"TRY_CAST({bare} AS DOUBLE)"
            is_kept = f"isfinite({read}) AND NOT ({read} = 0 AND regexp_matches({bare}, '{NOT_ZERO}'))"
            return f"CASE WHEN regexp_full_match({bare}, '{_FLOAT}') AND {is_kept} THEN {read} END"
        case ColumnType.BOOLEAN:
            return (
                f"CASE WHEN lower({bare}) IN {_words(TRUE_WORDS)} THEN true "
                f"WHEN lower({bare}) IN {_words(FALSE_WORDS)} THEN false END"
            )
        case ColumnType.UUID:
            # The cast alone overlooks dashes wherever they stand.
            return f"CASE WHEN regexp_full_match({bare}, '{_UUID}') THEN TRY_CAST({bare} AS UUID)::VARCHAR END"
        case _:
            return _moment(column, bare)


def reading_checks(column: Column, text: str, value: str) -> list[Check]:
    """Why a text cell cannot be read as the column's type; `value` is what `typed` made of it."""
    bare = f"nullif(trim({text}, ' \t\r\n'), '')"
    given = f"{bare} IS NOT NULL"
    unread = f"{given} AND {value} IS NULL"
    match column.type:
        case ColumnType.TEXT:
            return [Check(Code.BAD_TEXT, f"contains({text}, chr(0))", column)]
        case ColumnType.JSON:
            return []
        case ColumnType.INTEGER:
            shape = f"{given} AND NOT regexp_full_match({bare}, '{_INTEGER}')"
            return [Check(Code.BAD_INTEGER, shape, column), Check(Code.OUT_OF_RANGE, unread, column)]
        case ColumnType.NUMBER:
            return _number_checks(column, bare, value)
        case ColumnType.FLOAT:
            shape = f"{given} AND NOT regexp_full_match({bare}, '{_FLOAT}')"
            return [Check(Code.BAD_NUMBER, shape, column), Check(Code.OUT_OF_RANGE, unread, column)]
        case ColumnType.BOOLEAN:
            return [Check(Code.BAD_BOOLEAN, unread, column)]
        case ColumnType.UUID:
            return [Check(Code.BAD_UUID, unread, column)]
        case ColumnType.DATE:
            return [Check(Code.BAD_DATE, unread, column)]
        case _:
            return [Check(Code.BAD_TIMESTAMP, unread, column)]


def value_checks(column: Column, value: str) -> list[Check]:
    """What a typed, cleaned value must satisfy. `required` is not here: what could not be read is not missing."""
    checks = []
    if column.type is ColumnType.TEXT:
        if column.min_length:
            checks.append(Check(Code.TOO_SHORT, f"length({value}) < {column.min_length}", column))
        if column.max_length is not None:
            checks.append(Check(Code.TOO_LONG, f"length({value}) > {column.max_length}", column))
        if column.pattern:
            match = f"NOT regexp_full_match({value}, {literal(column.pattern)})"
            checks.append(Check(Code.PATTERN_MISMATCH, match, column))
    if column.type is ColumnType.FLOAT:
        checks.append(Check(Code.BAD_NUMBER, f"NOT isfinite({value})", column))
    if column.type is ColumnType.JSON:
        checks.append(Check(Code.BAD_JSON, f"NOT kept_by_jsonb({value})", column))
    if column.allowed:
        as_text = value if column.type is ColumnType.TEXT else f"{value}::VARCHAR"
        checks.append(Check(Code.NOT_IN_LIST, f"{as_text} NOT IN {_words(column.allowed)}", column))
    checks.extend(_range_checks(column, value))
    return checks


def row_checks(contract: Contract) -> list[Check]:
    """The contract's row rules over columns that stand under their own names."""
    return [
        Check(
            Code.RULE_BROKEN,
            # What cannot be calculated, as a product that overflows, is not kept either. TRY does not catch all of
            # VALUE_ERRORS; where one is raised, `chunk_query` looks for the row.
            f"coalesce(TRY(coalesce(NOT ({rule.expression})::BOOLEAN, false)), true)",
            contract.by_name.get(rule.column) if rule.column else None,
            rule.name,
        )
        for rule in contract.row_rules
    ]


def unknown_checks(added: Iterable[str]) -> list[Check]:
    """What no column can keep of that which the contract does not name: `added` columns and `_rescued`."""
    return [
        *(Check(Code.BAD_TEXT, f"contains({quoted(name)}, chr(0))") for name in added),
        Check(Code.BAD_JSON, "NOT kept_by_jsonb(_rescued)"),
    ]


def arrives_broken(contract: Contract, present: set[str], unknown: list[Check], *, check_nul: bool) -> str:
    """One boolean over a row of typed, cleaned columns: whether anything in it is refused. For the fast road."""
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


def _number_checks(column: Column, bare: str, value: str) -> list[Check]:
    given = f"{bare} IS NOT NULL"
    return [
        Check(Code.BAD_NUMBER, f"{given} AND NOT regexp_full_match({bare}, '{_FLOAT}')", column),
        Check(
            Code.TOO_MANY_DECIMALS, f"{given} AND {_has_more_decimals(_without_exponent(bare), column.scale)}", column
        ),
        Check(Code.OUT_OF_RANGE, f"{given} AND {value} IS NULL", column),
    ]


def _has_more_decimals(plain: str, scale: int) -> str:
    """Whether a number without exponent needs more decimals than `scale`, by its text.

    A cast rounds what has too many, and a partner's figure is not rounded silently. No wider type can be asked
    instead: a column of 38 digits already has the widest, and any type rounds 1e-40.
    """
    return f"regexp_matches({plain}, '[.][0-9]{{{scale}}}[0-9]*[1-9]')"


def _without_exponent(bare: str) -> str:
    """A number's text with its digits where the exponent puts them: a cast cuts long mantissas with an exponent.

    Between zeros enough for every type, the point stays within the text: beyond it the number is too large or has
    too many decimals, wherever the point would be.
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
    # An hour without minutes, or minutes without seconds, are ISO 8601, but no cast reads them.
    iso = bare
    for given in ("[0-9]{2}", "[0-9]{2}:[0-9]{2}"):
        iso = rf"regexp_replace({iso}, '^({_DAY}[T ]{given})(Z|[+-][0-9:]+)?$', '\1:00\2')"
    match column.type:
        case ColumnType.DATE:
            shape, cast = _DAY + r"([T ]00(:00(:00([.]0+)?)?)?)?", f"TRY_CAST(left({bare}, 10) AS DATE)"
        case ColumnType.TIMESTAMP:
            shape, cast = _DAY + _TIME, f"TRY_CAST({iso} AS TIMESTAMP)"
        case _:
            # Without an offset a time is read as UTC.
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
    """The years 1 to 9999, which every text and every store can write."""
    return f"{value} BETWEEN '{_FIRST_MOMENT}'::TIMESTAMP AND '{_LAST_MOMENT}'::TIMESTAMP"


def _range_checks(column: Column, value: str) -> list[Check]:
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
        checks.append(Check(Code.OUT_OF_RANGE, f"{value} {sign} {literal(bound)}::{kind}", column))
    if column.maximum is not None:
        sign = ">=" if column.exclusive_maximum else ">"
        bound = _bound(column, column.maximum, ROUND_CEILING if column.exclusive_maximum else ROUND_FLOOR)
        checks.append(Check(Code.OUT_OF_RANGE, f"{value} {sign} {literal(bound)}::{kind}", column))
    return checks


def _bound(column: Column, text: str, rounding: str) -> str:
    """A bound as the column's type can write it. Rounded to the column's scale it parts the same values.

    Compared with a bound of another scale, a number of 38 digits would have to become one of more.
    """
    if column.type is not ColumnType.NUMBER:
        return text
    with localcontext() as exact:
        exact.prec = 100
        return format(Decimal(text).quantize(Decimal(1).scaleb(-column.scale), rounding), "f")


def _words(words: tuple[str, ...]) -> str:
    return "(" + ", ".join(literal(word) for word in words) + ")"

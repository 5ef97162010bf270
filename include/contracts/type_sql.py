"""How DuckDB reads a text as a value of each column type, and which conditions find a text that it cannot read.

What belongs here: one value, as SQL text. What does not: which function a type uses (`types`), and the rules of a
contract (`include.ingestion.rules`). Where a rule is not obvious, its comment says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.contracts.date_formats import EPOCHS, format_pattern, has_time
from include.contracts.type_values import FALSE_WORDS, TRUE_WORDS
from include.errors import Code

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.contracts.model import Column

    FaultCondition = tuple[Code, str]  # a code and the condition that finds the fault; null means that there is none
    FindFaults = Callable[[Column, str, str], list[FaultCondition]]

_TIME = r"([T ][0-9]{2}(:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?)?)?"
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_ZONE = r"(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?"
_FIRST_MOMENT, _LAST_MOMENT = "0001-01-01", "9999-12-31 23:59:59.999999"
# Software without a nullable integer type, such as pandas, writes 1 as 1.0. A number with an exponent is refused:
# spreadsheets write rounded numbers as 1.23457E+12.
INTEGER = "[+-]?[0-9]+([.]0*)?"
FLOAT = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"
# The beginning of a number that is not zero, up to its first digit other than 0.
NOT_ZERO = "^[+-]?[0.]*[1-9]"
_UUID = r"[{]?[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}[}]?"
_PADDING = 80  # zeros on both sides of a number's digits: more than the 38 digits of the widest type
_ENDLESS = 10**12  # an exponent that moves the point out of any text


def bare(text: str) -> str:
    """A text without blanks at its ends, null if nothing is left."""
    return f"nullif(trim({text}, ' \t\r\n'), '')"


def plain_number(column: Column, text: str) -> str:
    """A text without blanks at its ends; a number that is written as the column's numbers are, with a point alone.

    Null if the text is not written so.
    """
    given, form = bare(text), column.numbers
    if form.is_usual:
        return given
    from include.contracts.expressions import literal  # imports DuckDB

    plain = f"replace({given}, {literal(form.thousands)}, '')" if form.thousands else given
    plain = f"replace({plain}, {literal(form.decimal)}, '.')"
    if form.trailing_minus:
        plain = rf"regexp_replace({plain}, '^(.*)-$', '-\1')"
    return f"(CASE WHEN regexp_full_match({given}, {literal(form.pattern)}) THEN {plain} END)"


# Values: the typed value of a text, null where it cannot be read.


def read_integer(column: Column, text: str) -> str:
    """A whole number."""
    given = plain_number(column, text)
    whole = f"TRY_CAST(regexp_extract({given}, '^[^.]*') AS BIGINT)"
    return f"CASE WHEN regexp_full_match({given}, '{INTEGER}') THEN {whole} END"


def read_number(column: Column, text: str) -> str:
    """A number of the column's precision and scale."""
    given = plain_number(column, text)
    plain = _without_exponent(given)
    is_kept = f"regexp_full_match({given}, '{FLOAT}') AND NOT {_has_more_decimals(plain, column.scale)}"
    return f"CASE WHEN {is_kept} THEN TRY_CAST({plain} AS {column.duckdb_type}) END"


def read_float(column: Column, text: str) -> str:
    """A double."""
    given = plain_number(column, text)
    # A cast turns a number that is too large into infinity, and one that is too small into zero.
    read = f"TRY_CAST({given} AS DOUBLE)"
    is_kept = f"isfinite({read}) AND NOT ({read} = 0 AND regexp_matches({given}, '{NOT_ZERO}'))"
    return f"CASE WHEN regexp_full_match({given}, '{FLOAT}') AND {is_kept} THEN {read} END"


def read_boolean(column: Column, text: str) -> str:
    """True or false, from one of the words."""
    given = f"lower({bare(text)})"
    true, false = TRUE_WORDS + column.true_words, FALSE_WORDS + column.false_words
    return f"CASE WHEN {given} IN {_words(true)} THEN true WHEN {given} IN {_words(false)} THEN false END"


def read_uuid(_: Column, text: str) -> str:
    """A UUID as text in its canonical spelling."""
    given = bare(text)
    # The cast alone ignores dashes at any position.
    return f"CASE WHEN regexp_full_match({given}, '{_UUID}') THEN TRY_CAST({given} AS UUID)::VARCHAR END"


def read_json(text: str) -> str:
    """A text that jsonb keeps. The function is the engine's."""
    given = bare(text)
    return f"CASE WHEN kept_by_jsonb({given}) THEN {given} END"


def read_date(column: Column, text: str) -> str:
    """A date. A time of day must be midnight."""
    shape = _DAY + r"([T ]00(:00(:00([.]0+)?)?)?)?"
    return _moment(column, bare(text), shape, f"TRY_CAST(left({bare(text)}, 10) AS DATE)")


def read_timestamp(column: Column, text: str) -> str:
    """A time without a zone."""
    return _moment(column, bare(text), _DAY + _TIME, f"TRY_CAST({_in_full(bare(text))} AS TIMESTAMP)")


def read_timestamptz(column: Column, text: str) -> str:
    """A time with a zone. A time without an offset is read as UTC."""
    return _moment(column, bare(text), _DAY + _TIME + _ZONE, f"TRY_CAST({_in_full(bare(text))} AS TIMESTAMPTZ)")


# Faults: conditions on a text and the value that was read from it.


def unreadable(code: Code) -> FindFaults:
    """The one fault of most types: a text that is not blank gives no value."""
    return lambda _, text, value: [(code, _unread(text, value))]


def number_faults(code: Code, shape: str) -> FindFaults:
    """The faults of a number. `code` is that of a text with another shape; the others are out of range."""

    def faults(column: Column, text: str, value: str) -> list[FaultCondition]:
        given = plain_number(column, text)
        is_other = f"NOT coalesce(regexp_full_match({given}, '{shape}'), false)"
        found = [(code, f"{bare(text)} IS NOT NULL AND {is_other}")]
        if column.type.has_scale:
            more = _has_more_decimals(_without_exponent(given), column.scale)
            found.append((Code.TOO_MANY_DECIMALS, f"{given} IS NOT NULL AND {more}"))
        return [*found, (Code.OUT_OF_RANGE, _unread(text, value))]

    return faults


def has_nul(value: str) -> str:
    """A condition: the text has a NUL, which PostgreSQL does not store."""
    return f"contains({value}, chr(0))"


def is_known_moment(value: str) -> str:
    """A condition: the value is in the years 1 to 9999, which every format and database can write."""
    return f"{value} BETWEEN '{_FIRST_MOMENT}'::TIMESTAMP AND '{_LAST_MOMENT}'::TIMESTAMP"


def is_other_moment(value: str) -> str:
    """A condition: the value is in no year of 1 to 9999."""
    return f"NOT {is_known_moment(value)}"


def is_other_uuid(value: str) -> str:
    """A condition: the text is no UUID in lower case with its dashes."""
    return f"NOT regexp_full_match({value}, '[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}')"


def _unread(text: str, value: str) -> str:
    return f"{bare(text)} IS NOT NULL AND {value} IS NULL"


def _has_more_decimals(plain: str, scale: int) -> str:
    """Whether a number without exponent needs more decimals than `scale`, by its text.

    A cast would round them, and no number is rounded silently. A cast to a wider type is no solution: a column of 38
    digits already has the widest, and any type rounds 1e-40.
    """
    return f"regexp_matches({plain}, '[.][0-9]{{{scale}}}[0-9]*[1-9]')"


def _without_exponent(given: str) -> str:
    """The text of a number without its exponent: a cast would truncate a long mantissa with an exponent.

    The digits are padded with zeros on both sides, enough for every type. If the exponent moves the point out of the
    padded text, the number is too large or has too many decimals anyway.
    """
    digits = f"replace(regexp_extract({given}, '^[+-]?([0-9.]*)', 1), '.', '')"
    padded = f"concat(repeat('0', {_PADDING}), {digits}, repeat('0', {_PADDING}))"
    before_point = f"length(regexp_extract({given}, '^[+-]?([0-9]*)', 1))"
    beyond = f"CASE WHEN regexp_matches({given}, '[eE]-') THEN -{_ENDLESS} ELSE {_ENDLESS} END"
    written = f"coalesce(TRY_CAST(regexp_extract({given}, '[eE](.*)$', 1) AS BIGINT), {beyond})"
    power = f"greatest(least({written}, {_ENDLESS}), -{_ENDLESS})"
    point = f"greatest(least({_PADDING} + {before_point} + {power}, length({padded})), 0)"
    sign = f"CASE WHEN starts_with({given}, '-') THEN '-' ELSE '' END"
    moved = f"concat({sign}, left({padded}, {point}), '.', substr({padded}, {point} + 1))"
    return f"(CASE WHEN regexp_matches({given}, '[eE]') THEN {moved} ELSE {given} END)"


def _in_full(given: str) -> str:
    """A time with minutes and seconds. ISO 8601 allows an hour, or minutes, as the end, but no cast reads them."""
    for end in ("[0-9]{2}", "[0-9]{2}:[0-9]{2}"):
        given = rf"regexp_replace({given}, '^({_DAY}[T ]{end})(Z|[+-][0-9:]+)?$', '\1:00\2')"
    return given


def _moment(column: Column, given: str, shape: str, cast: str) -> str:
    """The value of ISO 8601, or of one of the column's formats, if its year is known."""
    branches = [f"WHEN regexp_full_match({given}, '{shape}') THEN {cast}"]
    branches.extend(_format_branch(column, given, form) for form in column.formats)
    moment = f"CASE {' '.join(branches)} END"
    return f"CASE WHEN {is_known_moment(moment)} THEN {moment} END"


def _format_branch(column: Column, given: str, form: str) -> str:
    from include.contracts.expressions import literal  # imports DuckDB

    if form in EPOCHS:
        return _epoch_branch(column, given, form)
    read = f"try_strptime({given}, {literal(form)})"
    fits = f"regexp_full_match({given}, {literal(format_pattern(form))}) AND {read} IS NOT NULL"
    if not column.type.has_time and has_time(form):
        fits += f" AND {read} = date_trunc('day', {read})"  # a time of day is not dropped
    return f"WHEN {fits} THEN {read}::{column.duckdb_type}"


def _epoch_branch(column: Column, given: str, form: str) -> str:
    """The branch for a number since 1970. A number beyond the known years may be one of the next format."""
    epoch = EPOCHS[form]
    # 18 digits, of which those before the point hold every known year: nothing is beyond 64 bits, which are fast.
    number, scale = f"TRY_CAST({given} AS DECIMAL(18,{epoch.decimals}))", 10**epoch.decimals
    part = f"(({number} - trunc({number})) * {scale})::BIGINT"
    read = f"make_timestamp(trunc({number})::BIGINT * {scale} + {part})"
    fits = f"regexp_full_match({given}, '{epoch.pattern}') AND {is_known_moment(read)}"
    return f"WHEN {fits} THEN {read}::{column.duckdb_type}"


def _words(words: tuple[str, ...]) -> str:
    return "(" + ", ".join("lower('" + word.replace("'", "''") + "')" for word in words) + ")"

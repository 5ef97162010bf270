"""The valid values of each type, by the table in docs/values.md, implemented a second time.

What belongs here: converting a raw value to a typed one or a code. What does not: files, rules over several columns.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING
from uuid import UUID

from include.contracts.model import Cleaning, Column, ColumnType
from include.errors import Code
from tests.oracle.day_formats import by_format
from tests.oracle.documents import Document, NotJsonError, Number, Raw, Text, keepable, parse, spelled

if TYPE_CHECKING:
    from tests.oracle.verdict import Value

BLANKS = " \t\r\n"
_TRUE = {"true", "t", "yes", "y", "1"}
_FALSE = {"false", "f", "no", "n", "0"}
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DAY = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
_DATE = re.compile(_DAY + r"([T ]00(:00(:00(\.0+)?)?)?)?")
_MOMENT = re.compile(
    _DAY + r"(?:[T ]([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?)?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}")
_INT64 = (-(2**63), 2**63 - 1)


class BadCell(Exception):  # noqa: N818 - it carries a verdict, not an error
    """The cell is refused with this code. `value` is its typed value if it has one, for rules that use it."""

    def __init__(self, code: Code, value: Value = None) -> None:
        super().__init__(code)
        self.code, self.value = code, value


def judged(column: Column, raw: Raw) -> Value:
    """The value of a cell, cleaned and typed.

    Raises:
        BadCell: the cell has no value of the type, or one that the contract does not allow.
    """
    value = _typed(column, raw)
    if value is None:
        if column.required:
            raise BadCell(Code.MISSING_VALUE)
        return None
    _check(column, value)
    return value


def text_of(raw: Raw) -> str | None:
    """A raw value as CSV would hold it; null and an empty text are the same."""
    match raw:
        case None | "":
            return None
        case bool() | list() | dict():
            return spelled(raw)
        case _:
            return str(raw)


def parsed(column: Column, text: str) -> Value:
    """Parse a text that is not blank as the column's type.

    Raises:
        BadCell: the text is no value of that type.
    """
    match column.type:
        case ColumnType.INTEGER:
            return _integer(text)
        case ColumnType.NUMBER:
            return _numeric(text, column)
        case ColumnType.FLOAT:
            return _float(text)
        case ColumnType.BOOLEAN:
            return _boolean(text, column)
        case ColumnType.DATE:
            return _date(text, column.formats)
        case ColumnType.TIMESTAMP | ColumnType.TIMESTAMPTZ:
            return _moment(text, column.formats, zoned=column.type is ColumnType.TIMESTAMPTZ)
        case ColumnType.UUID:
            return _uuid(text)
        case ColumnType.JSON:
            return _document(text)
        case _:
            return text


def _typed(column: Column, raw: Raw) -> Value:
    text = text_of(raw)
    if text is None:
        return None
    if column.type is ColumnType.TEXT:
        if re.search("[\0\ud800-\udfff]", text):
            raise BadCell(Code.BAD_TEXT)
        return cleaned(text, column.cleaning) or None
    if column.type is ColumnType.JSON and isinstance(raw, Text):
        return _kept(raw) if raw.strip(BLANKS) else None
    stripped = text.strip(BLANKS)
    return parsed(column, stripped) if stripped else None


def cleaned(text: str, steps: tuple[Cleaning, ...]) -> str | None:
    """A text after the contract's cleaning, in the contract's order."""
    for step in steps:
        match step:
            case Cleaning.TRIM:
                text = text.strip(BLANKS)
            case Cleaning.COLLAPSE_SPACES:
                text = re.sub(f"[{BLANKS}]+", " ", text)
            case Cleaning.LOWER:
                text = "".join(map(_lower, text))
            case Cleaning.UPPER:
                text = "".join(map(_upper, text))
            case Cleaning.EMPTY_TO_NULL:
                if not text:
                    return None
    return text


# A character becomes one character: ß becomes ẞ, and what has no such capital letter stays.


def _lower(character: str) -> str:
    return character.lower()[0]


def _upper(character: str) -> str:
    forms = (character.upper(), {"ß": "ẞ"}.get(character, ""), character.title(), character)
    return next(form for form in forms if len(form) == 1)


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+(\.0*)?", text):
        raise BadCell(Code.BAD_INTEGER)
    value = int(text.partition(".")[0])
    if not _INT64[0] <= value <= _INT64[1]:
        raise BadCell(Code.OUT_OF_RANGE)
    return value


def _numeric(text: str, column: Column) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise BadCell(Code.BAD_NUMBER)
    mantissa, _, exponent = text.lower().partition("e")
    if not mantissa.strip("+-0."):
        return Decimal(0)
    if len(exponent.lstrip("+-0")) > 6:
        raise BadCell(Code.TOO_MANY_DECIMALS if exponent.startswith("-") else Code.OUT_OF_RANGE)
    sign, digits, power = Decimal(text).as_tuple()
    assert isinstance(power, int)
    while digits[-1] == 0:
        digits, power = digits[:-1], power + 1
    if -power > column.scale:
        raise BadCell(Code.TOO_MANY_DECIMALS)
    if len(digits) + power > column.precision - column.scale:
        raise BadCell(Code.OUT_OF_RANGE)
    return Decimal((sign, digits, power))


def _float(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise BadCell(Code.BAD_NUMBER)
    value = float(text)
    digits = text.lower().partition("e")[0].strip("+-").replace(".", "")
    if math.isinf(value) or (value == 0 and digits.strip("0")):
        raise BadCell(Code.OUT_OF_RANGE)
    return value


def _boolean(text: str, column: Column) -> bool:
    if text.lower() in _TRUE.union(map(str.lower, column.true_words)):
        return True
    if text.lower() in _FALSE.union(map(str.lower, column.false_words)):
        return False
    raise BadCell(Code.BAD_BOOLEAN)


def _date(text: str, formats: tuple[str, ...]) -> date:
    if match := _DATE.fullmatch(text):
        try:
            return date(*map(int, match.group(1, 2, 3)))
        except ValueError:
            raise BadCell(Code.BAD_DATE) from None
    moment = by_format(text, formats)
    if moment is None or moment.time() != time(0):
        raise BadCell(Code.BAD_DATE)
    return moment.date()


def _moment(text: str, formats: tuple[str, ...], *, zoned: bool) -> datetime:
    match = _MOMENT.fullmatch(text)
    if match is None:
        moment = by_format(text, formats)
        if moment is None or (moment.tzinfo is not None and not zoned):
            raise BadCell(Code.BAD_TIMESTAMP)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC) if zoned else moment
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    if zone and not zoned:
        raise BadCell(Code.BAD_TIMESTAMP)
    midnight = hour == "24" and {minute, second, fraction} <= {"00", None}
    hour = "00" if midnight else hour
    try:
        clock = time(int(hour or 0), int(minute or 0), int(second or 0), int((fraction or "").ljust(6, "0")[:6]))
        moment = datetime.combine(date(int(year), int(month), int(day)), clock) + timedelta(days=midnight)
        return (moment.replace(tzinfo=UTC) - _offset(zone)) if zoned else moment
    except (ValueError, OverflowError):
        raise BadCell(Code.BAD_TIMESTAMP) from None


def _offset(zone: str | None) -> timedelta:
    if zone in {None, "Z"}:
        return timedelta(0)
    assert zone is not None
    digits = zone[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if minutes > 59:
        raise ValueError(zone)
    size = timedelta(hours=hours, minutes=minutes)
    timezone(size)  # raises for an offset of a day or more
    return -size if zone.startswith("-") else size


def _uuid(text: str) -> UUID:
    bare = text.removeprefix("{").removesuffix("}") if text.startswith("{") and text.endswith("}") else text
    if not _UUID.fullmatch(bare):
        raise BadCell(Code.BAD_UUID)
    return UUID(bare)


def _document(text: str) -> Document:
    try:
        raw = parse(text)
    except NotJsonError:
        raise BadCell(Code.BAD_JSON) from None
    return _kept(raw)


def _kept(raw: Raw) -> Document:
    if not keepable(raw):
        raise BadCell(Code.BAD_JSON)
    return Document.of(raw)


def _check(column: Column, value: Value) -> None:
    if isinstance(value, date) and column.minimum is None and value.year < 1900:
        raise BadCell(Code.IMPLAUSIBLE_DATE, value)
    if column.is_ordered and not _within(column, value):
        raise BadCell(Code.OUT_OF_RANGE, value)
    if column.type is ColumnType.TEXT:
        assert isinstance(value, str)
        if column.min_length is not None and len(value) < column.min_length:
            raise BadCell(Code.TOO_SHORT, value)
        if column.max_length is not None and len(value) > column.max_length:
            raise BadCell(Code.TOO_LONG, value)
    if column.allowed and value not in [parsed(column, text) for text in column.allowed]:
        raise BadCell(Code.NOT_IN_LIST, value)
    if column.pattern is not None and not re.fullmatch(column.pattern, str(value), re.ASCII):
        raise BadCell(Code.PATTERN_MISMATCH, value)


def _within(column: Column, value: Value) -> bool:
    for text, sign, exclusive in (
        (column.minimum, 1, column.exclusive_minimum),
        (column.maximum, -1, column.exclusive_maximum),
    ):
        if text is None:
            continue
        order = _compared(value, _bound(column, text)) * sign
        if order < 0 or (order == 0 and exclusive):
            return False
    return True


def _bound(column: Column, text: str) -> Value:
    if column.type in {ColumnType.INTEGER, ColumnType.NUMBER}:
        return Decimal(text)
    return parsed(column, text)


def _compared(one: Value, other: Value) -> int:
    with localcontext() as exact:
        exact.prec = 100
        return int(one > other) - int(one < other)  # type: ignore[operator]


__all__ = ["BLANKS", "BadCell", "Number", "cleaned", "judged", "parsed", "text_of"]

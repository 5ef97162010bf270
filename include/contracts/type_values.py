"""Values of each column type in Python: the bounds of a contract, and the values of a row.

What belongs here: parsing one value. What does not: which function a type uses (`types`), and reading values with
DuckDB (`type_sql`).
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from include.contracts.date_formats import EPOCHS

if TYPE_CHECKING:
    from include.contracts.model import Column

TRUE_WORDS = ("true", "t", "yes", "y", "1")
FALSE_WORDS = ("false", "f", "no", "n", "0")
_BIGINT = (-(2**63), 2**63 - 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# Bounds in a contract. A ValueError gives the correct form.


def bound_date(text: str, _: Column) -> date:
    """A date as a bound."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        message = "write a date as 2026-01-31, in quotes"
        raise ValueError(message) from error


def bound_moment(text: str, column: Column) -> datetime:
    """A time as a bound: with a zone if the column's type has one."""
    zoned = column.type.has_zone
    shape = "2026-01-31T12:00:00Z, with a zone" if zoned else "2026-01-31T12:00:00, without a zone"
    message = f"write a time as {shape}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(message) from error
    if (moment.tzinfo is not None) is not zoned:
        raise ValueError(message)
    return moment


def bound_number(text: str, column: Column) -> Decimal:
    """A number as a bound."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite():
        message = "write a number"
        raise ValueError(message)
    if column.type.is_whole and (value != int(value) or not _BIGINT[0] <= value <= _BIGINT[1]):
        message = "write a whole number of at most 64 bits"
        raise ValueError(message)
    if column.type.has_scale and abs(value) >= Decimal(10) ** (column.precision - column.scale):
        message = f"write a number that {column.postgres_type} can hold, or leave the bound out"
        raise ValueError(message)
    return value


# Values of a row, given as text or as a Python value. ValueError, TypeError or InvalidOperation: not of the type.


def whole(_: Column, value: Any) -> int:
    """A whole number of 64 bits."""
    number = int(value)
    if number != value and not isinstance(value, str):
        raise ValueError(value)
    if not _BIGINT[0] <= number <= _BIGINT[1]:
        raise ValueError(value)
    return number


def decimal(column: Column, value: Any) -> Decimal:
    """A number of the column's precision and scale."""
    number = Decimal(str(value))
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise TypeError(value)  # NaN or infinite
    # Trailing zeros after the point do not count: 1.500 fits a scale of 2.
    while exponent < -column.scale and digits[-1:] == (0,):
        digits, exponent = digits[:-1], exponent + 1
    if exponent < -column.scale or len(digits) + exponent > column.precision - column.scale:
        raise ValueError(value)
    return Decimal((sign, digits or (0,), exponent))


def truth(column: Column, value: Any) -> bool:
    """True or false, from one of the words that files may use."""
    word = str(value).strip().lower()
    true, false = ({one.lower() for one in words} for words in (column.true_words, column.false_words))
    if word in true.union(TRUE_WORDS):
        return True
    if word in false.union(FALSE_WORDS):
        return False
    raise ValueError(value)


def day(column: Column, value: Any) -> date:
    """A date."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    moment = _parsed(column, value)
    if moment.time() != time.min:
        raise ValueError(value)  # a date would drop its time of day
    return moment.date()


def moment(column: Column, value: Any) -> datetime:
    """A time, with a zone if the column's type has one."""
    parsed = _parsed(column, value)
    if (parsed.tzinfo is not None) is not column.type.has_zone:
        raise ValueError(value)  # a writer would assume the machine's time zone
    return parsed


def _parsed(column: Column, value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    text = str(value).strip()
    for form in column.formats:
        try:
            return _by_format(column, text, form)
        except (ValueError, OverflowError):
            continue
    return datetime.fromisoformat(text)


def _by_format(column: Column, text: str, form: str) -> datetime:
    epoch = EPOCHS.get(form)
    if epoch is None:
        return datetime.strptime(text, form)  # noqa: DTZ007 (the format decides whether there is a zone)
    if not re.fullmatch(epoch.pattern, text):
        raise ValueError(text)
    found = _EPOCH + timedelta(microseconds=int(Decimal(text).scaleb(epoch.decimals)))
    return found if column.type.has_zone else found.replace(tzinfo=None)


def uuid(_: Column, value: Any) -> str:
    """A UUID in its canonical spelling."""
    from uuid import UUID

    return str(UUID(str(value)))


def document(_: Column, value: Any) -> str:
    """JSON as text."""
    import orjson

    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    orjson.loads(value)
    return value

"""Raw values as a file holds them, and JSON documents that are equal if PostgreSQL's jsonb values are.

What belongs here: reading JSON with every digit, writing it, comparing it. What does not: columns.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

# What jsonb can hold: numeric has at most 131,072 digits before the point and 16,383 behind it.
_BEFORE, _BEHIND = 131_072, 16_383


class Number(str):
    """A number as it is written in the file."""

    __slots__ = ()


class Text(str):
    """A text of a JSON record, which is itself the value of a json column; a cell of CSV is parsed as JSON."""

    __slots__ = ()


class Undecoded(str):
    """A value of bytes that are no text."""

    __slots__ = ()


# None, str, Number, Text, Undecoded, bool, and lists and dicts of them.
Raw = Any


class NotJsonError(ValueError):
    """Broken JSON; `cut` means that only its end is missing."""

    def __init__(self, *, cut: bool = False) -> None:
        super().__init__("not JSON")
        self.cut = cut


def _refuse(_: str) -> None:
    raise NotJsonError


class Repeated(dict[str, "Raw"]):
    """An object with a duplicate key: neither of its values can be chosen."""


def _members(pairs: list[tuple[str, Raw]]) -> dict[str, Raw]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Repeated(found)


DECODER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=_refuse, object_pairs_hook=_members)


def repeats(raw: Raw) -> bool:
    """Whether an object in it has a duplicate key."""
    if isinstance(raw, dict):
        return isinstance(raw, Repeated) or any(map(repeats, raw.values()))
    return isinstance(raw, list) and any(map(repeats, raw))


def is_undecoded(raw: Raw) -> bool:
    """Whether a text in it is of bytes that are none."""
    parts = raw.values() if isinstance(raw, dict) else raw if isinstance(raw, list) else []
    return isinstance(raw, Undecoded) or any(map(is_undecoded, parts))


def half_pair(raw: Raw) -> bool:
    """Whether a text in it has half of a pair of surrogates."""
    return re.search("[\ud800-\udfff]", spelled(raw)) is not None


def parse(text: str) -> Raw:
    """Parse one JSON value, with blanks around it.

    Raises:
        NotJsonError: the text is not JSON.
    """
    value, end = parse_from(text, 0)
    if text[end:].strip(" \t\r\n"):
        raise NotJsonError
    return value


def parse_from(text: str, start: int) -> tuple[Raw, int]:
    """Parse the JSON value that begins at `start` or after blanks there; the value and its end.

    Raises:
        NotJsonError: there is no valid value.
    """
    while start < len(text) and text[start] in " \t\r\n":
        start += 1
    try:
        return DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        remainder = text[error.pos :]
        cut = not remainder.strip() or error.msg.startswith("Unterminated string")
        raise NotJsonError(cut=cut) from error
    except RecursionError as error:
        raise NotJsonError from error


def spelled(raw: Raw) -> str:
    """JSON without spaces, numbers as they were written."""
    match raw:
        case None:
            return "null"
        case bool():
            return "true" if raw else "false"
        case Number():
            return str(raw)
        case str():
            return json.dumps(raw, ensure_ascii=False)
        case list():
            return "[" + ",".join(map(spelled, raw)) + "]"
        case dict():
            return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{spelled(raw[key])}" for key in raw) + "}"
        case _:
            raise TypeError(type(raw))


def keepable(raw: Raw) -> bool:
    """Whether jsonb can store it: no NUL, no half of a surrogate pair, no duplicate key, no number beyond numeric."""
    match raw:
        case Number():
            if len(raw.lower().partition("e")[2].lstrip("+-0")) > 9:
                return False
            _, digits, exponent = Decimal(raw).as_tuple()
            assert isinstance(exponent, int)
            return (digits == (0,) or len(digits) + exponent <= _BEFORE) and -exponent <= _BEHIND
        case str():
            return re.search("[\0\ud800-\udfff]", raw) is None
        case list():
            return all(map(keepable, raw))
        case dict():
            return not isinstance(raw, Repeated) and all(keepable(each) for pair in raw.items() for each in pair)
        case _:
            return True


@dataclass(frozen=True)
class Document:
    """A JSON value. Two are equal if their jsonb values are: 1.0 equals 1, and true does not."""

    canonical: object

    @classmethod
    def of(cls, raw: Raw) -> Document:
        """The document of a raw value."""
        return cls(_canonical(raw))

    @classmethod
    def of_text(cls, text: str) -> Document:
        """The document that a text spells."""
        return cls.of(parse(text))


def _canonical(raw: Raw) -> object:
    match raw:
        case None:
            return "null"
        case bool():
            return ("boolean", raw)
        case Number():
            return ("number", Decimal(raw))
        case str():
            return ("text", raw)
        case list():
            return ("array", tuple(map(_canonical, raw)))
        case dict():
            return ("object", frozenset((key, _canonical(value)) for key, value in raw.items()))
        case _:
            raise TypeError(type(raw))

"""Reads and writes JSON with every number as it is written, and checks what PostgreSQL's jsonb can store.

What belongs here: single JSON texts. What does not: files of them (`json_text`), columns (`row_by_row`, `rules`).

The tokenizer is the standard library's, in C. It gives the characters of each number, so that no number is converted
to a double. Unlike its defaults, it refuses NaN, Infinity and a duplicate key in an object.
"""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BLANKS = " \t\r\n"
# PostgreSQL's JSON parser is recursive, and so are the parsers of many programs that read its documents.
MAX_JSON_DEPTH = 200
# PostgreSQL's numeric: most digits before and after the point, and the largest exponent that it reads.
_NUMERIC_WHOLE, _NUMERIC_SCALE, _NUMERIC_EXPONENT = 131_072, 16_383, 2**30 - 1
# A shorter text without such an exponent has no number beyond numeric. An exponent of three digits adds up to 999.
_LONG = _NUMERIC_SCALE - 1_000
_LARGE_EXPONENT = re.compile(r"[eE][+-]?[0-9]{4}")
# In a text without these, DuckDB prints each number as it is written.
_REPRINTED = re.compile(r"[0-9][.eE]|[0-9]{16}|-0")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"|["{}\[\]]', re.DOTALL)


class Number(str):
    """A number as the text writes it."""

    __slots__ = ()


class NotJsonError(ValueError):
    """A text that is not JSON. `position` counts characters from 0; `cut` says that only the end is missing."""

    def __init__(self, reason: str, position: int | None = None, *, cut: bool = False) -> None:
        self.reason, self.position, self.cut = reason, position, cut
        super().__init__(reason)


class DuplicateKeyError(ValueError):
    """An object has a duplicate key: PostgreSQL would keep the last value, other readers the first."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(key)


class NestedTooDeepError(ValueError):
    """JSON with more levels than the tokenizer can read."""


def read_value(text: str, at: int = 0) -> tuple[Any, int]:
    """Read the value that begins at `at`, which is not a blank; the value and its end. Numbers are `Number`.

    Raises:
        NotJsonError: there is no valid value.
        DuplicateKeyError: one of its objects has a duplicate key.
        NestedTooDeepError: it has about a thousand levels.
    """
    try:
        return _scan(text, at)
    except StopIteration as error:
        raise NotJsonError("a value is missing", error.value, cut=not text[error.value :].strip(BLANKS)) from None
    except json.JSONDecodeError as error:
        cut = error.msg.startswith("Unterminated string") or not text[error.pos :].strip(BLANKS)
        reason = error.msg.removesuffix(" at")
        raise NotJsonError(reason[:1].lower() + reason[1:], error.pos, cut=cut) from None
    except RecursionError:
        raise NestedTooDeepError from None


def pass_value(text: str, at: int) -> int | None:
    """The end of the valid value that begins at `at`; None if there is none, or if it is not complete.

    Its objects may have a key twice: the value is not kept.
    """
    try:
        _, end = _pass(text, at)
    except (ValueError, StopIteration, RecursionError):
        return None
    return int(end)


def value_end(text: str, at: int) -> int | None:
    """The end of an object or array by its brackets only, for values that cannot be read. None if it has no end."""
    depth = 0
    for match in _STRUCTURE.finditer(text, at):
        sign = match[0]
        if sign == '"':
            return None  # a quote that is not closed
        depth += (sign in "{[") - (sign in "}]")
        if depth <= 0:
            return match.end()
    return None


def has_half_pair(text: str, value: Any) -> bool:
    r"""Whether a value holds half of a surrogate pair, as in "\ud800", which cannot be written as UTF-8."""
    if "\\u" not in text or not _SURROGATE.search(text):
        return False
    try:
        spelled(value).encode()
    except UnicodeEncodeError:
        return True
    return False


def spelled(value: Any) -> str:
    """A value as JSON without blanks, its numbers as they were written."""
    try:
        return _spelled(value)
    except RecursionError:
        return _spelled_deep(value)


def _spelled(value: Any) -> str:
    kind = type(value)
    if kind is dict:
        return "{" + ",".join([f"{encode_basestring(key)}:{_spelled(member)}" for key, member in value.items()]) + "}"
    if kind is list:
        return "[" + ",".join(map(_spelled, value)) + "]"
    return _spelled_leaf(value)


def _spelled_leaf(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return encode_basestring(value)
    if kind is Number:
        return str(value)
    return {None: "null", True: "true", False: "false"}[value]


def _spelled_deep(value: Any) -> str:
    """The same as `_spelled` without recursion: the tokenizer reads more levels than Python allows frames."""
    parts: list[str] = []
    # A stack of what is still to be written: literal text, or a value.
    waiting: list[tuple[str | None, Any]] = [(None, value)]
    while waiting:
        text, value = waiting.pop()
        if text is not None:
            parts.append(text)
        elif type(value) is dict:
            members = [(f"{',' * (at > 0)}{encode_basestring(key)}:", value[key]) for at, key in enumerate(value)]
            waiting += _in_reverse("{", members, "}")
        elif type(value) is list:
            waiting += _in_reverse("[", [(",", member) if at else ("", member) for at, member in enumerate(value)], "]")
        else:
            parts.append(_spelled_leaf(value))
    return "".join(parts)


def _in_reverse(begin: str, members: list[tuple[str, Any]], end: str) -> Iterator[tuple[str | None, Any]]:
    """The texts and values of an object or array in reverse order, for the stack."""
    yield end, None
    for text, member in reversed(members):
        yield None, member
        yield text, None
    yield begin, None


def text_cell(value: Any) -> str | None:
    """A value as the text of a cell, as CSV would hold it."""
    if value is None or type(value) is str or type(value) is Number:
        return value
    return spelled(value)


def json_cell(value: Any) -> str | None:
    """A value as the text of a cell of a jsonb column. A blank text is a null, as in other columns."""
    if value is None or (type(value) is str and not value.strip(BLANKS)):
        return None
    return spelled(value)


def kept_by_jsonb(text: str) -> bool:
    """Whether PostgreSQL's jsonb can store a text unchanged: valid, not too deep, unique keys, numbers in numeric."""
    try:
        if len(text) > _LONG or "\\u" in text or _LARGE_EXPONENT.search(text) or _brackets(text) > MAX_JSON_DEPTH:
            return _kept_if_read(text)
        start = len(text) - len(text.lstrip(BLANKS))
        _, end = _check(text, start)
        return end == len(text) or not text[end:].strip(BLANKS)
    except (ValueError, StopIteration, RecursionError):
        return False


def kept_by_jsonb_column(texts: pa.ChunkedArray) -> pa.Array:
    """`kept_by_jsonb` for a whole column, for DuckDB."""
    return pa.array([None if text is None else kept_by_jsonb(text) for text in texts.to_pylist()], pa.bool_())


def numbers_as_text(text: str, mark: str) -> str:
    """A JSON text in which each number that DuckDB would print differently is a text of `mark` and its characters.

    DuckDB reads numbers inside JSON as doubles: expressions over them get the characters of the file instead.
    """
    if not _REPRINTED.search(text):
        return text
    try:
        value, _ = read_value(text, len(text) - len(text.lstrip(BLANKS)))
        return spelled(_marked(value, mark))
    except (ValueError, RecursionError):
        return text


def numbers_as_text_column(texts: pa.ChunkedArray, marks: pa.ChunkedArray) -> pa.Array:
    """`numbers_as_text` for a whole column, for DuckDB."""
    pairs = zip(texts.to_pylist(), marks.to_pylist(), strict=True)
    return pa.array([None if text is None else numbers_as_text(text, mark) for text, mark in pairs], pa.string())


def _marked(value: Any, mark: str) -> Any:
    kind = type(value)
    if kind is Number:
        is_kept = value == (str(int(value)) if _is_int64(value) else repr(float(value)))
        return value if is_kept else mark + value
    if kind is dict:
        return {key: _marked(member, mark) for key, member in value.items()}
    return [_marked(member, mark) for member in value] if kind is list else value


def _is_int64(number: str) -> bool:
    return number.lstrip("-").isdigit() and len(number) < 20 and -(2**63) <= int(number) < 2**63


def _kept_if_read(text: str) -> bool:
    value, end = read_value(text, len(text) - len(text.lstrip(BLANKS)))
    return not text[end:].strip(BLANKS) and _keepable(value)


def _keepable(document: Any) -> bool:
    waiting = [(document, 1)]
    while waiting:
        value, depth = waiting.pop()
        kind = type(value)
        if kind is Number:
            if not _is_numeric(value):
                return False
        elif kind is str:
            if "\0" in value or not _is_encodable(value):
                return False
        elif kind is dict or kind is list:
            if depth > MAX_JSON_DEPTH:
                return False
            waiting += [(member, depth + 1) for member in (value.values() if kind is dict else value)]
            waiting += [(key, depth) for key in value] if kind is dict else []
    return True


def _is_numeric(number: str) -> bool:
    mantissa, _, power = number.lower().partition("e")
    if len(power.lstrip("+-0")) > len(str(_NUMERIC_EXPONENT)):
        return False
    exponent = int(power or 0)
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    zeros = len(whole + fraction) - len((whole + fraction).lstrip("0"))
    is_zero = zeros == len(whole + fraction)
    return (
        abs(exponent) <= _NUMERIC_EXPONENT
        and len(fraction) - exponent <= _NUMERIC_SCALE
        and (is_zero or len(whole) + exponent - zeros <= _NUMERIC_WHOLE)
    )


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _brackets(text: str) -> int:
    return text.count("[") + text.count("{")


def _object(members: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        seen: set[str] = set()
        raise DuplicateKeyError(next(key for key, _ in members if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return found


def _constant(name: str) -> None:
    raise NotJsonError(f"{name} is no JSON value")


def _scanner(
    number: type[str], pairs: Callable[[Sequence[tuple[str, Any]]], Any] | None
) -> Callable[[str, int], tuple[Any, int]]:
    scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder(
        parse_int=number, parse_float=number, parse_constant=_constant, object_pairs_hook=pairs
    ).scan_once  # type: ignore[attr-defined]
    return scan


_scan = _scanner(Number, _object)
# For checks that do not use the numbers: plain `str` is faster than `Number`.
_check = _scanner(str, _object)
_pass = _scanner(str, None)

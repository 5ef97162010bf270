"""JSON records as text, and the lines of newline-delimited JSON.

Every record has its line, its raw text, and its members or the reason why it has none. Documents of several lines are
read by `json_document`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from include.errors import Code, visible
from include.errors.registry import message
from include.ingestion.readers.json_values import (
    BLANKS,
    DuplicateKeyError,
    NestedTooDeepError,
    NotJsonError,
    has_half_pair,
    read_value,
    value_end,
)
from include.ingestion.readers.text_lines import BYTE_ORDER_MARK, RAW_SHOWN, Lines, broken_character, readable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Where files were concatenated, a byte order mark may also come before a record. It is not part of the JSON.
BETWEEN_RECORDS = BLANKS + BYTE_ORDER_MARK
_NOT_BLANK = re.compile(f"[^{BETWEEN_RECORDS}]|\\Z")


class JsonRecord(NamedTuple):
    """One record. `members` is None where `code` says why it cannot be read.

    `key` is that of a record that is itself the member of an object, in the file's document of that number.
    """

    line: int
    raw: str
    members: dict[str, Any] | None
    code: Code | None = None
    message: str = ""
    key: str | None = None
    document: int = 0


def ndjson_records(path: Path, max_row_bytes: int, *, one_per_line: bool = False) -> Iterator[JsonRecord]:
    """The records of each line that is not blank: one, or objects one after another.

    With `one_per_line` every line is one record, also a blank one: it is refused, and the numbers of the records are
    those of the lines.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        lines = Lines(stream, max_row_bytes)
        while (line := lines.next()) is not None:
            text = line.strip(BETWEEN_RECORDS)
            if not text:
                if one_per_line:
                    blank = message(Code.BAD_ROW_JSON, "blank")
                    yield JsonRecord(lines.number, "", None, Code.BAD_ROW_JSON, blank)
                continue
            if lines.cut:
                too_long = message(Code.ROW_TOO_LONG, limit=max_row_bytes)
                yield JsonRecord(lines.number, text[:RAW_SHOWN], None, Code.ROW_TOO_LONG, too_long)
            elif not text.isascii() and (broken := broken_character(text)):
                yield JsonRecord(lines.number, readable(text)[:RAW_SHOWN], None, Code.BAD_ENCODING, broken)
            else:
                yield from _line_records(text, lines.number, one_per_line=one_per_line)


def _line_records(text: str, line: int, *, one_per_line: bool) -> Iterator[JsonRecord]:
    at = 0
    while at < len(text):
        record, end = _read_record(text, at, line)
        following = _NOT_BLANK.search(text, end)
        end = following.start() if following else len(text)
        if end < len(text) and (one_per_line or text[end] != "{"):
            yield JsonRecord(line, text[at:], None, Code.BAD_ROW_JSON, message(Code.BAD_ROW_JSON, "more", end=end))
            return
        yield record
        at = end


def _read_record(text: str, at: int, line: int) -> tuple[JsonRecord, int]:
    """The record at `at`, and its end: the end of the text if its own is unknown."""
    try:
        value, end = read_value(text, at)
    except NotJsonError as error:
        end = value_end(text, at) or len(text)
        where = f" at character {error.position + 1}" if error.position is not None else ""
        advice = "write null, or a text" if error.position is None else "look for a cut-off line, a quote or a bracket"
        fault = message(Code.BAD_ROW_JSON, reason=f"{error.reason}{where}", advice=advice)
        return JsonRecord(line, text[at:end], None, Code.BAD_ROW_JSON, fault), end
    except (DuplicateKeyError, NestedTooDeepError) as error:
        end = value_end(text, at) or len(text)
        return refused_record(text[at:end], line, error), end
    return record_of(text[at:end], line, value), end


def refused_record(raw: str, line: int, error: DuplicateKeyError | NestedTooDeepError) -> JsonRecord:
    """The record for a value that could be read and not be kept."""
    if isinstance(error, DuplicateKeyError):
        twice = message(Code.DUPLICATE_COLUMNS, "key twice", key=visible(error.key[:60]))
        return JsonRecord(line, raw, None, Code.DUPLICATE_COLUMNS, twice)
    return JsonRecord(line, raw, None, Code.BAD_JSON, message(Code.BAD_JSON, "record"))


def record_of(raw: str, line: int, value: Any) -> JsonRecord:
    """The record for a value, which is refused unless it is an object."""
    if type(value) is not dict:
        return JsonRecord(line, raw, None, Code.NOT_AN_OBJECT, message(Code.NOT_AN_OBJECT))
    if "\\u" in raw and has_half_pair(raw, value):
        return JsonRecord(line, raw, None, Code.BAD_ROW_JSON, message(Code.BAD_ROW_JSON, "half pair"))
    return JsonRecord(line, raw, value)

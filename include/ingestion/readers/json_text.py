"""JSON as text: one record per line, one per element of an array, or objects one after another.

Every record has its line, its raw text, and its members or the reason why it has none. A record that is not JSON
refuses the whole document: it is unknown where the next one begins.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from include.errors import Code, visible
from include.errors.registry import message
from include.ingestion.readers.json_values import (
    BLANKS,
    DuplicateKeyError,
    NestedTooDeepError,
    NotJsonError,
    Number,
    has_half_pair,
    read_value,
    value_end,
)
from include.ingestion.readers.text_lines import BYTE_ORDER_MARK, RAW_SHOWN, Lines, broken_character, readable
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ_CHARACTERS = 1024**2
# Where files were concatenated, a byte order mark may also come before a record. It is not part of the JSON.
_BETWEEN_RECORDS = BLANKS + BYTE_ORDER_MARK
_NOT_BLANK = re.compile(f"[^{_BETWEEN_RECORDS}]|\\Z")
_LINE_END = re.compile("\r\n|\r|\n")
# The text read so far may end in the middle of a word or an escape: an error so near to its end may need more text.
_NEAR_THE_END = 16
# The text read so far of 1.5e+3 may end before "." or "e+".
_CUT_NUMBER = len("e+") + 1


class JsonRecord(NamedTuple):
    """One record. `members` is None where `code` says why it cannot be read."""

    line: int
    raw: str
    members: dict[str, Any] | None
    code: Code | None = None
    message: str = ""


def ndjson_records(path: Path, max_row_bytes: int, *, one_per_line: bool = False) -> Iterator[JsonRecord]:
    """The records of each line that is not blank: one, or objects one after another.

    With `one_per_line` every line is one record, also a blank one: it is refused, and the numbers of the records are
    those of the lines.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        lines = Lines(stream, max_row_bytes)
        while (line := lines.next()) is not None:
            text = line.strip(_BETWEEN_RECORDS)
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
        return _refused(text[at:end], line, error), end
    return _record(text[at:end], line, value), end


def _refused(raw: str, line: int, error: DuplicateKeyError | NestedTooDeepError) -> JsonRecord:
    if isinstance(error, DuplicateKeyError):
        twice = message(Code.DUPLICATE_COLUMNS, "key twice", key=visible(error.key[:60]))
        return JsonRecord(line, raw, None, Code.DUPLICATE_COLUMNS, twice)
    return JsonRecord(line, raw, None, Code.BAD_JSON, message(Code.BAD_JSON, "record"))


def _record(raw: str, line: int, value: Any) -> JsonRecord:
    if type(value) is not dict:
        return JsonRecord(line, raw, None, Code.NOT_AN_OBJECT, message(Code.NOT_AN_OBJECT))
    if "\\u" in raw and has_half_pair(raw, value):
        return JsonRecord(line, raw, None, Code.BAD_ROW_JSON, message(Code.BAD_ROW_JSON, "half pair"))
    return JsonRecord(line, raw, value)


def document_records(path: Path, max_row_bytes: int) -> Iterator[JsonRecord]:
    """Each element of a JSON array, or each of several consecutive values.

    Raises:
        FileRefusedError: the document is broken or cut off, or a record is too long; the message says where.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        document = _Document(stream, max_row_bytes)
        is_array = document.next_sign() == "["
        if not is_array:
            while document.next_sign():
                yield document.record()
            return
        document.skip_sign()
        more = document.next_sign() != "]"
        while more:
            yield document.record()
            sign = document.next_sign()
            document.skip_sign()
            if sign not in {",", "]"}:
                raise document.broken("a comma or the closing bracket is missing", after=True, cut=not sign)
            more = sign == ","
            if more and (following := document.next_sign()) in {"]", ""}:
                raise document.broken("a record is missing after the comma", after=True, cut=not following)
        if not document.count:
            document.skip_sign()
        if document.next_sign():
            raise FileRefusedError.for_code(Code.UNREADABLE_FILE, "json after array")


class _Document:
    """A document that is read in chunks: the text in memory begins with the current record."""

    def __init__(self, stream: TextIO, max_row_bytes: int) -> None:
        self._stream, self._limit = stream, max_row_bytes
        self._text, self._at, self._is_whole = "", 0, False
        self._line = 1
        self.count = 0

    def next_sign(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            match = _NOT_BLANK.search(self._text, self._at)
            self._advance(match.start() if match else len(self._text))
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    def skip_sign(self) -> None:
        self._at += 1

    def record(self) -> JsonRecord:
        """The record that begins here."""
        self.count += 1
        line = self._line
        while (read := self._read(line)) is None:
            pass
        record, end = read
        if end - self._at > self._limit // 4 and len(record.raw.encode("utf-8", "surrogatepass")) > self._limit:
            raise self._too_long()
        self._advance(end)
        if not record.raw.isascii() and (broken := broken_character(record.raw)):
            return JsonRecord(line, readable(record.raw)[:RAW_SHOWN], None, Code.BAD_ENCODING, broken)
        return record

    def _read(self, line: int) -> tuple[JsonRecord, int] | None:
        """The record and its end; None if more of the text had to be read first."""
        text, at = self._text, self._at
        try:
            value, end = read_value(text, at)
        except NotJsonError as error:
            is_broken = error.position is None or not (error.cut or error.position > len(text) - _NEAR_THE_END)
            if not is_broken and self._has_more(at):
                return None
            where = "" if error.position is None else f" at its character {error.position - at + 1}"
            raise self.broken(f"{error.reason}{where}", cut=error.cut) from error
        except (DuplicateKeyError, NestedTooDeepError) as error:
            end = value_end(text, at) or 0
            if not end and self._has_more(at):
                return None
            return _refused(text[at : end or len(text)], line, error), end or len(text)
        if (end == len(text) or (type(value) is Number and end > len(text) - _CUT_NUMBER)) and self._has_more(at):
            return None  # a number may go on
        return _record(text[at:end], line, value), end

    def _has_more(self, at: int) -> bool:
        if self._is_whole:
            return False
        if len(self._text) - at > self._limit:
            raise self._too_long()
        return self._read_on()

    def _read_on(self) -> bool:
        held = len(self._text) - self._at
        chunk = self._stream.read(max(READ_CHARACTERS, held))
        while chunk.endswith("\r") and (following := self._stream.read(1)):
            chunk += following
        self._is_whole = not chunk
        if chunk:
            self._text, self._at = self._text[self._at :] + chunk, 0
        return bool(chunk)

    def _advance(self, end: int) -> None:
        skipped = self._text[self._at : end]
        if "\n" in skipped or "\r" in skipped:
            self._line += len(_LINE_END.findall(skipped))
        self._at = end

    def _too_long(self) -> FileRefusedError:
        return FileRefusedError.for_code(
            Code.ROW_TOO_LONG, "document", number=self.count, line=self._line, limit=self._limit
        )

    def broken(self, reason: str, *, after: bool = False, cut: bool) -> FileRefusedError:
        """The error for a document that is not JSON in the current record, or after it."""
        where = f"{'after' if after else 'in'} record {self.count} (line {self._line})"
        if cut:
            return FileRefusedError.for_code(Code.TRUNCATED_FILE, "json", where=where)
        return FileRefusedError.for_code(Code.UNREADABLE_FILE, "json", where=where, reason=reason)

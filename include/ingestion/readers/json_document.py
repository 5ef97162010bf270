"""JSON documents: their records, however many lines each has, and wherever they are inside.

What belongs here: reading a document in chunks, and the way to its records. What does not: a single record
(`json_text`), columns (`json_columns`).

A document is an array of records, or values one after another. With a record path or a key column, each value of the
file is a document that has its records inside. All that surrounds them is read, but not kept. A text that is not JSON
refuses the file: it is unknown where the next record begins.
"""

from __future__ import annotations

import re
from io import StringIO
from itertools import count
from typing import TYPE_CHECKING, Any, TextIO

from include.contracts.paths import list_index
from include.errors import Code, visible
from include.errors.registry import message
from include.ingestion.readers.json_text import BETWEEN_RECORDS, JsonRecord, record_of, refused_record
from include.ingestion.readers.json_values import (
    BLANKS,
    MAX_JSON_DEPTH,
    DuplicateKeyError,
    NestedTooDeepError,
    NotJsonError,
    Number,
    has_half_pair,
    pass_value,
    read_value,
    value_end,
)
from include.ingestion.readers.text_lines import RAW_SHOWN, broken_character, readable
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.contracts.dialect import Dialect

READ_CHARACTERS = 1024**2
_NOT_BLANK = re.compile(f"[^{BLANKS}]|\\Z")
_BEFORE_RECORD = re.compile(f"[^{BETWEEN_RECORDS}]|\\Z")
_LINE_END = re.compile("\r\n|\r|\n")
# The text read so far may end in the middle of a word or an escape: an error so near to its end may need more text.
_NEAR_THE_END = 16
# The text read so far of 1.5e+3 may end before "." or "e+".
_CUT_NUMBER = len("e+") + 1
_SHOWN = 60


def document_records(path: Path, max_row_bytes: int) -> Iterator[JsonRecord]:
    """Each element of a JSON array, or each of several consecutive values.

    Raises:
        FileRefusedError: the document is broken or cut off, or a record is too long; the message says where.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        document = _Document(stream, max_row_bytes)
        if document.next_sign(_BEFORE_RECORD) != "[":
            while document.next_sign(_BEFORE_RECORD):
                yield document.record()
            return
        for _ in document.elements(_BEFORE_RECORD):
            yield document.record()
        if document.next_sign(_BEFORE_RECORD):
            raise FileRefusedError.for_code(Code.UNREADABLE_FILE, "json after array")


def inner_records(path: Path, max_row_bytes: int, dialect: Dialect) -> Iterator[JsonRecord]:
    """The records at the record path of each document of the file; with a key column each has its key.

    Raises:
        FileRefusedError: a document is broken or cut off, has no records there, or a record is too long.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        yield from _inner_records(stream, max_row_bytes, dialect)


def _inner_records(stream: TextIO, max_row_bytes: int, dialect: Dialect) -> Iterator[JsonRecord]:
    document = _Document(stream, max_row_bytes)
    for number in count(1):
        if not document.next_sign(_BEFORE_RECORD):
            return
        search = _Search(document, dialect, number)
        yield from search.descend(dialect.record_steps)
        search.refuse_missing()


def has_no_records(text: str, max_row_bytes: int, dialect: Dialect) -> bool:
    """Whether a text is a valid document without a record at the record path."""
    try:
        return next(_inner_records(StringIO(text), max_row_bytes, dialect), None) is None
    except FileRefusedError:
        return False


def array_at(text: str, steps: tuple[str, ...]) -> int | None:
    """The position after the opening bracket of the array at a path; None if the text shows no such array.

    Args:
        text: the beginning of a document.
        steps: the path, of keys only.
    """
    at = _after_blanks(text, 0)
    for step in steps:
        if not text.startswith("{", at):
            return None
        while True:
            found = _key_at(text, _after_blanks(text, at + 1))
            if found is None:
                return None
            key, at = found
            if key == step:
                break
            end = pass_value(text, at)
            at = _after_blanks(text, end if end is not None else len(text))
            if not text.startswith(",", at):
                return None
    return at + 1 if text.startswith("[", at) else None


def _key_at(text: str, at: int) -> tuple[str, int] | None:
    """The key that begins at `at`, and where its value begins; None if there is none."""
    if not text.startswith('"', at):
        return None
    try:
        key, end = read_value(text, at)
    except NotJsonError:
        return None
    at = _after_blanks(text, end)
    return (key, _after_blanks(text, at + 1)) if text.startswith(":", at) else None


def _after_blanks(text: str, at: int) -> int:
    match = _NOT_BLANK.search(text, at)
    return match.start() if match else len(text)


class _Search:
    """The search for the records of one document, which is read to its end before a missing path is reported."""

    def __init__(self, document: _Document, dialect: Dialect, number: int) -> None:
        self._document, self._dialect, self._number = document, dialect, number
        self._line = document.line
        self._found = False
        self._refusal: FileRefusedError | None = None

    def descend(self, steps: tuple[str, ...]) -> Iterator[JsonRecord]:
        """The records below the value that begins here, which is `steps` away from them."""
        sign = self._document.next_sign()
        if not steps:
            yield from self._records(sign)
        elif sign == "{":
            yield from self._member(steps)
        elif sign == "[" and (index := list_index(steps[0])) is not None:
            for at in self._document.elements():
                if at == index:
                    yield from self.descend(steps[1:])
                else:
                    self._document.skip()
        else:
            self._document.skip()

    def refuse_missing(self) -> None:
        """Raise if the document has no records at the record path."""
        if self._refusal is not None:
            raise self._refusal
        if not self._found:
            path = visible(self._dialect.record_path or "")
            raise FileRefusedError.for_code(Code.MISSING_RECORD_PATH, line=self._line, path=path)

    def _member(self, steps: tuple[str, ...]) -> Iterator[JsonRecord]:
        seen = False
        for key, _ in self._document.members():
            if key != steps[0]:
                self._document.skip()
                continue
            if seen:
                shown, where = visible(key[:_SHOWN]), self._document.where()
                # This says more than that one of the two values holds no records.
                self._refusal = FileRefusedError.for_code(Code.DUPLICATE_COLUMNS, "record path", key=shown, where=where)
            seen = True
            yield from self.descend(steps[1:])

    def _records(self, sign: str) -> Iterator[JsonRecord]:
        self._found = True
        is_keyed = self._dialect.key_column is not None
        if sign == "{" and is_keyed:
            for key, raw in self._document.members():
                yield self._document.record(key, raw)._replace(document=self._number)
        elif sign == "[" and not is_keyed:
            for _ in self._document.elements():
                yield self._document.record()
        elif sign == "{":
            yield self._document.record()
        else:
            self._document.skip()
            location = f"at '{visible(self._dialect.record_path)}'" if self._dialect.record_path else "at its top"
            wanted = "an object whose members are the records (keyColumn)" if is_keyed else "the records"
            found = "an array" if sign == "[" else "a single value"
            missing = FileRefusedError.for_code(
                Code.MISSING_RECORD_PATH, "no records", line=self._line, location=location, found=found, wanted=wanted
            )
            self._refusal = self._refusal or missing


def _checked(raw: str, line: int, value: Any) -> JsonRecord:
    if not raw.isascii() and (broken := broken_character(raw)):
        return JsonRecord(line, readable(raw)[:RAW_SHOWN], None, Code.BAD_ENCODING, broken)
    if isinstance(value, DuplicateKeyError | NestedTooDeepError):
        return refused_record(raw, line, value)
    return record_of(raw, line, value)


def _with_key(raw: str, line: int, value: Any, key: tuple[str, str]) -> JsonRecord:
    """The record with its key, of which `key` also has the raw text."""
    record = _checked(f"{key[1]}: {raw}", line, value)
    if record.code is None and has_half_pair(key[1], key[0]):
        fault = message(Code.BAD_ROW_JSON, "half pair")
        record = record._replace(members=None, code=Code.BAD_ROW_JSON, message=fault)
    return record._replace(key=key[0])


class _Document:
    """A document that is read in chunks: the text in memory begins with the current value."""

    def __init__(self, stream: TextIO, max_row_bytes: int) -> None:
        self._stream, self._limit = stream, max_row_bytes
        self._text, self._at, self._is_whole = "", 0, False
        self.line = 1
        # Records read so far, the one being read included.
        self._count, self._is_inside = 0, False

    def next_sign(self, wanted: re.Pattern[str] = _NOT_BLANK) -> str:
        """The next character that is not blank, by the pattern; empty at the end."""
        while True:
            match = wanted.search(self._text, self._at)
            self._advance(match.start() if match else len(self._text))
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    def elements(self, wanted: re.Pattern[str] = _NOT_BLANK) -> Iterator[int]:
        """The index of each element of the array that begins here. The caller reads the element before the next."""
        self._at += 1
        if self.next_sign(wanted) == "]":
            self._at += 1
            return
        at = 0
        while True:
            yield at
            at += 1
            if not self._goes_on("]", "a comma or the closing bracket is missing", wanted):
                return
            if (following := self.next_sign(wanted)) in {"]", ""}:
                raise self._broken("a record is missing after the comma", cut=not following)

    def members(self) -> Iterator[tuple[str, str]]:
        """Each key of the object that begins here, and its raw text. The caller reads the value before the next."""
        self._at += 1
        if self.next_sign() == "}":
            self._at += 1
            return
        while True:
            if (sign := self.next_sign()) != '"':
                raise self._broken("a key in quotes is missing", cut=not sign)
            key, raw = self._value()
            if (sign := self.next_sign()) != ":":
                raise self._broken("a colon after a key is missing", cut=not sign)
            self._at += 1
            self.next_sign()
            yield key, raw
            if not self._goes_on("}", "a comma or the closing brace is missing"):
                return

    def _goes_on(self, closing: str, missing: str, wanted: re.Pattern[str] = _NOT_BLANK) -> bool:
        """Whether a comma follows, and not the closing bracket; either is passed over."""
        sign = self.next_sign(wanted)
        self._at += 1
        if sign not in {",", closing}:
            raise self._broken(missing, cut=not sign)
        return sign == ","

    def record(self, key: str | None = None, raw_key: str = "") -> JsonRecord:
        """The record that begins here; with its key, where it is the member of an object."""
        self._count += 1
        line, self._is_inside = self.line, True
        value, raw = self._value()
        if len(raw) > self._limit // 4 and len(raw.encode("utf-8", "surrogatepass")) > self._limit:
            raise self._too_long()
        self._is_inside = False
        return _checked(raw, line, value) if key is None else _with_key(raw, line, value, (key, raw_key))

    def skip(self, depth: int = 1) -> None:
        """Pass over the value that begins here, of any length."""
        sign = self.next_sign()
        if sign not in {"{", "["}:
            self._value()
            return
        end = pass_value(self._text, self._at)
        if end is not None:
            self._advance(end)
        elif depth > MAX_JSON_DEPTH:
            raise FileRefusedError.for_code(
                Code.UNREADABLE_FILE, "json too deep", depth=MAX_JSON_DEPTH, where=self.where()
            )
        else:
            # Broken, or longer than the text in memory: its parts are read one by one.
            for _ in self.members() if sign == "{" else self.elements():
                self.skip(depth + 1)

    def _value(self) -> tuple[Any, str]:
        """The value that begins here, or the error why it cannot be kept, and its raw text."""
        while (read := self._read()) is None:
            pass
        value, end = read
        raw = self._text[self._at : end]
        self._advance(end)
        return value, raw

    def _read(self) -> tuple[Any, int] | None:
        """The value, or its error, and its end; None if more of the text had to be read first."""
        text, at = self._text, self._at
        try:
            value, end = read_value(text, at)
        except NotJsonError as error:
            is_broken = error.position is None or not (error.cut or error.position > len(text) - _NEAR_THE_END)
            if not is_broken and self._has_more(at):
                return None
            where = "" if error.position is None else f" at its character {error.position - at + 1}"
            raise self._broken(f"{error.reason}{where}", cut=error.cut) from error
        except (DuplicateKeyError, NestedTooDeepError) as error:
            end = value_end(text, at) or 0
            if not end and self._has_more(at):
                return None
            return error, end or len(text)
        if (end == len(text) or (type(value) is Number and end > len(text) - _CUT_NUMBER)) and self._has_more(at):
            return None  # a number may go on
        return value, end

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
            self.line += len(_LINE_END.findall(skipped))
        self._at = end

    def _too_long(self) -> FileRefusedError:
        return FileRefusedError.for_code(
            Code.ROW_TOO_LONG,
            "document" if self._is_inside else "outside",
            number=self._count,
            line=self.line,
            limit=self._limit,
        )

    def where(self) -> str:
        """The position, for messages."""
        location = (
            f"{'in' if self._is_inside else 'after'} record {self._count}" if self._count else "before any record"
        )
        return f"{location} (line {self.line})"

    def _broken(self, reason: str, *, cut: bool) -> FileRefusedError:
        """The error for a document that is not JSON in the current record, or outside the records."""
        if cut:
            return FileRefusedError.for_code(Code.TRUNCATED_FILE, "json", where=self.where())
        return FileRefusedError.for_code(Code.UNREADABLE_FILE, "json", where=self.where(), reason=reason)

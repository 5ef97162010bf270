"""Records of JSON: lines, arrays, documents with a record path, and messages.

What belongs here: from text to records. What does not: finding records inside of a document (`inner_records`), which
texts are JSON (`readers`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from include.errors import Code
from tests.oracle.csv_records import BROKEN_BYTE, line_end
from tests.oracle.documents import NotJsonError, Raw, Text, half_pair, parse, parse_from, repeats
from tests.oracle.inner_records import inner_records
from tests.oracle.names import letters
from tests.oracle.records import Record, Source
from tests.oracle.values import text_of
from tests.oracle.verdict import FileRefused

if TYPE_CHECKING:
    from include.contracts.model import Contract


def ndjson(text: str, _: Contract) -> Source:
    """A record for each line; several objects of one line are several records."""
    found: list[Record] = []
    at, line = 0, 0
    while at < len(text):
        end, after = line_end(text, at)
        content, at, line = text[at:end], after, line + 1
        if not content.strip(" \t\ufeff"):
            continue
        row = len(found) + 1
        if BROKEN_BYTE.search(content):
            found.append(Record(row, line, code=Code.BAD_ENCODING))
            continue
        found += _line_records(content, row, line)
    return json_source(found)


def _line_records(content: str, row: int, line: int) -> list[Record]:
    """One record, or consecutive objects; a broken one refuses the remainder of the line."""
    found: list[Record] = []
    at = after_blanks(content, 0)
    while at < len(content):
        try:
            value, end = parse_from(content, at)
        except NotJsonError:
            return [*found, Record(row + len(found), line, code=Code.BAD_ROW_JSON)]
        at = after_blanks(content, end)
        if at < len(content) and content[at] != "{":
            return [*found, Record(row + len(found), line, code=Code.BAD_ROW_JSON)]
        found.append(json_record(row + len(found), line, value))
    return found


def json_document(text: str, _: Contract) -> Source:
    """A record for each element of an array, or for each object of a text of objects."""
    try:
        values = _array(text) if text.lstrip(" \t\r\n").startswith("[") else _sequence(text)
    except NotJsonError as error:
        raise FileRefused(Code.TRUNCATED_FILE if error.cut else Code.UNREADABLE_FILE) from error
    found: list[Record] = []
    for row, (start, end, value) in enumerate(values, 1):
        line = len(re.findall(r"\r\n|\n|\r", text[:start])) + 1
        is_broken = BROKEN_BYTE.search(text[start:end])  # also in the first of two values of a key
        found.append(Record(row, line, code=Code.BAD_ENCODING) if is_broken else json_record(row, line, value))
    return json_source(found)


def inner(text: str, contract: Contract) -> Source:
    """The records at the record path, or under keys."""
    column = contract.dialect.key_column
    found: list[Record] = []
    for row, one in enumerate(inner_records(text, contract.dialect.record_path, keyed=column is not None), 1):
        line = len(re.findall(r"\r\n|\n|\r", text[: one.start])) + 1
        record = replace(json_record(row, line, one.value), key=one.key)
        if BROKEN_BYTE.search(text[one.start : one.end]):
            record = Record(row, line, code=Code.BAD_ENCODING)
        elif not record.code and one.key is not None and half_pair(one.key):
            record = Record(row, line, code=Code.BAD_ROW_JSON)
        elif not record.code and one.is_repeated:
            record = Record(row, line, code=Code.DUPLICATE_COLUMNS)
        if column is not None and not record.code:
            record = _with_key(record, column)
        found.append(record)
    return replace(json_source(found), is_keyed=column is not None)


def _with_key(record: Record, column: str) -> Record:
    """The record without the members that would be the key's column: they must have the same value."""
    same = [name for name in record.cells if letters(name) == letters(column)]
    if any(record.cells[name] is not None and (text_of(record.cells[name]) or "") != record.key for name in same):
        return Record(record.row, record.line, code=Code.DUPLICATE_COLUMNS)
    return replace(record, cells={name: raw for name, raw in record.cells.items() if name not in same})


def after_blanks(text: str, at: int) -> int:
    """The position after blanks and byte order marks."""
    while at < len(text) and text[at] in " \t\r\n\ufeff":
        at += 1
    return at


def _array(text: str) -> list[tuple[int, int, Raw]]:
    at = after_blanks(text, 0) + 1
    found: list[tuple[int, int, Raw]] = []
    if text.startswith("]", after_blanks(text, at)):
        at = after_blanks(text, at)
    else:
        while True:
            start = after_blanks(text, at)
            value, at = parse_from(text, start)
            found.append((start, at, value))
            at = after_blanks(text, at)
            if not text.startswith(",", at):
                break
            at += 1
    if not text.startswith("]", at):
        raise NotJsonError(cut=at == len(text))
    if after_blanks(text, at + 1) != len(text):
        raise NotJsonError
    return found


def _sequence(text: str) -> list[tuple[int, int, Raw]]:
    found: list[tuple[int, int, Raw]] = []
    at = after_blanks(text, 0)
    while at < len(text):
        value, end = parse_from(text, at)
        found.append((at, end, value))
        at = after_blanks(text, end)
    return found


def json_record(row: int, line: int | None, value: Raw) -> Record:
    """A value of JSON as a record."""
    if repeats(value):
        return Record(row, line, code=Code.DUPLICATE_COLUMNS)
    if not isinstance(value, dict):
        return Record(row, line, code=Code.NOT_AN_OBJECT)
    if half_pair(value):
        return Record(row, line, code=Code.BAD_ROW_JSON)
    return Record(row, line, {name: Text(raw) if type(raw) is str else raw for name, raw in value.items()})


def json_source(found: list[Record]) -> Source:
    """Records of JSON as a file."""
    names = dict.fromkeys(name for record in found for name in record.cells)
    return Source(tuple(names), tuple(found), is_nested=True)


def message_record(row: int, value: bytes) -> Record:
    """A message in JSON as a record; its line is its position."""
    text = value.decode("utf-8", "surrogateescape")
    if not text.strip(" \t\r\n"):
        return Record(row, row, code=Code.EMPTY_MESSAGE)
    if BROKEN_BYTE.search(text):
        return Record(row, row, code=Code.BAD_ENCODING)
    try:
        return json_record(row, row, parse(text))
    except NotJsonError:
        return Record(row, row, code=Code.BAD_ROW_JSON)

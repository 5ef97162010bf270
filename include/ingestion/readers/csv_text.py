"""CSV as text, for the slow path: records with their first line, their raw text, and the faults of their structure.

The fast path, for files without faults, is `vectorised`; `sniff` serves both. Each record is accepted or refused on its
own: after a broken quote, reading continues with the next line, so that one bad record does not consume the others.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from include.errors import Code
from include.errors.registry import message, text
from include.ingestion.header import count_known
from include.ingestion.readers.csv_fields import BrokenRecordError, CsvSyntax, Record
from include.ingestion.readers.text_lines import BYTE_ORDER_MARK, RAW_SHOWN, Lines, broken_character, readable
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.contracts.dialect import Dialect
    from include.contracts.model import Contract

DELIMITERS = (",", ";", "\t", "|")
# The first line of files that Excel writes or reads: it names the delimiter.
_LONGEST_SEPARATOR_LINE = 100
_SEPARATOR_LINE = re.compile(r'(?i)"?sep=([^\w\r\n"])"?\r?\n?')


@dataclass(frozen=True)
class CsvRecord:
    """One record. `fields` is None where `code` says that its structure is broken."""

    line: int
    fields: list[str] | None
    raw: str
    code: Code | None = None
    message: str = ""


@dataclass(frozen=True)
class CsvShape:
    """How the records of a CSV file are written, and the names of its columns: those of its header if it has one."""

    syntax: CsvSyntax
    header: tuple[str, ...]
    has_header: bool = True

    @property
    def delimiter(self) -> str:
        """The character between two fields."""
        return self.syntax.delimiter

    @property
    def nulls(self) -> frozenset[str]:
        """The fields without quotes that are read as empty ones."""
        return self.syntax.nulls


def sniff(path: Path, contract: Contract, max_row_bytes: int) -> CsvShape:
    """Find the delimiter with which the header names most columns of the contract.

    Where the contract has the delimiter, or the first line names it as in `sep=;`, it is that one. In a file without a
    header line it is the one that gives the first record as many fields as there are columns.

    Raises:
        FileRefusedError: the header cannot be read, or is longer than a row may be.
    """
    dialect = contract.dialect
    first_line, separator = _separator_line(path, dialect)
    given = dialect.delimiter or separator
    names = dialect.header or tuple(column.name for column in contract.source_columns)
    best: tuple[int, int, CsvShape] | None = None
    for delimiter in (given,) if given else DELIMITERS:
        syntax = replace(syntax_of(dialect, delimiter), first_line=first_line)
        # A header has no nulls.
        first = next(read_records(path, replace(syntax, nulls=frozenset()), None, max_row_bytes), None)
        if first is None:
            raise FileRefusedError.for_code(Code.EMPTY_FILE)
        if not dialect.has_header:
            fits = first.fields is not None and len(first.fields) == len(names)
            candidate = (int(fits), 0, CsvShape(syntax, names, has_header=False))
        elif first.fields is None:
            unreadable = text(Code.UNREADABLE_FILE, "header", reason=first.message)
            problem = FileRefusedError(first.code or Code.UNREADABLE_FILE, *unreadable)
            if first.code is Code.ROW_TOO_LONG:
                raise problem
            continue
        else:
            candidate = (count_known(first.fields, contract), len(first.fields), CsvShape(syntax, tuple(first.fields)))
        if best is None or candidate[:2] > best[:2]:
            best = candidate
    if best is None:
        raise problem
    return best[2]


def syntax_of(dialect: Dialect, delimiter: str) -> CsvSyntax:
    """How the records of a dialect's files are written, with this delimiter."""
    return CsvSyntax(
        delimiter, dialect.quote, dialect.escape or "", dialect.comment or "", frozenset(dialect.null_values)
    )


def separator_of(line: str, dialect: Dialect) -> str:
    """The delimiter that a file's first line names, as in `sep=;`; empty if it is no such line.

    Where the contract has another delimiter, such a line is like any other.
    """
    match = _SEPARATOR_LINE.fullmatch(line)
    if match is None or dialect.delimiter not in {None, match[1]} or match[1] in {dialect.quote, dialect.escape}:
        return ""
    return match[1]


def _separator_line(path: Path, dialect: Dialect) -> tuple[int, str]:
    """The number of the line after the one that names the delimiter, and that delimiter; 1 and empty without one."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        for _ in range(dialect.skip_lines):
            stream.readline(_LONGEST_SEPARATOR_LINE)  # they are empty
        separator = separator_of(stream.readline(_LONGEST_SEPARATOR_LINE), dialect)
    return (dialect.skip_lines + 2, separator) if separator else (1, "")


def data_records(path: Path, shape: CsvShape, max_row_bytes: int) -> Iterator[CsvRecord]:
    """The records after the header. A record of another width, or that repeats the header, is refused."""
    records = read_records(path, shape.syntax, len(shape.header), max_row_bytes)
    if shape.has_header:
        next(records)
    header = list(shape.header)
    for record in records:
        if record.fields is not None and is_header_again(record.fields, header, shape.nulls):
            yield CsvRecord(record.line, None, record.raw, Code.REPEATED_HEADER, message(Code.REPEATED_HEADER))
        else:
            yield record


def is_header_again(fields: list[str], header: list[str], nulls: frozenset[str]) -> bool:
    """Whether a record repeats the header, with or without a byte order mark inside its first quotes."""
    if nulls and not nulls.isdisjoint(header):
        header = ["" if name in nulls and not own else name for name, own in zip(header, fields, strict=True)]
    return fields[0].removeprefix(BYTE_ORDER_MARK) == header[0] and fields[1:] == header[1:]


def read_records(path: Path, syntax: CsvSyntax, width: int | None, max_row_bytes: int) -> Iterator[CsvRecord]:
    """Every record of the file, including the header. Blank lines and comments are no records.

    A byte order mark before a record is not part of it: a quote right after it opens a field.

    Args:
        path: plain UTF-8 text.
        syntax: how the records are written.
        width: how many fields a record must have; None accepts any number.
        max_row_bytes: a record longer than this is refused.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        lines = Lines(stream, max_row_bytes)
        while (line := lines.next()) is not None:
            number = lines.number
            line = line.lstrip(BYTE_ORDER_MARK)
            if not line.rstrip("\r\n") or number < syntax.first_line:
                continue
            if syntax.comment and line.startswith(syntax.comment):
                continue
            if lines.cut:
                yield _too_long(number, line, max_row_bytes)
                continue
            if not line.isascii() and (bad := broken_character(line)):
                raw = readable(line).rstrip("\r\n")
                yield CsvRecord(number, None, raw[:RAW_SHOWN], Code.BAD_ENCODING, bad)
                continue
            if syntax.is_plain(line):
                raw = line.rstrip("\r\n")
                record = CsvRecord(number, syntax.without_nulls(raw.split(syntax.delimiter)), raw)
            else:
                record = _Lines(line, lines, syntax, max_row_bytes).record(number)
            if record.fields is not None and width is not None and len(record.fields) != width:
                code = Code.TOO_MANY_FIELDS if len(record.fields) > width else Code.TOO_FEW_FIELDS
                shown = f"{len(record.fields)} field{'s' * (len(record.fields) != 1)}"
                problem = message(code, fields=shown, width=width)
                record = CsvRecord(number, None, record.raw[:RAW_SHOWN], code, problem)
            yield record


def _too_long(number: int, raw: str, limit: int) -> CsvRecord:
    too_long = message(Code.ROW_TOO_LONG, limit=limit)
    return CsvRecord(number, None, readable(raw[:RAW_SHOWN]).rstrip("\r\n"), Code.ROW_TOO_LONG, too_long)


class _Lines:
    """The lines of a record that has quotes or escapes, and may have several lines."""

    def __init__(self, line: str, lines: Lines, syntax: CsvSyntax, max_row_bytes: int) -> None:
        self._taken, self._size = [line], len(line)
        self._lines, self._syntax, self._limit = lines, syntax, max_row_bytes

    def _more(self) -> str | None:
        if self._size > self._limit or (following := self._lines.next()) is None:
            return None
        self._taken.append(following)
        self._size += len(following)
        return following

    def record(self, number: int) -> CsvRecord:
        """The record; `number` is that of its first line."""
        try:
            fields = self._fields()
        except BrokenRecordError as error:
            self._lines.give_back(self._taken[1:])
            raw = self._taken[0].rstrip("\r\n")[:RAW_SHOWN]
            return CsvRecord(number, None, raw, Code.BROKEN_QUOTE, str(error))
        raw = "".join(self._taken).rstrip("\r\n")
        if self._lines.cut:
            return _too_long(number, raw, self._limit)  # its last line was over the limit
        if len(self._taken) > 1 and (bad := broken_character(raw)):
            return CsvRecord(number, None, readable(raw)[:RAW_SHOWN], Code.BAD_ENCODING, bad)
        return CsvRecord(number, fields, raw)

    def _fields(self) -> list[str]:
        line = self._taken[0]
        if not self._syntax.is_usual:
            return Record(line, self._syntax, self._more).fields()
        try:
            return next(
                csv.reader(chain([line], iter(self._more, None)), delimiter=self._syntax.delimiter, strict=True)
            )
        except (csv.Error, StopIteration) as error:
            is_open = len(self._taken) > 1 or "end of data" in str(error)
            raise BrokenRecordError(message(Code.BROKEN_QUOTE, "" if is_open else "unescaped")) from error


csv.field_size_limit(2**31 - 1)  # `max_row_bytes` limits records instead

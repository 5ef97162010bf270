"""CSV as text: records with the line each begins on, its raw text, and what is wrong with its structure.

The thorough road. Every record is kept or refused by itself: after a broken quote, reading goes on with the
next line, so one bad record does not swallow the rest of a file.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.errors import Code
from include.ingestion.header import count_known
from include.ingestion.records import FileRefusedError
from include.ingestion.text_lines import BYTE_ORDER_MARK, RAW_SHOWN, Lines, broken_character, readable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.contracts.model import Contract

DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class CsvRecord:
    """One record. `fields` is None where `code` says that its structure is broken."""

    line: int
    fields: list[str] | None
    raw: str
    code: Code | None = None
    message: str = ""


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written, and its header."""

    delimiter: str
    header: tuple[str, ...]


def sniff(path: Path, contract: Contract, max_row_bytes: int) -> Dialect:
    """The delimiter under which the header names most of the contract's columns.

    Raises:
        FileRefusedError: the header cannot be read, or is longer than a row may be.
    """
    best: tuple[int, int, Dialect] | None = None
    for delimiter in DELIMITERS:
        first = next(read_records(path, delimiter, None, max_row_bytes), None)
        if first is None:
            raise FileRefusedError(Code.EMPTY_FILE, "The file is empty.", "Send it again with its header and rows.")
        if first.fields is None:
            problem = FileRefusedError(
                first.code or Code.UNREADABLE_FILE,
                f"The header cannot be read: {first.message}",
                "Mend the first line.",
            )
            if first.code is Code.ROW_TOO_LONG:
                raise problem
            continue
        candidate = (count_known(first.fields, contract), len(first.fields), Dialect(delimiter, tuple(first.fields)))
        if best is None or candidate[:2] > best[:2]:
            best = candidate
    if best is None:
        raise problem
    return best[2]


def data_records(path: Path, dialect: Dialect, max_row_bytes: int) -> Iterator[CsvRecord]:
    """The records after the header, each of its width. One that is the header again is refused."""
    records = read_records(path, dialect.delimiter, len(dialect.header), max_row_bytes)
    next(records)
    header = list(dialect.header)
    for record in records:
        if record.fields is not None and is_header_again(record.fields, header):
            message = "The record is the header again: the file was put together from several."
            yield CsvRecord(record.line, None, record.raw, Code.REPEATED_HEADER, message)
        else:
            yield record


def is_header_again(fields: list[str], header: list[str]) -> bool:
    """Whether a record has the names of the columns in its fields, perhaps with a byte order mark inside quotes."""
    return fields[0].removeprefix(BYTE_ORDER_MARK) == header[0] and fields[1:] == header[1:]


def read_records(path: Path, delimiter: str, width: int | None, max_row_bytes: int) -> Iterator[CsvRecord]:
    """Every record of the file, the header among them. Blank lines are no records.

    A byte order mark before a record is no part of it: behind one, a quote opens a field as it does elsewhere.

    Args:
        path: plain UTF-8 text.
        delimiter: one character.
        width: how many fields a record must have; None takes any number.
        max_row_bytes: a record longer than this is refused.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        lines = Lines(stream, max_row_bytes)
        while (line := lines.next()) is not None:
            number = lines.number
            line = line.lstrip(BYTE_ORDER_MARK)
            if not line.rstrip("\r\n"):
                continue
            if lines.cut:
                yield CsvRecord(
                    number, None, line[:RAW_SHOWN], Code.ROW_TOO_LONG, f"The record has over {max_row_bytes:,} bytes."
                )
                continue
            if not line.isascii() and (bad := broken_character(line)):
                raw = readable(line).rstrip("\r\n")
                yield CsvRecord(number, None, raw[:RAW_SHOWN], Code.BAD_ENCODING, bad)
                continue
            if '"' in line:
                fields, raw, problem = _quoted_record(line, lines, delimiter, max_row_bytes)
            else:
                raw = line.rstrip("\r\n")
                fields, problem = raw.split(delimiter), ""
            if fields is None:
                yield CsvRecord(number, None, raw[:RAW_SHOWN], Code.BROKEN_QUOTE, problem)
            elif problem:
                yield CsvRecord(number, None, raw[:RAW_SHOWN], Code.BAD_ENCODING, problem)
            elif width is not None and len(fields) != width:
                code = Code.TOO_MANY_FIELDS if len(fields) > width else Code.TOO_FEW_FIELDS
                message = f"The record has {len(fields)} field{'s' * (len(fields) != 1)}; the header has {width}."
                yield CsvRecord(number, None, raw[:RAW_SHOWN], code, message)
            else:
                yield CsvRecord(number, fields, raw)


def _quoted_record(line: str, lines: Lines, delimiter: str, max_row_bytes: int) -> tuple[list[str] | None, str, str]:
    """Fields (none if a quote is broken), raw text and problem of a record that has quotes and may span lines."""
    taken = [line]
    size = len(line)

    def more() -> Iterator[str]:
        nonlocal size
        yield line
        while size <= max_row_bytes and (following := lines.next()) is not None:
            taken.append(following)
            size += len(following)
            yield following

    try:
        fields = next(csv.reader(more(), delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration) as error:
        lines.give_back(taken[1:])
        problem = (
            "A quote is opened and not closed."
            if len(taken) > 1 or "end of data" in str(error)
            else ("A quote stands inside a field; inside quotes it must be doubled.")
        )
        return None, line.rstrip("\r\n"), problem
    raw = "".join(taken).rstrip("\r\n")
    if len(taken) > 1 and (bad := broken_character(raw)):
        return fields, readable(raw), bad
    return fields, raw, ""


csv.field_size_limit(2**31 - 1)  # the limit on a record is ours

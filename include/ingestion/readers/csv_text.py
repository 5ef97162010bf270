"""CSV as text, for the slow path: records with their first line, their raw text, and the faults of their structure.

The fast path, for files without faults, is `vectorised`; `sniff` serves both. Each record is accepted or refused on its
own: after a broken quote, reading continues with the next line, so that one bad record does not consume the others.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.errors import Code
from include.errors.registry import message, text
from include.ingestion.header import count_known
from include.ingestion.readers.text_lines import BYTE_ORDER_MARK, RAW_SHOWN, Lines, broken_character, readable
from include.ingestion.records import FileRefusedError

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
class CsvShape:
    """The delimiter and the header of a CSV file."""

    delimiter: str
    header: tuple[str, ...]


def sniff(path: Path, contract: Contract, max_row_bytes: int) -> CsvShape:
    """Find the delimiter with which the header names most columns of the contract.

    Raises:
        FileRefusedError: the header cannot be read, or is longer than a row may be.
    """
    best: tuple[int, int, CsvShape] | None = None
    for delimiter in DELIMITERS:
        first = next(read_records(path, delimiter, None, max_row_bytes), None)
        if first is None:
            raise FileRefusedError.for_code(Code.EMPTY_FILE)
        if first.fields is None:
            unreadable = text(Code.UNREADABLE_FILE, "header", reason=first.message)
            problem = FileRefusedError(first.code or Code.UNREADABLE_FILE, *unreadable)
            if first.code is Code.ROW_TOO_LONG:
                raise problem
            continue
        candidate = (count_known(first.fields, contract), len(first.fields), CsvShape(delimiter, tuple(first.fields)))
        if best is None or candidate[:2] > best[:2]:
            best = candidate
    if best is None:
        raise problem
    return best[2]


def data_records(path: Path, shape: CsvShape, max_row_bytes: int) -> Iterator[CsvRecord]:
    """The records after the header. A record of another width, or that repeats the header, is refused."""
    records = read_records(path, shape.delimiter, len(shape.header), max_row_bytes)
    next(records)
    header = list(shape.header)
    for record in records:
        if record.fields is not None and is_header_again(record.fields, header):
            yield CsvRecord(record.line, None, record.raw, Code.REPEATED_HEADER, message(Code.REPEATED_HEADER))
        else:
            yield record


def is_header_again(fields: list[str], header: list[str]) -> bool:
    """Whether a record repeats the header, with or without a byte order mark inside its first quotes."""
    return fields[0].removeprefix(BYTE_ORDER_MARK) == header[0] and fields[1:] == header[1:]


def read_records(path: Path, delimiter: str, width: int | None, max_row_bytes: int) -> Iterator[CsvRecord]:
    """Every record of the file, including the header. Blank lines are no records.

    A byte order mark before a record is not part of it: a quote right after it opens a field.

    Args:
        path: plain UTF-8 text.
        delimiter: one character.
        width: how many fields a record must have; None accepts any number.
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
                too_long = message(Code.ROW_TOO_LONG, limit=max_row_bytes)
                yield CsvRecord(number, None, line[:RAW_SHOWN], Code.ROW_TOO_LONG, too_long)
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
                shown = f"{len(fields)} field{'s' * (len(fields) != 1)}"
                yield CsvRecord(number, None, raw[:RAW_SHOWN], code, message(code, fields=shown, width=width))
            else:
                yield CsvRecord(number, fields, raw)


def _quoted_record(line: str, lines: Lines, delimiter: str, max_row_bytes: int) -> tuple[list[str] | None, str, str]:
    """Fields (None if a quote is broken), raw text and fault of a record that has quotes and may have several lines."""
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
        is_open = len(taken) > 1 or "end of data" in str(error)
        return None, line.rstrip("\r\n"), message(Code.BROKEN_QUOTE, "" if is_open else "unescaped")
    raw = "".join(taken).rstrip("\r\n")
    if len(taken) > 1 and (bad := broken_character(raw)):
        return fields, readable(raw), bad
    return fields, raw, ""


csv.field_size_limit(2**31 - 1)  # `max_row_bytes` limits records instead

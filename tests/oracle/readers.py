"""Reads the bytes of a file into its header and records: format, compression, encoding, structure.

What belongs here: everything about a file that needs no types. What does not: what a value is (`values`).
"""

from __future__ import annotations

import json
import re
import zipfile
from typing import TYPE_CHECKING

import pyarrow as pa

from include.errors import Code
from tests.oracle.binary_files import AVRO, avro_records, columns, is_cut
from tests.oracle.columnar import of_avro, of_columns, parquet
from tests.oracle.contents import decoded, expanded
from tests.oracle.csv_records import records
from tests.oracle.json_files import after_blanks, inner, json_document, ndjson
from tests.oracle.names import column_named
from tests.oracle.records import Record, Source
from tests.oracle.tables import table_text
from tests.oracle.verdict import FileRefused
from tests.oracle.workbooks import ZIP, of_sheet, sheet_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from include.contracts.dialect import Dialect
    from include.contracts.model import Contract

DELIMITERS = (",", ";", "\t", "|")
_BLANKS = " \t\r\n"
# For the choice of the format: accepts numbers of any length, and what only some parsers read as numbers.
_LENIENT = json.JSONDecoder(parse_int=str, parse_float=str)
# An array of records, possibly with other values before the first record by mistake. "[id],name" is a header.
_ARRAY = re.compile(r'\[\s*((null|true|false|-?\d[\d.eE+-]*|"([^"\\]|\\.)*")\s*,\s*)*([{\[\]]|\Z)')
_FOREIGN = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"%PDF-", b"7z\xbc\xaf", b"SQLite format 3\0", b"\x7fELF")


def read(body: bytes, contract: Contract) -> Source:
    """The file's header and records.

    Raises:
        FileRefused: it cannot be read as a whole.
    """
    content = expanded(body)
    if not content.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n\0"):
        raise FileRefused(Code.EMPTY_FILE)
    if content.startswith(b"PAR1") and (b"\0" in content or len(content) < 12):
        return parquet(content)
    if content is body and (found := _binary(content, contract)) is not None:
        return found
    if content.startswith(_FOREIGN):
        raise FileRefused(Code.UNKNOWN_FORMAT)
    text = decoded(content, contract.dialect.encoding)
    if not text.strip(" \t\r\n\0"):
        raise FileRefused(Code.EMPTY_FILE)
    return _reader(text, contract)(text, contract)


def _reader(text: str, contract: Contract) -> Callable[[str, Contract], Source]:
    """The reader for a text by the rules of docs/values.md: no single line determines the format."""
    reader = _reader_of_text(text, contract)
    described = contract.dialect.record_path or contract.dialect.key_column
    return inner if described and reader is not _csv else reader


def _reader_of_text(text: str, contract: Contract) -> Callable[[str, Contract], Source]:
    start = text.lstrip(_BLANKS)
    lines = [stripped for line in re.split(r"\r\n|\n|\r", start) if (stripped := line.strip(_BLANKS))]
    first, *later = lines or [""]
    if start.startswith("{"):
        if _whole_objects(first) or not (_whole_objects(start) or not _has_records(first, later)):
            return ndjson
        return json_document
    begun = {column.path.split(".")[0] for column in contract.source_columns if column.path}
    keys = [set(_LENIENT.decode(line)) for line in later if _is_object(line)]
    is_row = any(begun & line or _known(line, contract) for line in keys)
    if _ARRAY.match(start):
        return ndjson if is_row and _is_json(first) else json_document
    if not contract.dialect.has_header:
        return _csv
    table, separator = table_text(text, contract.dialect)
    firsts = [next(records(table, one, contract.dialect), None) for one in _delimiters(contract.dialect, separator)]
    named = any(_known(record.fields, contract) for record in firsts if record is not None)
    return ndjson if is_row and not named else _csv


def _known(names: Iterable[str], contract: Contract) -> set[str]:
    found = (column_named(name, contract.source_columns) for name in names)
    return {column.name for column in found if column is not None}


def _delimiters(dialect: Dialect, separator: str | None) -> tuple[str, ...]:
    given = dialect.delimiter or separator
    return (given,) if given else DELIMITERS


def _whole_objects(text: str) -> bool:
    """Whether a text consists of consecutive objects and nothing else."""
    at = 0
    while at < len(text) and text[at] == "{":
        try:
            at = after_blanks(text, _LENIENT.raw_decode(text, at)[1])
        except json.JSONDecodeError:
            return False
        except RecursionError:
            return True
    return at == len(text)


def _is_object(line: str) -> bool:
    return line.startswith("{") and line.endswith("}") and _is_json(line)


def _is_json(line: str) -> bool:
    try:
        _LENIENT.decode(line)
    except (json.JSONDecodeError, RecursionError):
        return False
    return True


def _has_records(first: str, later: list[str]) -> bool:
    """Whether lines are records, not parts of one broken document."""
    before = [first, *later]
    alone = (
        _whole_objects(line) and line.endswith("}") and (at == 0 or before[at][-1] not in ",[:")
        for at, line in enumerate(later)
        if line.startswith("{")
    )
    both_broken = first[1:].lstrip(_BLANKS).startswith('"') and not first.endswith("[")
    return first.endswith("}") or any(alone) or bool(both_broken and later and later[0].startswith("{"))


def _csv(text: str, contract: Contract) -> Source:
    dialect = contract.dialect
    text, separator = table_text(text, dialect)
    own = dialect.header or tuple(column.name for column in contract.source_columns)
    delimiter = _delimiter(text, contract, _delimiters(dialect, separator), own)
    rows = list(records(text, delimiter, dialect, dialect.null_values))
    if not rows:
        raise FileRefused(Code.EMPTY_FILE)
    header = own
    if dialect.has_header:
        first = next(records(text, delimiter, dialect))
        if first.code:
            raise FileRefused(first.code)
        header, rows = first.fields, rows[1:]
    found = []
    for row, record in enumerate(rows, 1):
        width = len(record.fields)
        many, few = width > len(header), width < len(header)
        code = record.code or (Code.TOO_MANY_FIELDS if many else Code.TOO_FEW_FIELDS if few else None)
        if not code and _is_header(record.fields, header, dialect):
            code = Code.REPEATED_HEADER
        cells = {} if code else dict(zip(header, record.fields, strict=True))
        found.append(Record(row, record.line, cells, code))
    return Source(header, tuple(found), is_table=True)


def _is_header(fields: tuple[str, ...], header: tuple[str, ...], dialect: Dialect) -> bool:
    """Whether a record repeats the header; a name that is a null of the dialect has become an empty field."""
    cells = (fields[0].removeprefix("\ufeff"), *fields[1:])
    return all(
        cell == name or (not cell and name in dialect.null_values) for cell, name in zip(cells, header, strict=True)
    )


def _delimiter(text: str, contract: Contract, known: tuple[str, ...], own: tuple[str, ...]) -> str:
    def named(delimiter: str) -> tuple[bool, int, int]:
        first = next(records(text, delimiter, contract.dialect), None)
        if first is None:
            return False, 0, 0
        if not contract.dialect.has_header:
            return not first.code and len(first.fields) == len(own), 0, 0
        return not first.code, len(_known(first.fields, contract)), len(first.fields)

    return max(known, key=named)


def _binary(content: bytes, contract: Contract) -> Source | None:
    """A workbook, Avro, ORC or Arrow file; None if the content is none of them."""
    if is_cut(content):
        raise FileRefused(Code.TRUNCATED_FILE)
    try:
        if (table := columns(content)) is not None:
            return of_columns(table)
        if content.startswith(AVRO):
            return of_avro(avro_records(content))
        if content.startswith(ZIP):
            return of_sheet(list(sheet_rows(content, contract.dialect.sheet)), contract)
    except (pa.ArrowException, OSError, zipfile.BadZipFile) as error:
        raise FileRefused(Code.UNREADABLE_FILE) from error
    except EOFError as error:
        raise FileRefused(Code.TRUNCATED_FILE) from error
    return None

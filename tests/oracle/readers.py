"""Reads the bytes of a file into its header and records: format, compression, encoding, structure.

What belongs here: everything about a file that needs no types. What does not: what a value is (`values`).
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from include.errors import Code
from tests.oracle.binary_files import AVRO, ZIP, avro_records, columns, is_cut, sheet_rows
from tests.oracle.contents import decoded, expanded
from tests.oracle.csv_records import BROKEN_BYTE, line_end, records
from tests.oracle.documents import NotJsonError, Number, Raw, Text, half_pair, parse, parse_from, repeats, spelled
from tests.oracle.inner_records import inner_records
from tests.oracle.names import column_named, letters
from tests.oracle.tables import table_text
from tests.oracle.values import text_of
from tests.oracle.verdict import FileRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from include.contracts.dialect import Dialect
    from include.contracts.model import Contract

DELIMITERS = (",", ";", "\t", "|")
_BLANKS = " \t\r\n"
# For the choice of the format: accepts numbers of any length, and what only some parsers read as numbers.
_LENIENT = json.JSONDecoder(parse_int=str, parse_float=str)
# An array of records, possibly with other values before the first record by mistake. "[id],name" is a header.
_ARRAY = re.compile(r'\[\s*((null|true|false|-?\d[\d.eE+-]*|"([^"\\]|\\.)*")\s*,\s*)*([{\[\]]|\Z)')
_FOREIGN = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"%PDF-", b"7z\xbc\xaf", b"SQLite format 3\0", b"\x7fELF")


@dataclass(frozen=True)
class Record:
    """One record: its cells by the header's names, or why it is refused. `broken` are cells that are not text."""

    row: int
    line: int | None
    cells: Mapping[str, Raw] = field(default_factory=dict)
    code: Code | None = None
    broken: tuple[str, ...] = ()
    key: str | None = None


@dataclass(frozen=True)
class Source:
    """A file as names and records. Names may be duplicate: `judge` refuses them.

    Records of a nested file have columns at paths, and so do those of a columnar one; those of a keyed file have keys.
    """

    header: tuple[str, ...]
    records: tuple[Record, ...]
    is_table: bool = False
    is_nested: bool = False
    is_columnar: bool = False
    is_keyed: bool = False


def read(body: bytes, contract: Contract) -> Source:
    """The file's header and records.

    Raises:
        FileRefused: it cannot be read as a whole.
    """
    content = expanded(body)
    if not content.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n\0"):
        raise FileRefused(Code.EMPTY_FILE)
    if content.startswith(b"PAR1") and (b"\0" in content or len(content) < 12):
        return _parquet(content)
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
    return _inner if described and reader is not _csv else reader


def _reader_of_text(text: str, contract: Contract) -> Callable[[str, Contract], Source]:
    start = text.lstrip(_BLANKS)
    lines = [stripped for line in re.split(r"\r\n|\n|\r", start) if (stripped := line.strip(_BLANKS))]
    first, *later = lines or [""]
    if start.startswith("{"):
        if _whole_objects(first) or not (_whole_objects(start) or not _has_records(first, later)):
            return _ndjson
        return _json_document
    begun = {column.path.split(".")[0] for column in contract.source_columns if column.path}
    keys = [set(_LENIENT.decode(line)) for line in later if _is_object(line)]
    is_row = any(begun & line or _known(line, contract) for line in keys)
    if _ARRAY.match(start):
        return _ndjson if is_row and _is_json(first) else _json_document
    if not contract.dialect.has_header:
        return _csv
    table, separator = table_text(text, contract.dialect)
    firsts = [next(records(table, one, contract.dialect), None) for one in _delimiters(contract.dialect, separator)]
    named = any(_known(record.fields, contract) for record in firsts if record is not None)
    return _ndjson if is_row and not named else _csv


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
            at = _skip(text, _LENIENT.raw_decode(text, at)[1])
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


def _ndjson(text: str, _: Contract) -> Source:
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
    return _source(found)


def _line_records(content: str, row: int, line: int) -> list[Record]:
    """One record, or consecutive objects; a broken one refuses the remainder of the line."""
    found: list[Record] = []
    at = _skip(content, 0)
    while at < len(content):
        try:
            value, end = parse_from(content, at)
        except NotJsonError:
            return [*found, Record(row + len(found), line, code=Code.BAD_ROW_JSON)]
        at = _skip(content, end)
        if at < len(content) and content[at] != "{":
            return [*found, Record(row + len(found), line, code=Code.BAD_ROW_JSON)]
        found.append(_record(row + len(found), line, value))
    return found


def _json_document(text: str, _: Contract) -> Source:
    try:
        values = _array(text) if text.lstrip(" \t\r\n").startswith("[") else _sequence(text)
    except NotJsonError as error:
        raise FileRefused(Code.TRUNCATED_FILE if error.cut else Code.UNREADABLE_FILE) from error
    lines = [len(re.findall(r"\r\n|\n|\r", text[:start])) + 1 for start, _ in values]
    found = [
        Record(row, line, code=Code.BAD_ENCODING) if BROKEN_BYTE.search(spelled(value)) else _record(row, line, value)
        for row, (line, (_, value)) in enumerate(zip(lines, values, strict=True), 1)
    ]
    return _source(found)


def _inner(text: str, contract: Contract) -> Source:
    column = contract.dialect.key_column
    found: list[Record] = []
    for row, one in enumerate(inner_records(text, contract.dialect.record_path, keyed=column is not None), 1):
        line = len(re.findall(r"\r\n|\n|\r", text[: one.start])) + 1
        record = replace(_record(row, line, one.value), key=one.key)
        if BROKEN_BYTE.search(text[one.start : one.end]):
            record = Record(row, line, code=Code.BAD_ENCODING)
        elif not record.code and one.key is not None and half_pair(one.key):
            record = Record(row, line, code=Code.BAD_ROW_JSON)
        elif not record.code and one.is_repeated:
            record = Record(row, line, code=Code.DUPLICATE_COLUMNS)
        if column is not None and not record.code:
            record = _with_key(record, column)
        found.append(record)
    return replace(_source(found), is_keyed=column is not None)


def _with_key(record: Record, column: str) -> Record:
    """The record without the members that would be the key's column: they must have the same value."""
    same = [name for name in record.cells if letters(name) == letters(column)]
    if any(record.cells[name] is not None and (text_of(record.cells[name]) or "") != record.key for name in same):
        return Record(record.row, record.line, code=Code.DUPLICATE_COLUMNS)
    return replace(record, cells={name: raw for name, raw in record.cells.items() if name not in same})


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n\ufeff":
        at += 1
    return at


def _array(text: str) -> list[tuple[int, Raw]]:
    at = _skip(text, 0) + 1
    found: list[tuple[int, Raw]] = []
    if text.startswith("]", _skip(text, at)):
        at = _skip(text, at)
    else:
        while True:
            start = _skip(text, at)
            value, at = parse_from(text, start)
            found.append((start, value))
            at = _skip(text, at)
            if not text.startswith(",", at):
                break
            at += 1
    if not text.startswith("]", at):
        raise NotJsonError(cut=at == len(text))
    if _skip(text, at + 1) != len(text):
        raise NotJsonError
    return found


def _sequence(text: str) -> list[tuple[int, Raw]]:
    found: list[tuple[int, Raw]] = []
    at = _skip(text, 0)
    while at < len(text):
        value, end = parse_from(text, at)
        found.append((at, value))
        at = _skip(text, end)
    return found


def _record(row: int, line: int | None, value: Raw) -> Record:
    if repeats(value):
        return Record(row, line, code=Code.DUPLICATE_COLUMNS)
    if not isinstance(value, dict):
        return Record(row, line, code=Code.NOT_AN_OBJECT)
    if half_pair(value):
        return Record(row, line, code=Code.BAD_ROW_JSON)
    return Record(row, line, {name: Text(raw) if type(raw) is str else raw for name, raw in value.items()})


def _source(found: list[Record]) -> Source:
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
        return _record(row, row, parse(text))
    except NotJsonError:
        return Record(row, row, code=Code.BAD_ROW_JSON)


def _parquet(content: bytes) -> Source:
    if len(content) < 12 or not content.endswith(b"PAR1"):
        raise FileRefused(Code.TRUNCATED_FILE)
    try:
        table = pq.read_table(io.BytesIO(content), coerce_int96_timestamp_unit="us", page_checksum_verification=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise FileRefused(Code.UNREADABLE_FILE) from error
    return _of_columns(table)


def _binary(content: bytes, contract: Contract) -> Source | None:
    """A workbook, Avro, ORC or Arrow file; None if the content is none of them."""
    if is_cut(content):
        raise FileRefused(Code.TRUNCATED_FILE)
    try:
        if (table := columns(content)) is not None:
            return _of_columns(table)
        if content.startswith(AVRO):
            return _of_avro(avro_records(content))
        if content.startswith(ZIP):
            return _of_sheet(list(sheet_rows(content)), contract)
    except (pa.ArrowException, OSError, zipfile.BadZipFile) as error:
        raise FileRefused(Code.UNREADABLE_FILE) from error
    except EOFError as error:
        raise FileRefused(Code.TRUNCATED_FILE) from error
    return None


def _of_avro(found: list[dict[str, Any]]) -> Source:
    """Records of texts and whole numbers, which count as those of JSON; their lines are their numbers."""
    if found and not any(found):  # records without fields take no bytes, so a file can claim any number of them
        raise FileRefused(Code.UNREADABLE_FILE)
    cells = [{name: Text(value) if type(value) is str else _raw(value) for name, value in row.items()} for row in found]
    return _source([Record(at, at, row) for at, row in enumerate(cells, 1)])


def _of_sheet(rows: list[tuple[int, list[str]]], contract: Contract) -> Source:
    """Rows of a workbook count as those of CSV; their lines are their numbers in Excel."""
    dialect = contract.dialect
    last = rows[-1][0] - dialect.footer_lines if rows else 0
    others = [(line, row) for line, row in rows if line > dialect.skip_lines]
    if dialect.has_header:
        if not others:
            raise FileRefused(Code.NO_ROWS)
        (_, header), *others = others
    else:
        header = list(dialect.header or [column.name for column in contract.source_columns])
        header += [""] * (len(rows[0][1]) - len(header) if rows else 0)
    if dialect.footer_lines:
        others = [(line, row) for line, row in others if line <= last]
    used = [at for at, name in enumerate(header) if name or any(row[at : at + 1] != [""] for _, row in others)]
    header, others = (
        [header[at] for at in used],
        [(line, [row[at] for at in used if at < len(row)]) for line, row in others],
    )
    # A sheet may have fewer columns than the contract has names.
    nulls = dialect.null_values
    rows = [(line, ["" if cell in nulls and type(cell) is str else cell for cell in row]) for line, row in others]
    found = [Record(at, line, dict(zip_longest(header, row, fillvalue=""))) for at, (line, row) in enumerate(rows, 1)]
    return Source(tuple(header), tuple(found), is_table=True)


def _of_columns(table: pa.Table) -> Source:
    names = tuple(table.schema.names)
    columns = [_exact(column).to_pylist() for column in table.columns]
    rows = zip(*columns, strict=True) if columns else ()
    return Source(names, tuple(_row(at, names, row) for at, row in enumerate(rows, 1)), is_columnar=True)


def _row(at: int, names: tuple[str, ...], row: tuple[Any, ...]) -> Record:
    cells: dict[str, Raw] = {}
    broken: list[str] = []
    for name, value in zip(names, row, strict=True):
        try:
            cells[name] = _raw(value)
        except UnicodeDecodeError:
            cells[name] = None
            broken.append(name)
    return Record(at, None, cells, Code.BAD_ENCODING if broken else None, tuple(broken))


def _exact(column: Any) -> Any:
    """Convert timestamps in nanoseconds to microseconds, rounded down, and 32-bit floats to the value of their text."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        counts = [None if count is None else count // 1000 for count in column.cast(pa.int64()).to_pylist()]
        return pa.array(counts, pa.int64()).cast(pa.timestamp("us", column.type.tz))
    if pa.types.is_float32(column.type):
        return pa.array([None if value is None else _single(value) for value in column.to_pylist()])
    return column


def _single(value: float) -> float:
    return value if abs(value) >= 2**24 else float(str(np.float32(value)))


def _raw(value: Any) -> Raw:
    """A value of Parquet as JSON would hold it."""
    match value:
        case None | bool() | str():
            return value
        case bytes():
            return value.decode()
        case int() | float():
            return Number(repr(value))
        case Decimal():
            return Number(format(value, "f"))
        case datetime() | date():
            return value.isoformat()
        case list():
            return list(map(_raw, value))
        case dict():
            return {key: _raw(item) for key, item in value.items()}
        case _:
            return str(value)

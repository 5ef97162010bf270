"""JSON as text: one record per line, or one per element of an array, with its number, line and raw text."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from include.contracts.expressions import literal
from include.errors import Code
from include.ingestion.records import FileRefusedError
from include.ingestion.text_lines import RAW_SHOWN, Lines, broken_character, readable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK_ROWS = 20_000
CHUNK_CHARACTERS = 8 * 1024**2  # rows may be long, and a chunk is held whole
READ_BYTES = 1024**2
_SIGNS = ("[", "]", ",")
_REMEDY = "Check how the file was written, and upload the whole of it."
_TOO_LONG = (
    Code.ROW_TOO_LONG, "A record of the JSON document is longer than a record may be (INGEST_MAX_ROW_BYTES)."
)  # fmt: skip
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],\n]|[^\s"{}\[\],:]+', re.DOTALL)
_SCHEMA = pa.schema(
    [("_source_row", pa.int64()), ("_source_line", pa.int64()), ("_raw", pa.string()), ("_problem", pa.string())]
)


def ndjson_lines(path: Path, max_row_bytes: int) -> Iterator[pa.Table]:
    """Each line that is not blank, as tables of `_source_row`, `_source_line`, `_raw` and `_problem` (a code)."""
    rows: list[tuple[int, int, str, Code | None]] = []
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        lines = Lines(stream, max_row_bytes)
        number = size = 0
        while (line := lines.next()) is not None:
            text = line.strip()
            if not text:
                continue
            number += 1
            problem = Code.ROW_TOO_LONG if lines.cut else None
            if not text.isascii() and broken_character(text):
                problem = Code.BAD_ENCODING
                text = readable(text)
            rows.append((number, lines.number, text[:RAW_SHOWN] if problem else text, problem))
            size += len(text)
            if len(rows) >= CHUNK_ROWS or size >= CHUNK_CHARACTERS:
                yield _table(rows)
                rows, size = [], 0
    if rows:
        yield _table(rows)


def document_records(path: Path, connection: duckdb.DuckDBPyConnection, max_row_bytes: int) -> Iterator[pa.Table]:
    """Each element of a JSON array (or each object of a document), in the same shape; lines are not known here.

    Raises:
        FileRefusedError: the document is broken or cut off; the message says where.
    """
    # Left to find that out, DuckDB takes several arrays one after another for records, each a row of its own.
    kind = "array" if _first_sign(path) == b"[" else "unstructured"
    source = (
        f"SELECT row_number() OVER () AS _source_row, NULL::BIGINT AS _source_line, json::VARCHAR AS _raw, "
        f"NULL::VARCHAR AS _problem FROM read_json_objects({literal(str(path))}, format = '{kind}', "
        f"maximum_object_size = {max_row_bytes})"
    )
    count, within = 0, Counter[str]()
    try:
        for batch in connection.cursor().execute(source).to_arrow_reader(CHUNK_ROWS):
            records = pa.Table.from_batches([batch]).cast(_SCHEMA)
            count += records.num_rows
            for sign in _SIGNS:
                within[sign] += pc.sum(pc.count_substring(records["_raw"], sign)).as_py() or 0
            # DuckDB refuses what is longer than its buffer, which is never below some megabytes.
            if (pc.max(pc.binary_length(records["_raw"])).as_py() or 0) > max_row_bytes:
                raise FileRefusedError(*_TOO_LONG, _REMEDY)
            yield records
    except duckdb.Error as error:
        raise FileRefusedError(*_document_problem(path, str(error)), _REMEDY) from error
    if kind == "array":
        _check_array(path, count, within)


def _check_array(path: Path, count: int, within: Counter[str]) -> None:
    """Refuse an array that DuckDB has read as if it were whole: cut off behind a comma, or going on behind its end.

    Outside of its records, in which the signs occur as often as `within` says, a whole one has two brackets, and a
    comma fewer than records.
    """
    outside = Counter(dict.fromkeys(_SIGNS, 0))
    with path.open("rb") as stream:
        while chunk := stream.read(READ_BYTES):
            outside.update({sign: chunk.count(sign.encode()) for sign in _SIGNS})
    outside.subtract(within)
    if _ends_early(path):
        raise FileRefusedError(Code.TRUNCATED_FILE, f"The JSON document is cut off after record {count}.", _REMEDY)
    if outside != {"[": 1, "]": 1, ",": max(count - 1, 0)}:
        raise FileRefusedError(
            Code.UNREADABLE_FILE, "The JSON document is broken: its array ends before the file does.", _REMEDY
        )


def record_lines(path: Path) -> Iterator[tuple[int, int]]:
    """The number of each element of a JSON array, and the line on which it begins."""
    depth, line, record = 0, 1, 0
    top: int | None = None  # how deep records lie: 1 in an array, 0 where objects follow one another
    begins = True
    for token in _tokens(path):
        first = token[:1]
        if first == b"\n":
            line += 1
        elif first == b",":
            begins = depth == top
        elif top is None and first == b"[":
            top = depth = 1
        else:
            top = top or 0
            if depth == top and (begins or top == 0) and first not in b"]}":
                begins = False
                record += 1
                yield record, line
            depth += (first in b"[{") - (first in b"]}")
            line += token.count(b"\n")


def _tokens(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        rest = b""
        while chunk := stream.read(READ_BYTES):
            data = rest + chunk
            end = 0
            # A string that the chunk cuts waits for the next: stop at a quote that nothing closes.
            for match in _TOKEN.finditer(data):
                if b'"' in data[end : match.start()]:
                    break
                yield match.group()
                end = match.end()
            quote = data.find(b'"', end)
            rest = data[quote:] if quote >= 0 else b""


def _document_problem(path: Path, error: str) -> tuple[Code, str]:
    where = re.search(r"in record/value (\d+)[^:]*: *([^\n.]*)", error)
    # DuckDB counts the record that it failed to read as one more.
    detail = f" in record {max(int(where[1]) - 1, 1)}: {where[2].strip()}" if where else ""
    if "unexpected end of data" in error or _ends_early(path):
        return Code.TRUNCATED_FILE, f"The JSON document is cut off{detail}."
    if "Out of Memory" in error:
        return Code.TOO_LARGE, "The JSON document has records that need more than INGEST_ENGINE_MEMORY_MB."
    if "maximum_object_size" in error:
        return _TOO_LONG
    if not detail:
        detail = ": " + error.split("\n", maxsplit=1)[0][:200]
    return Code.UNREADABLE_FILE, f"The JSON document is broken{detail}."


def _ends_early(path: Path) -> bool:
    """Whether an array has no closing bracket at the end of the file."""
    with path.open("rb") as stream:
        stream.seek(-min(1024, path.stat().st_size), 2)
        end = stream.read().rstrip()[-1:]
    return _first_sign(path) == b"[" and end != b"]"


def _first_sign(path: Path) -> bytes:
    with path.open("rb") as stream:
        while chunk := stream.read(READ_BYTES):
            if text := chunk.lstrip(b"\xef\xbb\xbf \t\r\n"):
                return text[:1]
    return b""


def _table(rows: list[tuple[int, int, str, Code | None]]) -> pa.Table:
    return pa.Table.from_arrays(
        [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), _SCHEMA.types, strict=True)],
        schema=_SCHEMA,
    )

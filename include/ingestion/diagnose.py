"""The thorough road: every cell read by itself, every bad row explained.

Each format's reader hands over chunks of records as text; one query per chunk types every cell, finds what is
wrong and sorts rows into good and refused. Slower than the fast road by some ten times, and used only where
that one found something, or for formats that have no fast one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa

from include.contracts.expressions import literal, quoted
from include.contracts.model import Column, ColumnType, Contract, UnknownColumns
from include.errors import Code
from include.ingestion.csv_text import CsvRecord, Dialect, read_records
from include.ingestion.header import ColumnMap, map_columns
from include.ingestion.json_text import CHUNK_CHARACTERS, CHUNK_ROWS, document_records, ndjson_lines
from include.ingestion.messages import explain
from include.ingestion.parquet_text import parquet_text
from include.ingestion.records import FileFormat, Reject, SpooledFile
from include.ingestion.rules import cleaned, reading_checks, row_checks, typed, unknown_checks, value_checks
from include.ingestion.text_lines import RAW_SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from include.settings import IngestSettings


@dataclass
class Chunk:
    """Good rows, typed, and why the others are refused. `rows` counts all records, good and bad."""

    rows: int
    good: pa.Table
    rejects: list[Reject] = field(default_factory=list)


def diagnose_csv(
    text: SpooledFile,
    dialect: Dialect,
    contract: Contract,
    connection: duckdb.DuckDBPyConnection,
    settings: IngestSettings,
) -> Iterator[Chunk]:
    """A CSV file, chunk by chunk."""
    columns = map_columns(dialect.header, contract, settings.max_columns)
    query = _query(contract, _positional(columns))
    records = read_records(text.path, dialect.delimiter, len(dialect.header), settings.max_row_bytes)
    next(records)
    first = 1
    while batch := _next_records(records):
        rejects = [
            Reject(first + at, record.line, None, record.code, record.message, record.raw)
            for at, record in enumerate(batch)
            if record.code is not None
        ]
        chunk = _run(connection, query, _csv_table(batch, first, len(dialect.header)), contract)
        yield Chunk(len(batch), chunk.good, sorted(rejects + chunk.rejects, key=lambda reject: reject.source_row))
        first += len(batch)


def _next_records(records: Iterator[CsvRecord]) -> list[CsvRecord]:
    """Some records, held whole: fewer where they are long."""
    batch: list[CsvRecord] = []
    size = 0
    for record in islice(records, CHUNK_ROWS):
        batch.append(record)
        size += len(record.raw)
        if size >= CHUNK_CHARACTERS:
            break
    return batch


def diagnose_json(
    text: SpooledFile,
    kind: FileFormat,
    contract: Contract,
    connection: duckdb.DuckDBPyConnection,
    settings: IngestSettings,
) -> Iterator[Chunk]:
    """A JSON document or newline-delimited JSON, chunk by chunk."""

    def tables() -> Iterator[pa.Table]:
        if kind is FileFormat.NDJSON:
            return ndjson_lines(text.path, settings.max_row_bytes)
        return document_records(text.path, connection, settings.max_row_bytes)

    known: set[str] = set()
    if contract.unknown_columns is UnknownColumns.EVOLVE:
        # Every chunk is written with the same columns, also those that only the last record has.
        for table in tables():
            known |= _keys(connection, _split_objects(connection, table)[0], settings.max_columns)
    for table in tables():
        objects, rejects = _split_objects(connection, table)
        known |= _keys(connection, objects, settings.max_columns)
        # A required key that no record has is a missing column; where no record is, nothing is missing.
        expected = {column.name for column in contract.source_columns}
        alone = text.records_alone or not (known or objects.num_rows)
        given = sorted(known | expected if alone else known)
        query = _query(contract, _json_cells(contract, map_columns(given, contract, settings.max_columns)))
        chunk = _run(connection, query, objects, contract)
        yield Chunk(table.num_rows, chunk.good, sorted(rejects + chunk.rejects, key=lambda reject: reject.source_row))


def diagnose_parquet(
    batches: Iterator[pa.RecordBatch],
    contract: Contract,
    connection: duckdb.DuckDBPyConnection,
    settings: IngestSettings,
) -> Iterator[Chunk]:
    """A Parquet file whose columns do not fit as they are: through text, as any other file."""
    query, first = "", 1
    for batch in batches:
        columns = map_columns(batch.schema.names, contract, settings.max_columns)
        query = query or _query(contract, _positional(columns))
        chunk = _run(connection, query, parquet_text(connection, batch, first), contract)
        yield Chunk(batch.num_rows, chunk.good, chunk.rejects)
        first += batch.num_rows


@dataclass(frozen=True)
class _Cells:
    """Where the query finds its texts: an expression per column of the file, and for what the contract lacks."""

    texts: dict[str, str]
    extra: tuple[tuple[str, str], ...] = ()
    rescued: str | None = None
    relation: str = "records"


def _positional(columns: ColumnMap) -> _Cells:
    texts = {name: f"c{at}" for at, name in enumerate(columns.names) if name is not None}
    if columns.evolves:
        return _Cells(texts, tuple((name, f"c{at}") for at, name in columns.extra))
    if not columns.extra:
        return _Cells(texts)
    pairs = ", ".join(f"{literal(name)}, nullif(c{at}, '')" for at, name in columns.extra)
    return _Cells(texts, rescued=f"json_object({pairs})::VARCHAR")


def _json_cells(contract: Contract, columns: ColumnMap) -> _Cells:
    # All values by one call: each call reads the whole record anew.
    paths = ", ".join(_path(given) for given in columns.given)
    relation = f"(SELECT *, json_extract_string(_raw, [{paths}]) AS _cells FROM records)"
    texts = {
        name: _json_text(contract.by_name[name], given, f"_cells[{at}]")
        for at, (given, name) in enumerate(zip(columns.given, columns.names, strict=True), start=1)
        if name is not None
    }
    if columns.evolves:
        return _Cells(texts, tuple((name, f"_cells[{at + 1}]") for at, name in columns.extra), relation=relation)
    if not columns.extra or contract.unknown_columns is not UnknownColumns.RESCUE:
        return _Cells(texts, relation=relation)
    known = {given: None for given, name in zip(columns.given, columns.names, strict=True) if name is not None}
    rest = f"json_merge_patch(_raw::JSON, {literal(json.dumps(known))}::JSON)::VARCHAR"
    return _Cells(texts, rescued=f"nullif({rest}, '{{}}')", relation=relation)


def _json_text(column: Column, key: str, text: str) -> str:
    if column.type is ColumnType.JSON:
        # `text` is what a JSON text says, and null of JSON's null: an empty one is no value, as in other formats.
        return f"CASE WHEN trim({text}, ' \t\r\n') <> '' THEN (_raw -> {_path(key)})::VARCHAR END"
    if column.type is not ColumnType.NUMBER:
        return text
    # DuckDB reads a long number as a double and would round it: what the file has is taken from the text itself,
    # if it is the number that DuckDB saw, and not one of the same name elsewhere.
    pattern = re.escape(json.dumps(key, ensure_ascii=False)) + r"\s*:\s*(-?[0-9][0-9.eE+-]*)"
    same = f"lambda number: TRY_CAST(number AS DOUBLE) = TRY_CAST({text} AS DOUBLE)"
    written = f"list_filter(regexp_extract_all(_raw, {literal(pattern)}, 1), {same})[1]"
    return f"CASE WHEN regexp_matches(_raw, '[0-9.]{{16}}') THEN coalesce({written}, {text}) ELSE {text} END"


def _path(key: str) -> str:
    # A path cannot say the empty key, a pointer can.
    return literal("$." + json.dumps(key, ensure_ascii=False) if key else "/")


def _keys(connection: duckdb.DuckDBPyConnection, objects: pa.Table, most: int) -> set[str]:
    """The keys of a chunk's records, at most one more than a file may have."""
    connection.register("records", objects)
    keys = connection.execute(
        f"SELECT DISTINCT unnest(json_keys(_raw)) AS k FROM records ORDER BY k LIMIT {most + 1}"
    ).fetchall()
    connection.unregister("records")
    return {key for (key,) in keys}


def _split_objects(connection: duckdb.DuckDBPyConnection, table: pa.Table) -> tuple[pa.Table, list[Reject]]:
    """Records that are JSON objects, and why the others are refused."""
    connection.register("records", table)
    checked = connection.execute(
        "SELECT *, CASE WHEN _problem IS NOT NULL THEN _problem WHEN NOT json_valid(_raw) THEN 'bad-row-json' "
        "WHEN json_type(_raw) <> 'OBJECT' THEN 'not-an-object' END AS _code FROM records"
    ).to_arrow_table()
    connection.unregister("records")
    rejects = [
        Reject(
            row["_source_row"],
            row["_source_line"],
            None,
            Code(row["_code"]),
            explain(Code(row["_code"])),
            row["_raw"][:RAW_SHOWN],
        )
        for row in checked.filter(pa.compute.is_valid(checked["_code"])).to_pylist()
    ]
    good = checked.filter(pa.compute.is_null(checked["_code"])).select(["_source_row", "_source_line", "_raw"])
    return good, rejects


def _csv_table(records: list[CsvRecord], first: int, width: int) -> pa.Table:
    kept = [(first + at, record) for at, record in enumerate(records) if record.fields is not None]
    fields = [record.fields for _, record in kept if record.fields is not None]
    columns = list(zip(*fields, strict=True)) if fields else [()] * width
    arrays = [
        pa.array([row for row, _ in kept], pa.int64()),
        pa.array([record.line for _, record in kept], pa.int64()),
        pa.array([record.raw for _, record in kept], pa.string()),
        *(pa.array(column, pa.string()) for column in columns),
    ]
    names = ["_source_row", "_source_line", "_raw", *(f"c{at}" for at in range(width))]
    return pa.Table.from_arrays(arrays, names=names)


def _query(contract: Contract, cells: _Cells) -> str:
    """Typed columns under their names, `_violations` (column, code, rule, value), and what locates a row."""
    columns = [column for column in contract.source_columns if column.name in cells.texts]
    absent = [column for column in contract.source_columns if column.name not in cells.texts]
    inner = [f"{cells.texts[c.name]} AS {quoted('text of ' + c.name)}" for c in columns]
    values = [f"{typed(c, quoted('text of ' + c.name))} AS {quoted(c.name)}" for c in columns]
    values += [f"NULL::{c.carried_type} AS {quoted(c.name)}" for c in absent]
    found = [
        f"CASE {' '.join(branches)} END" for c in columns if (branches := _branches(c, quoted("text of " + c.name)))
    ]
    found += [
        f"CASE WHEN {check.broken} THEN {_violation(check.column, check.code, 'NULL', check.rule)} END"
        for check in [*row_checks(contract), *unknown_checks(name for name, _ in cells.extra)]
    ]
    extra = [f"nullif({text}, '') AS {quoted(name)}" for name, text in cells.extra]
    rescued = f"{cells.rescued or 'NULL::VARCHAR'} AS _rescued"
    texts = f"SELECT _source_row, _source_line, _raw, {', '.join([*inner, *extra, rescued])} FROM {cells.relation}"
    return (
        f"SELECT *, list_filter([{', '.join(found) or 'NULL'}], lambda v: v IS NOT NULL) AS _violations FROM "
        + cleaned(f"(SELECT *, {', '.join(values)} FROM ({texts}))", contract.source_columns)
    )


def _branches(column: Column, text: str) -> list[str]:
    value = quoted(column.name)
    checks = [*reading_checks(column, text, value), *value_checks(column, value)]
    branches = [f"WHEN {check.broken} THEN {_violation(column, check.code, text, check.rule)}" for check in checks]
    if column.required:
        branches.append(f"WHEN {value} IS NULL THEN {_violation(column, Code.MISSING_VALUE, text, '')}")
    return branches


def _violation(column: Column | None, code: Code, text: str, rule: str) -> str:
    name = literal(column.name) if column else "NULL"
    return f"{{'column': {name}, 'code': {literal(code)}, 'rule': {literal(rule)}, 'text': {text}::VARCHAR}}"


def _run(connection: duckdb.DuckDBPyConnection, query: str, table: pa.Table, contract: Contract) -> Chunk:
    connection.register("records", table)
    try:
        answer = connection.execute(query).to_arrow_table()
    finally:
        connection.unregister("records")
    count = pa.compute.list_value_length(answer["_violations"])
    is_good = pa.compute.equal(count, 0)
    dropped = [name for name in answer.column_names if name.startswith("text of ")]
    good = answer.filter(is_good).drop_columns([*dropped, "_violations", "_raw", "_source_line"])
    rejects = [
        Reject(
            row["_source_row"],
            row["_source_line"],
            violation["column"],
            Code(violation["code"]),
            explain(Code(violation["code"]), contract, violation["column"], violation["text"], violation["rule"], row),
            row["_raw"][:RAW_SHOWN],
        )
        for row in answer.filter(pa.compute.invert(is_good)).to_pylist()
        for violation in row["_violations"]
    ]
    return Chunk(table.num_rows, good, rejects)

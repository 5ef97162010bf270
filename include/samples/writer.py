"""Writes a sample file: streaming, reproducible, with faults on request.

What belongs here: `Sample` and `write_sample`, the order of the steps, text and Parquet output. What does not:
values (`values`), record formats (`records`), faults of one row (`row_faults`) or of the whole file (`file_faults`).

DuckDB formats whole records as one text column, whose Arrow buffer is written to the file unchanged; only bad records
are formatted in Python. So 20 million rows take seconds.
"""

from __future__ import annotations

import random
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from include.contracts.expressions import quoted
from include.samples.badness import FILE_KINDS, Bad, BadKind, SampleError, SampleFormat, check_applies
from include.samples.file_faults import columns_with_faults, png, truncate
from include.samples.keys import check_keys
from include.samples.records import FileColumn, TextFormat
from include.samples.report import BadRow, SampleReport
from include.samples.row_faults import LINE_KINDS, cell_fault, line_fault
from include.samples.sinks import opened
from include.samples.values import REVISIONS, Vintage, source_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from include.contracts.model import Contract
    from include.samples.sinks import ByteSink

CHUNK_ROWS = 50_000
MAX_ROWS = 2_000_000_000
# Each version is some days newer: this one is in the 43rd century.
MAX_VERSION = 100_000
_AHEAD = 3


@dataclass(frozen=True)
class _Plan:
    """The plan of a sample, made before the first row."""

    contract: Contract
    vintage: Vintage
    rows: int
    start: int
    duplicates: int
    columns: list[FileColumn]
    faults: dict[int, BadKind]
    file_faults: tuple[BadKind, ...]
    fault_columns: tuple[str, ...]

    def rows_from(self, positions: str) -> str:
        """SQL for position, key ordinal and revision of the given positions: scattered, each key once or more."""
        total, distinct = max(self.rows, 1), max(self.rows - self.duplicates, 1)
        scattered = f"(p * {_stride(total)} + {total // 3}) % {total}"
        ordinal = f"CASE WHEN q < {distinct} THEN q ELSE ((q - {distinct}) * {_stride(distinct)}) % {distinct} END"
        revision = f"CASE WHEN q < {distinct} THEN 0 ELSE 1 + (q - {distinct}) // {distinct} END"
        return (
            f"(SELECT p, {self.start} + {ordinal} AS o, {revision} AS r "
            f"FROM (SELECT p, {scattered} AS q FROM {positions}))"
        )

    def query(self, positions: str, select: Sequence[str]) -> str:
        """SQL for the given expressions over the file's columns."""
        known = [column.column for column in self.columns if column.column is not None]
        source = source_query(self.contract, self.vintage, self.rows_from(positions), known)
        extra = [f"p % 1000 AS {quoted(column.name)}" for column in self.columns if column.column is None]
        return f"SELECT {', '.join(select)} FROM (SELECT {', '.join(['*', *extra])} FROM ({source}))"


@dataclass(frozen=True)
class Sample:
    """Made-up rows that satisfy a contract, except for the faults in `bad`.

    Attributes:
        contract: the dataset's contract.
        rows: records in the file, bad ones and duplicates included.
        seed: the same seed and values give the same bytes.
        bad: the faults; the seed chooses the rows.
        start: number of the first key. Files whose key ranges overlap share rows: 0 to 2,000,000 and then start
            1,000,000 with version 2 is an update file of which half the keys exist.
        version: later versions of the same key are newer by the contract's newestBy column.
        duplicates: share of the rows, 0 to 0.9, whose key another row of the file has too, in a newer version by the
            contract's newestBy column. Without one, rows of one key contradict each other.
    """

    contract: Contract
    rows: int
    seed: int = 1
    bad: Sequence[Bad] = ()
    start: int = 0
    version: int = 1
    duplicates: float = 0.0


def write_sample(
    sample: Sample,
    path: Path,
    file_format: SampleFormat = SampleFormat.CSV,
    progress: Callable[[int], None] | None = None,
) -> SampleReport:
    """Write a sample to a file.

    Args:
        sample: its rows.
        path: the file to write; for compressed formats its ending must be .gz or .zst.
        file_format: how they are written.
        progress: is called with the number of rows that each step has written.

    Raises:
        SampleError: a fault does not apply to the contract or the format, the contract needs nested JSON, or `path` is
            a device or a pipe.
    """
    check_applies(tuple(sample.bad), file_format)
    if path.exists() and not path.is_file():
        # The sample is renamed to this name at the end, which would replace a device such as /dev/null.
        message = f"{path} is no file; give the path of a new file, or of one to replace"
        raise SampleError(message)
    if file_format.value.endswith((".gz", ".zst")) and path.suffix != "." + file_format.value.rpartition(".")[2]:
        message = f"a {file_format} file needs a name that ends in .{file_format}"
        raise SampleError(message)
    if file_format.is_json and (sample.contract.dialect.has_documents or any(c.path for c in sample.contract.columns)):
        message = "JSON with a record path, a key column or paths of columns is not written; choose csv"
        raise SampleError(message)
    plan = _plan(sample)
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = set(plan.file_faults)
    if BadKind.EMPTY in kinds:
        path.write_bytes(b"")
        bad_rows: list[BadRow] = []
    elif BadKind.PNG in kinds:
        path.write_bytes(png(sample.seed))
        bad_rows = []
    elif file_format is SampleFormat.PARQUET:
        bad_rows = _write_parquet(plan, path, progress or _silent)
    else:
        bad_rows = _write_text(plan, path, file_format, progress or _silent)
    if BadKind.TRUNCATED in kinds:
        truncate(path)
    return SampleReport(
        path=path,
        format=file_format,
        rows=0 if kinds & {BadKind.EMPTY, BadKind.PNG} else plan.rows,
        size_bytes=path.stat().st_size,
        duplicates=plan.duplicates,
        bad_rows=tuple(bad_rows),
        file_faults=plan.file_faults,
        fault_columns=plan.fault_columns,
    )


def _plan(sample: Sample) -> _Plan:
    contract, rows, bad, start = sample.contract, sample.rows, sample.bad, sample.start
    file_faults = tuple(item.kind for item in bad if item.kind in FILE_KINDS)
    if {BadKind.HEADER_ONLY, BadKind.EMPTY, BadKind.PNG} & set(file_faults):
        rows = 0
    repeated = round(rows * sample.duplicates) + sum(item.count for item in bad if item.kind is BadKind.DUPLICATE_KEYS)
    if not 0 <= rows <= MAX_ROWS or start < 0 or not 0 <= sample.version <= MAX_VERSION:
        message = f"rows from 0 to {MAX_ROWS:,}, start from 0, version from 0 to {MAX_VERSION:,}"
        raise SampleError(message)
    if repeated and repeated * REVISIONS > rows * (REVISIONS - 1):
        message = f"{repeated:,} of {rows:,} rows cannot be duplicates; at most 15 in 16 can"
        raise SampleError(message)
    check_keys(contract, start + rows - repeated, repeated)
    columns, named = columns_with_faults(contract, set(file_faults))
    return _Plan(
        contract=contract,
        vintage=Vintage(sample.seed, sample.version),
        rows=rows,
        start=start,
        duplicates=repeated,
        columns=columns,
        faults=_chosen_rows(rows, bad, sample.seed),
        file_faults=file_faults,
        fault_columns=named,
    )


def _chosen_rows(rows: int, bad: Sequence[Bad], seed: int) -> dict[int, BadKind]:
    """The fault of each chosen row: no row gets two."""
    of_rows = [item for item in bad if item.kind not in FILE_KINDS]
    if (total := sum(item.count for item in of_rows)) > rows:
        message = f"{total:,} bad rows do not fit into {rows:,} rows"
        raise SampleError(message)
    wanted = [item.kind for item in of_rows for _ in range(item.count)]
    chooser = random.Random(seed)  # noqa: S311 - made-up data
    return dict(zip(chooser.sample(range(rows), len(wanted)), wanted, strict=True))


def _text_format(file_format: SampleFormat, kinds: set[BadKind]) -> TextFormat:
    newline = "\r\n" if BadKind.CRLF in kinds else "\n"
    if file_format.is_json:
        return TextFormat(None, newline, is_array=file_format is SampleFormat.JSON)
    delimiter = "\t" if file_format is SampleFormat.TSV or BadKind.TAB in kinds else ","
    return TextFormat(";" if BadKind.SEMICOLON in kinds else delimiter, newline)


def _write_text(plan: _Plan, path: Path, file_format: SampleFormat, progress: Callable[[int], None]) -> list[BadRow]:
    kinds = set(plan.file_faults)
    form = _text_format(file_format, kinds)
    encodings = {BadKind.UTF16: "utf-16-le", BadKind.LATIN1: "latin-1", BadKind.BOM: "utf-8-sig"}
    encoding = next((name for kind, name in encodings.items() if kind in kinds), "utf-8")
    with _engine() as connection, opened(path, encoding) as sink:
        bad_lines, report = _bad_lines(plan, form, connection)
        sink.write(form.head(plan.columns).encode())
        select = [f"{form.record_sql(plan.columns)} AS record"]
        for first, table in _chunks(plan, connection, select):
            _write_records(table.column(0), first, bad_lines, sink)
            progress(table.num_rows)
        sink.write(form.tail(plan.rows).encode())
    return report


def _write_records(column: Any, first: int, bad_lines: dict[int, bytes], sink: ByteSink) -> None:
    """Write the text buffer of each Arrow array, with bad records instead of the good ones."""
    for array in column.chunks:
        offsets = memoryview(array.buffers()[1]).cast("i")[array.offset : array.offset + len(array) + 1]
        data = memoryview(array.buffers()[2])
        done = 0
        for position in sorted(at for at in bad_lines if first <= at < first + len(array)):
            at = position - first
            sink.write(bytes(data[offsets[done] : offsets[at]]))
            sink.write(bad_lines[position])
            done = at + 1
        sink.write(bytes(data[offsets[done] : offsets[len(array)]]))
        first += len(array)


def _bad_lines(
    plan: _Plan, form: TextFormat, connection: duckdb.DuckDBPyConnection
) -> tuple[dict[int, bytes], list[BadRow]]:
    lines: dict[int, bytes] = {}
    report: list[BadRow] = []
    names = {column.name for column in plan.columns}
    select = [f"{form.field_sql(column)} AS {quoted(column.name)}" for column in plan.columns]
    spelled = dict(_rows_at(plan, connection, select))
    plain = dict(_plain_rows(plan, connection))
    for position, kind in sorted(plan.faults.items()):
        fields = [str(value) for value in spelled[position]]
        if kind in LINE_KINDS:
            (content, code), name = line_fault(kind, plan.columns, fields, form), None
        else:
            fault = cell_fault(kind, plan.contract, names, plain[position])
            at = [column.name for column in plan.columns].index(fault.column)
            fields[at] = form.field(fault.value, plan.columns[at].type)
            content, name, code = form.record(plan.columns, fields).encode(), fault.column, fault.code
        lines[position] = form.framed(content, position)
        report.append(BadRow(position + 1, form.line_of(position), name, kind, code))
    return lines, report


def _write_parquet(plan: _Plan, path: Path, progress: Callable[[int], None]) -> list[BadRow]:
    names = {column.name for column in plan.columns}
    report: list[BadRow] = []
    select = [quoted(column.name) for column in plan.columns]
    part = path.with_name(path.name + ".part")
    with _engine() as connection:
        plain = dict(_plain_rows(plan, connection))
        writer: pq.ParquetWriter | None = None
        try:
            for first, table in _chunks(plan, connection, select):
                changed = table
                for position in sorted(at for at in plan.faults if first <= at < first + table.num_rows):
                    kind = plan.faults[position]
                    fault = cell_fault(kind, plan.contract, names, plain[position])
                    changed = _with_value(changed, position - first, fault.column, fault.value)
                    report.append(BadRow(position + 1, None, fault.column, kind, fault.code))
                writer = writer or pq.ParquetWriter(part, table.schema, compression="zstd")
                writer.write_table(changed)
                progress(table.num_rows)
        finally:
            if writer is not None:
                writer.close()
    part.replace(path)
    return report


def _with_value(table: Any, at: int, name: str, value: str | None) -> Any:
    column = table.column(name)
    struck = pa.chunked_array([pa.array([value], pa.string()).cast(column.type)])
    pieces = [*column.slice(0, at).chunks, *struck.chunks, *column.slice(at + 1).chunks]
    return table.set_column(table.schema.get_field_index(name), name, pa.chunked_array(pieces, column.type))


def _chunks(plan: _Plan, connection: duckdb.DuckDBPyConnection, select: Sequence[str]) -> Iterator[tuple[int, Any]]:
    """Yield the rows as Arrow tables in order; other threads make a few ahead. At least one, for its schema."""

    def make(first: int) -> Any:
        cursor = connection.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        last = min(first + CHUNK_ROWS, plan.rows)
        return cursor.execute(plan.query(f"range({first}, {last}) t(p)", select)).to_arrow_table()

    pending: deque[tuple[int, Future[Any]]] = deque()
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="sample") as pool:
        for first in range(0, max(plan.rows, 1), CHUNK_ROWS):
            pending.append((first, pool.submit(make, first)))
            if len(pending) >= _AHEAD:
                at, made = pending.popleft()
                yield at, made.result()
        for at, made in pending:
            yield at, made.result()


def _rows_at(
    plan: _Plan, connection: duckdb.DuckDBPyConnection, select: Sequence[str]
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The rows that will be made bad, by position."""
    if not plan.faults:
        return
    positions = f"(SELECT unnest([{', '.join(map(str, sorted(plan.faults)))}]::BIGINT[]) AS p)"
    for row in connection.execute(plan.query(positions, ["p", *select])).fetchall():
        yield row[0], row[1:]


def _plain_rows(plan: _Plan, connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[int, dict[str, str | None]]]:
    known = [column.name for column in plan.columns if column.column is not None]
    for position, values in _rows_at(plan, connection, [f"{quoted(name)}::VARCHAR" for name in known]):
        yield position, dict(zip(known, values, strict=True))


@contextmanager
def _engine() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(":memory:", config={"threads": "1", "memory_limit": "512MB"})
    try:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def _stride(total: int) -> int:
    """A step near the golden ratio, coprime to `total`: its multiples visit every number below `total` once."""
    step = max(int(total * 0.6180339887), 1)
    while gcd(step, total) != 1:
        step += 1
    return step


def _silent(_: int) -> None:
    """Ignore the progress."""

"""Rows of one file that have the same key: which one is loaded, which are superseded, which conflict.

What belongs here: the comparison of rows within a file. What does not: the comparison with the table (the merge).

Of rows with one key the newest is loaded, by the contract's newest-by column. Of equally new ones the last is loaded if
they are identical. If they differ, all rows of that key are refused, unless the contract says `onDuplicate: lastWins`.
A hash aggregation over the key columns finds the duplicate keys; only their rows are compared further.
"""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from include.contracts.expressions import literal, quoted
from include.contracts.model import Contract, OnDuplicate
from include.errors import Code, visible
from include.errors.registry import message
from include.ingestion.loaded_rows import as_loaded, parquet_rows
from include.ingestion.readers.raw_records import OpenFile, Raw, raw_records
from include.ingestion.records import Duplicates, Reject, Validated
from include.ingestion.refused_keys import key_list, with_refused_keys
from include.ingestion.rejects import with_rejects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb
    import numpy.typing as npt

_ROWS_AT_ONCE = 16_384
_SHOWN = 80
_RECORDS = pa.schema([("_source_row", pa.int64()), ("_source_line", pa.int64()), ("_raw", pa.string())])


def with_duplicates(file: OpenFile, validated: Validated) -> Validated:
    """Find the rows that are not loaded because another row has their key. Conflicting rows become rejects.

    The tables of the search are those of the file's connection.
    """
    contract = file.attempt.contract
    if contract.appends:
        return validated
    search = _Search(contract, validated, file.connection)
    if not search.find_repeated_keys():
        return validated
    refused = search.find_conflicts() if contract.on_duplicate is OnDuplicate.REFUSE else 0
    validated = replace(validated, duplicates=search.write_superseded_rows())
    if not refused:
        return validated
    if contract.is_snapshot:
        validated = with_refused_keys(validated, "conflicting_keys.parquet", search.refused_keys(), file.connection)
    wanted = search.refused_rows()
    rejects = search.rejects(wanted, raw_records(file, wanted))
    return with_rejects(validated, "conflicts.csv", rejects, file.attempt.settings.max_rejects_in_ledger)


class _Search:
    """The temporary tables of one search; `_key_number` numbers the duplicate keys.

    The search's own columns begin with an underscore, which no column of a contract or of a table does. DuckDB's
    `rowid` is not used: a contract's column may have that name.
    """

    def __init__(self, contract: Contract, validated: Validated, connection: duckdb.DuckDBPyConnection) -> None:
        self._contract, self._validated, self._connection = contract, validated, connection
        self._file = parquet_rows(validated.path)
        self._key = ", ".join(quoted(name) for name in contract.key)
        self._has_conflicts = False

    def find_repeated_keys(self) -> bool:
        """Whether a key occurs more than once; if so, number these keys and their rows."""
        rows = as_loaded(self._contract, self._file, self._connection)
        self._make(
            "repeated_keys",
            f"SELECT {self._key}, row_number() OVER () AS _key_number FROM {rows} "
            f"GROUP BY {self._key} HAVING count(*) > 1",
        )
        if not self._count("repeated_keys"):
            return False
        newest = f"r.{quoted(self._contract.newest_by)}" if self._contract.newest_by else "NULL"
        self._make(
            "repeated",
            f"SELECT r._source_row, k._key_number, {newest} AS _newest "
            f"FROM {rows} AS r JOIN repeated_keys AS k USING ({self._key})",
        )
        return True

    def find_conflicts(self) -> int:
        """Find the keys whose newest rows differ; the number of rows of these keys."""
        self._make(
            "tied",
            "SELECT _source_row, _key_number FROM ("
            "SELECT r._source_row, r._key_number, count(*) OVER (PARTITION BY r._key_number) AS _equally_new "
            "FROM repeated AS r "
            "JOIN (SELECT _key_number, max(_newest) AS _newest FROM repeated GROUP BY _key_number) AS top "
            "ON r._key_number = top._key_number AND r._newest IS NOT DISTINCT FROM top._newest) WHERE _equally_new > 1",
        )
        if not self._count("tied"):
            return 0
        self._add_contents()
        self._make(
            "conflicts",
            "SELECT _key_number, min(_source_row) AS _first_row, arg_min(_content, _source_row) AS _first_content "
            "FROM contents GROUP BY _key_number HAVING min(_content) <> max(_content)",
        )
        if not self._count("conflicts"):
            return 0
        self._has_conflicts = True
        self._make(
            "others",
            "SELECT t._key_number, min(t._source_row) AS _other_row FROM contents AS t JOIN conflicts AS c "
            "USING (_key_number) WHERE t._content <> c._first_content GROUP BY t._key_number",
        )
        # A reject names a row that differs from its own: the first of the key, or the first that differs from that one.
        self._make(
            "refused",
            "SELECT r._source_row, r._key_number, "
            "CASE WHEN t._content = c._first_content THEN o._other_row ELSE c._first_row END AS _other_row "
            "FROM repeated AS r JOIN conflicts AS c USING (_key_number) JOIN others AS o USING (_key_number) "
            "LEFT JOIN contents AS t ON r._source_row = t._source_row",
        )
        return self._count("refused")

    def write_superseded_rows(self) -> Duplicates:
        """Write the numbers of the superseded and the refused rows, and count the superseded ones."""
        path = self._validated.path.with_name("excluded_rows.parquet")
        superseded = (
            "SELECT _source_row FROM (SELECT _source_row, _key_number, row_number() OVER "
            "(PARTITION BY _key_number ORDER BY _newest DESC NULLS LAST, _source_row DESC) AS _position FROM repeated) "
            "WHERE _position > 1"
        )
        if self._has_conflicts:
            superseded += " AND _key_number NOT IN (SELECT _key_number FROM conflicts)"
        self._make("superseded", superseded)
        refused = " UNION ALL SELECT _source_row FROM refused" if self._has_conflicts else ""
        rows = f"SELECT _source_row FROM superseded{refused}"
        self._connection.execute(f"COPY ({rows}) TO {literal(str(path))} (FORMAT parquet)")
        return Duplicates(self._count("superseded"), path)

    def refused_rows(self) -> npt.NDArray[np.int64]:
        """The numbers of the refused rows, sorted."""
        query = "SELECT _source_row FROM refused ORDER BY _source_row"
        return self._connection.execute(query).fetchnumpy()["_source_row"]

    def refused_keys(self) -> str:
        """A query for the keys of the refused rows."""
        rows = as_loaded(self._contract, self._file, self._connection)
        return f"SELECT {key_list(self._contract)} FROM {rows} SEMI JOIN refused USING (_source_row)"

    def rejects(self, wanted: npt.NDArray[np.int64], records: Iterator[Raw]) -> Iterator[Reject]:
        """A reject for each refused row, in their order.

        Args:
            wanted: the numbers of the refused rows, sorted.
            records: these rows as the file has them. They are kept on disk until the lines of all are known.
        """
        path = self._validated.path.with_name("refused.parquet")
        lines = np.zeros(len(wanted), dtype=np.int64)
        with pq.ParquetWriter(path, _RECORDS) as writer:
            for first in range(0, len(wanted), _ROWS_AT_ONCE):
                columns = list(zip(*islice(records, _ROWS_AT_ONCE), strict=True))
                arrays = [pa.array(column, kind) for column, kind in zip(columns, _RECORDS.types, strict=True)]
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=_RECORDS))
                lines[first : first + len(arrays[1])] = arrays[1].fill_null(0).to_numpy()
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE):
                for record, (other, *key) in zip(batch.to_pylist(), self._others(batch.column(0)), strict=True):
                    line = lines[np.searchsorted(wanted, other)]
                    message = self._message(key, f"line {line}" if line else f"row {other}")
                    row, own_line, raw = record.values()
                    yield Reject(row, own_line, None, Code.CONFLICTING_DUPLICATE, message, raw)

    def _others(self, rows: pa.Array) -> list[tuple[int, *tuple[str, ...]]]:
        """For consecutive refused rows: the number of a row that conflicts with each, and the values of its key."""
        within = f"_source_row BETWEEN {rows[0].as_py()} AND {rows[-1].as_py()}"
        names = ", ".join(f"f.{quoted(name)}::VARCHAR" for name in self._contract.key)
        relation = as_loaded(self._contract, f"(SELECT * FROM {self._file} WHERE {within})", self._connection)
        return self._connection.execute(
            f"SELECT r._other_row, {names} FROM (SELECT * FROM refused WHERE {within}) AS r "
            f"JOIN {relation} AS f USING (_source_row) ORDER BY _source_row"
        ).fetchall()

    def _message(self, values: list[str], where: str) -> str:
        key = ", ".join(f"{name} = {value[:_SHOWN]}" for name, value in zip(self._contract.key, values, strict=True))
        newest = (
            f"the same {self._contract.newest_by}" if self._contract.newest_by else "no column that says which is newer"
        )
        return visible(message(Code.CONFLICTING_DUPLICATE, key=key, where=where, newest=newest))

    def _add_contents(self) -> None:
        """Create the table `contents`: a hash of all values of each tied row."""
        tied = f"(SELECT * FROM {self._file} SEMI JOIN tied USING (_source_row))"
        rows = as_loaded(self._contract, tied, self._connection)
        documents = self._write_documents(rows)
        is_document = {column.name for column in self._contract.columns if column.type.is_document} | {"_rescued"}
        names = [column.name for column in self._contract.source_columns if column.name not in is_document]
        values = [f"r.{quoted(name)}" for name in [*names, *self._validated.extra_columns]]
        self._make(
            "contents",
            f"SELECT t._source_row, t._key_number, hash({', '.join([*values, 'd._documents'])}) AS _content "
            f"FROM {rows} AS r JOIN tied AS t USING (_source_row) "
            f"LEFT JOIN {parquet_rows(documents)} AS d ON r._source_row = d._source_row",
        )

    def _write_documents(self, rows: str) -> Path:
        """Write the JSON values of rows in canonical form: equal values have equal texts. Skip rows without JSON."""
        names = [column.name for column in self._contract.source_columns if column.type.is_document]
        columns = [quoted(name) for name in [*names, "_rescued"]]
        given = " OR ".join(f"{name} IS NOT NULL" for name in columns)
        path = self._validated.path.with_name("documents.parquet")
        schema = pa.schema([("_source_row", pa.int64()), ("_documents", pa.string())])
        query = f"SELECT _source_row, {', '.join(columns)} FROM {rows} WHERE {given}"
        with pq.ParquetWriter(path, schema) as writer:
            for batch in self._connection.execute(query).to_arrow_reader(_ROWS_AT_ONCE):
                texts = [
                    json.dumps([None if value is None else canonical(value) for value in row])
                    for row in zip(*(column.to_pylist() for column in batch.columns[1:]), strict=True)
                ]
                writer.write_batch(pa.RecordBatch.from_arrays([batch.column(0), pa.array(texts)], schema=schema))
        return path

    def _make(self, table: str, query: str) -> None:
        self._connection.execute(f"CREATE TEMP TABLE {table} AS {query}")

    def _count(self, table: str) -> int:
        row = self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(row[0]) if row else 0


def canonical(text: str) -> str:
    """The canonical form of a JSON text: texts that are equal as PostgreSQL's jsonb get the same form.

    Of a duplicate key the last value counts. The order of keys and the spelling of numbers do not matter.
    """
    try:
        return json.dumps(_plain(json.loads(text, parse_float=Decimal, parse_int=Decimal)), sort_keys=True)
    except (ValueError, ArithmeticError, RecursionError):
        return text


def _plain(value: object) -> object:
    """The value with its numbers as texts of digits and exponent, and its texts marked as texts."""
    match value:
        case dict():
            return {name: _plain(member) for name, member in value.items()}
        case list():
            return [_plain(member) for member in value]
        case str():
            return f"text {value}"
        case Decimal():
            sign, digits, exponent = value.as_tuple()
            kept = "".join(map(str, digits)).rstrip("0")
            return f"number {'-' * sign}{kept}e{int(exponent) + len(digits) - len(kept)}" if kept else "number 0"
        case _:
            return value

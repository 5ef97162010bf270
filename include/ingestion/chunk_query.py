"""Types the cells of a chunk of text records, and lists the reasons for each refused row.

What belongs here: the queries and the use of their results. What does not: reading a format (`row_by_row`), the
rules themselves (`rules`, `row_size`).

A first query types all rows and says which are refused. A second query lists the reasons for those rows only. Each
query handles a limited number of columns: DuckDB keeps a buffer of 2,048 values for every step of every expression,
so one query over hundreds of columns would need more memory than the engine has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from include.contracts.expressions import VALUE_ERRORS, literal, quoted
from include.errors import Code
from include.ingestion.halving import by_halves
from include.ingestion.messages import explain, explain_rule
from include.ingestion.readers.text_lines import RAW_SHOWN
from include.ingestion.readers.vectorised import arrow_type, validated_schema
from include.ingestion.records import Reject
from include.ingestion.row_size import RowSize
from include.ingestion.rules import cleaned, reading_checks, row_checks, typed, unknown_checks, value_checks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import duckdb

    from include.contracts.model import Column, Contract
    from include.ingestion.rules import RowCheck

_COLUMNS_AT_ONCE = 48
_CELLS_EXPLAINED_AT_ONCE = 200_000
_TEXT_OF = "text of "
_SOURCE_COLUMNS = ("_source_row", "_source_line", "_raw")


@dataclass
class Chunk:
    """The typed good rows and the rejects of the other rows. `rows` counts all records, good and bad.

    `refused` has those bad rows of a snapshot that were typed, as far as their cells could be read.
    """

    rows: int
    good: pa.Table
    rejects: list[Reject] = field(default_factory=list)
    refused: pa.Table | None = None


@dataclass(frozen=True)
class Cells:
    """The SQL expressions that give a query the texts of its cells.

    `texts` has one per column of the contract that the file has. `extra` are unknown columns that become columns of
    the table, `headers` their names in the file. `rescued` is the expression of all other unknown columns.
    """

    texts: dict[str, str]
    extra: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    rescued: str | None = None


@dataclass(frozen=True)
class ChunkQuery:
    """The queries that a contract and a file's columns need."""

    contract: Contract
    cells: Cells

    def run(self, connection: duckdb.DuckDBPyConnection, records: pa.Table) -> Chunk:
        """Type and check the rows of `records`."""
        texts = self._read_texts(connection, records)
        rows, refused = self._typed(connection, texts)
        good = rows.filter(pc.invert(refused))
        rejects = list(self._reasons(connection, texts.filter(refused), rows.filter(refused)))
        if self._size.oversized:
            good, too_large = self._without_oversized(connection, good, texts)
            rejects += too_large
        if not self.contract.is_snapshot:
            return Chunk(records.num_rows, good, rejects)
        is_good = pc.is_in(rows["_source_row"], value_set=good["_source_row"])
        return Chunk(records.num_rows, good, rejects, rows.filter(pc.invert(is_good)))

    def _read_texts(self, connection: duckdb.DuckDBPyConnection, records: pa.Table) -> pa.Table:
        """The cells as texts, under names that no column of a file has."""
        cells = self.cells
        if not cells.extra and cells.rescued is None and set(cells.texts.values()) <= set(records.column_names):
            columns = {name: records[name] for name in _SOURCE_COLUMNS}
            columns |= {_TEXT_OF + column.name: records[cells.texts[column.name]] for column in self._present}
            return pa.table(columns).append_column("_rescued", pa.nulls(records.num_rows, pa.string()))
        with _registered(connection, "records", records):
            return connection.execute(self._texts).to_arrow_table()

    @cached_property
    def _present(self) -> list[Column]:
        return [column for column in self.contract.source_columns if column.name in self.cells.texts]

    @cached_property
    def _groups(self) -> list[list[Column]]:
        return [self._present[at : at + _COLUMNS_AT_ONCE] for at in range(0, len(self._present), _COLUMNS_AT_ONCE)]

    @cached_property
    def _size(self) -> RowSize:
        return RowSize(self.contract, tuple(name for name, _ in self.cells.extra))

    @cached_property
    def _row_checks(self) -> list[RowCheck]:
        """The checks that need several columns, or columns that the contract does not name."""
        unknown = self.cells.extra or self.cells.rescued
        return [*row_checks(self.contract), *(unknown_checks(name for name, _ in self.cells.extra) if unknown else ())]

    @cached_property
    def _texts(self) -> str:
        cells = [f"{self.cells.texts[c.name]} AS {_text_of(c)}" for c in self._present]
        cells += [f"nullif({text}, '') AS {quoted(name)}" for name, text in self.cells.extra]
        cells.append(f"{self.cells.rescued or 'NULL::VARCHAR'} AS _rescued")
        return f"SELECT {', '.join([*_SOURCE_COLUMNS, *cells])} FROM records"

    def _typed(self, connection: duckdb.DuckDBPyConnection, texts: pa.Table) -> tuple[pa.Table, pa.ChunkedArray]:
        """The typed columns of all rows, and which rows are refused."""
        columns: dict[str, pa.ChunkedArray] = {}
        refused = pa.chunked_array([pa.array([False] * texts.num_rows, pa.bool_())])
        with _registered(connection, "texts", texts):
            for group in self._groups:
                answer = connection.execute(_typing(group)).to_arrow_table()
                columns |= {column.name: answer[column.name] for column in group}
                refused = pc.or_(refused, answer["_refused"])
        for column in self.contract.source_columns:
            if column.name not in columns:
                columns[column.name] = pa.chunked_array([pa.nulls(texts.num_rows, arrow_type(column))])
        kept = [name for name, _ in self.cells.extra] + ["_rescued", "_source_row"]
        ordered = {column.name: columns[column.name] for column in self.contract.source_columns}
        rows = pa.table(ordered | {name: texts[name] for name in kept})
        rows = rows.cast(validated_schema(self.contract, self.cells.headers))
        if self._row_checks:
            refused = pc.or_(refused, pa.chunked_array([pa.array(self._broken(connection, rows), pa.bool_())]))
        return rows, refused

    def _reasons(self, connection: duckdb.DuckDBPyConnection, texts: pa.Table, rows: pa.Table) -> Iterator[Reject]:
        """Each bad cell and each broken rule of the refused rows."""
        at_once = max(1, _CELLS_EXPLAINED_AT_ONCE // max(1, len(self._present)))
        for start in range(0, texts.num_rows, at_once):
            some, typed_rows = texts.slice(start, at_once), rows.slice(start, at_once)
            with _registered(connection, "texts", some):
                found = [_found(connection, _explaining(group)) for group in self._groups]
            if self._row_checks:
                found.append(self._row_reasons(connection, typed_rows))
            sources = some.select(_SOURCE_COLUMNS).to_pylist()
            for source, row, *violations in zip(sources, typed_rows.to_pylist(), *found, strict=True):
                for violation in (one for some_of_row in violations for one in some_of_row):
                    yield self._reject(source, row, violation)

    def _broken(self, connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> list[bool]:
        """Whether a check of several columns refuses each row. A row for which a check raises an error is refused."""
        broken = _any(check.broken for check in self._row_checks)

        def ask(some: pa.Table) -> list[bool]:
            with _registered(connection, "typed", some):
                answer = connection.execute(f"SELECT {broken} AS _refused FROM typed").to_arrow_table()
            refused: list[bool] = answer["_refused"].to_pylist()
            return refused

        return by_halves(rows, ask, lambda _: True)

    def _row_reasons(self, connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> list[list[dict[str, Any]]]:
        """The violations of each row that need several columns."""

        def ask(some: pa.Table) -> list[list[dict[str, Any]]]:
            with _registered(connection, "typed", some):
                return _found(connection, _listed(_row_violations(self._row_checks), "typed"))

        return by_halves(rows, ask, lambda row: self._reasons_of_one(connection, row))

    def _reasons_of_one(self, connection: duckdb.DuckDBPyConnection, row: pa.Table) -> list[dict[str, Any]]:
        """The violations of a single row, one query per check: a check that cannot be calculated is a violation."""
        reasons: list[dict[str, Any]] = []
        with _registered(connection, "typed", row):
            for check in self._row_checks:
                try:
                    reasons += _found(connection, _listed(_row_violations([check]), "typed"))[0]
                except VALUE_ERRORS:
                    name = check.column.name if check.column else None
                    reasons.append({"column": name, "code": check.code, "rule": check.rule, "text": None})
        return reasons

    def _reject(self, source: dict[str, Any], row: dict[str, Any], violation: dict[str, Any]) -> Reject:
        code, column = Code(violation["code"]), violation["column"]
        if code is Code.RULE_BROKEN:
            message = explain_rule(self.contract, violation["rule"], row)
        else:
            message = explain(code, self.contract, column, violation["text"])
        row_number, line, raw = source["_source_row"], source["_source_line"], source["_raw"][:RAW_SHOWN]
        value = violation["text"]
        return Reject(row_number, line, column, code, message, raw, value if value is None else value[:RAW_SHOWN])

    def _without_oversized(
        self, connection: duckdb.DuckDBPyConnection, good: pa.Table, texts: pa.Table
    ) -> tuple[pa.Table, list[Reject]]:
        """The rows that PostgreSQL accepts, and the rejects of the rows that are too large for it."""
        with _registered(connection, "typed", good):
            answer = connection.execute(f"SELECT coalesce({self._size.oversized}, false) AS _large FROM typed")
            large = good.filter(answer.to_arrow_table()["_large"])
        faults = {row["_source_row"]: self._size.fault(row) for row in large.to_pylist()}
        refused = pa.array([row for row, fault in faults.items() if fault], pa.int64())
        sources = texts.filter(pc.is_in(texts["_source_row"], value_set=refused)).select(_SOURCE_COLUMNS).to_pylist()
        rejects = [
            Reject(row, source["_source_line"], fault.column, fault.code, fault.message, source["_raw"][:RAW_SHOWN])
            for source in sources
            if (fault := faults[row := source["_source_row"]])
        ]
        return good.filter(pc.invert(pc.is_in(good["_source_row"], value_set=refused))), rejects


class _registered:  # noqa: N801 - used as a statement
    """Registers a table with the engine under a name while the block runs."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
        self._connection, self._name = connection, name
        connection.register(name, table)

    def __enter__(self) -> None:
        """Do nothing: the table is registered by the constructor."""

    def __exit__(self, *_: object) -> None:
        self._connection.unregister(self._name)


def _typing(columns: Sequence[Column]) -> str:
    """Typed columns under their names, and `_refused`."""
    broken = _any(condition for column in columns for condition, _ in _branches(column))
    names = ", ".join(quoted(column.name) for column in columns)
    return f"SELECT {names}, {broken} AS _refused FROM {_typed_relation(columns)}"


def _explaining(columns: Sequence[Column]) -> str:
    """The reasons of a row, as a list."""
    cells = [
        f"CASE {' '.join(f'WHEN {condition} THEN {violation}' for condition, violation in branches)} END"
        for column in columns
        if (branches := _branches(column))
    ]
    return _listed(cells, _typed_relation(columns))


def _typed_relation(columns: Sequence[Column]) -> str:
    texts = [_text_of(column) for column in columns]
    values = [f"{typed(column, _text_of(column))} AS {quoted(column.name)}" for column in columns]
    return cleaned(f"(SELECT {', '.join([*texts, *values])} FROM texts)", columns)


def _branches(column: Column) -> list[tuple[str, str]]:
    """The conditions that refuse a cell, each with its reason. The first one that holds counts."""
    text, value = _text_of(column), quoted(column.name)
    checks = [*reading_checks(column, text, value), *value_checks(column, value)]
    branches = [(check.broken, _violation(column, check.code, text, check.rule)) for check in checks]
    if column.required:
        branches.append((f"{value} IS NULL", _violation(column, Code.MISSING_VALUE, text, "")))
    return branches


def _row_violations(checks: Sequence[RowCheck]) -> list[str]:
    return [f"CASE WHEN {c.broken} THEN {_violation(c.column, c.code, 'NULL', c.rule)} END" for c in checks]


def _violation(column: Column | None, code: Code, text: str, rule: str) -> str:
    name = literal(column.name) if column else "NULL"
    return f"{{'column': {name}, 'code': {literal(code)}, 'rule': {literal(rule)}, 'text': {text}::VARCHAR}}"


def _listed(violations: Sequence[str], relation: str) -> str:
    listed = f"list_filter([{', '.join(violations)}], lambda v: v IS NOT NULL)" if violations else "[]"
    return f"SELECT {listed} AS _violations FROM {relation}"


def _found(connection: duckdb.DuckDBPyConnection, query: str) -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = connection.execute(query).to_arrow_table()["_violations"].to_pylist()
    return found


def _any(conditions: Iterator[str]) -> str:
    return " OR ".join(f"coalesce({condition}, false)" for condition in conditions) or "false"


def _text_of(column: Column) -> str:
    return quoted(_TEXT_OF + column.name)

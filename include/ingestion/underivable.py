"""Refuses rows whose derived columns cannot be calculated, each with the column and the value.

What belongs here: finding these rows in the validated file, and removing them from it. What does not: how a derived
column is converted to its column's type (`loaded_rows`).

One query checks whether there is such a row; a file without one needs nothing more. The query calculates every derived
column of every row, so later readers of the validated file can calculate them too.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.contracts.expressions import VALUE_ERRORS, quoted
from include.errors import Code
from include.ingestion.halving import by_halves
from include.ingestion.loaded_rows import Derivation, derivations, parquet_rows, with_raw, with_values
from include.ingestion.messages import explain_derivation
from include.ingestion.readers.raw_records import OpenFile, raw_records
from include.ingestion.records import Reject, Validated
from include.ingestion.refused_keys import key_list, with_refused_keys
from include.ingestion.rejects import with_rejects
from include.ingestion.rules import cleaned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

    from include.contracts.model import Contract

_ROWS_AT_ONCE = 16_384
_FAULTS = pa.schema([("_source_row", pa.int64()), ("column", pa.string()), ("message", pa.string())])


def without_underivable(file: OpenFile, validated: Validated) -> Validated:
    """Remove the rows that have no value for a derived column from the validated file; they become rejects.

    Its Parquet file is written again without these rows.
    """
    contract = file.attempt.contract
    search = _Search(contract, derivations(contract, file.connection), file.connection)
    if not search.finds_any(parquet_rows(validated.path)):
        return validated
    faults = validated.path.with_name("underivable_faults.parquet")
    # A derived column of these rows may have no value, so a key that has one cannot be read.
    has_keys = contract.is_snapshot and all(column.is_sent for column in contract.key_columns)
    removed = validated.path.with_name("underivable_rows.parquet") if has_keys else None
    wanted = search.move(validated.path, faults, removed)
    if removed is not None:
        rows = f"SELECT {key_list(contract)} FROM {cleaned(parquet_rows(removed), contract.source_columns)}"
        validated = with_refused_keys(validated, "underivable_keys.parquet", rows, file.connection)
    elif contract.is_snapshot:
        known = validated.refused_keys
        validated = replace(validated, refused_keys=replace(known, unreadable=known.unreadable + len(wanted)))
    rejects = _rejects(faults, raw_records(file, wanted))
    return with_rejects(validated, "underivable.csv", rejects, file.attempt.settings.max_rejects_in_ledger)


@dataclass(frozen=True)
class _Search:
    contract: Contract
    derived: list[Derivation]
    connection: duckdb.DuckDBPyConnection

    def finds_any(self, relation: str) -> bool:
        """Whether any row has no value for a derived column."""
        if not self.derived:
            return False
        # Counting a column makes DuckDB calculate it, also where no check of its value is needed.
        values = [f"count({quoted(derivation.column.name)})" for derivation in self.derived]
        values += [f"bool_or({derivation.broken})" for derivation in self.derived if derivation.broken]
        rows = with_values(with_raw(self.contract, relation, self.derived), self.derived)
        try:
            answer = self.connection.execute(f"SELECT {', '.join(values)} FROM {rows}").fetchone()
        except VALUE_ERRORS:
            return True
        return answer is not None and any(answer[len(self.derived) :])

    def move(self, path: Path, faults: Path, removed: Path | None) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Remove these rows from the file; the row numbers, sorted.

        Args:
            path: the file.
            faults: receives the faults of these rows.
            removed: receives the rows; None if they are not needed.
        """
        kept = path.with_name("derivable.parquet")
        numbers = []
        with (
            pq.ParquetFile(path, pre_buffer=False) as file,
            pq.ParquetWriter(kept, file.schema_arrow, compression="snappy", use_dictionary=False) as good,
            pq.ParquetWriter(faults, _FAULTS) as bad,
            nullcontext() if removed is None else pq.ParquetWriter(removed, file.schema_arrow) as out,
        ):
            for batch in file.iter_batches(_ROWS_AT_ONCE):
                rows = pa.Table.from_batches([batch], file.schema_arrow)
                found = pa.Table.from_pylist(list(self._faults(rows)), schema=_FAULTS)
                bad.write_table(found)
                refused = found["_source_row"].unique()
                numbers.append(refused.to_numpy())
                is_refused = pc.is_in(rows["_source_row"], value_set=refused)
                good.write_table(rows.filter(pc.invert(is_refused)))
                if out is not None:
                    out.write_table(rows.filter(is_refused))
        kept.replace(path)
        return np.concatenate(numbers)

    def _faults(self, rows: pa.Table) -> Iterator[dict[str, Any]]:
        """The faults of derived columns of these rows, in their order."""
        found = by_halves(rows, lambda some: self._answers(some, self.derived), self._answer_of_one)
        shown = rows.to_pylist() if any(_bad(found)) else [{}] * len(found)
        for row, (number, *answers) in zip(shown, found, strict=True):
            for derivation, is_made, is_broken, raw in zip(
                self.derived, answers[::3], answers[1::3], answers[2::3], strict=True
            ):
                if not is_made or is_broken:
                    message = explain_derivation(self.contract, derivation.column, raw, row, is_made=is_made)
                    yield {"_source_row": number, "column": derivation.column.name, "message": message}

    def _answer_of_one(self, row: pa.Table) -> tuple[Any, ...]:
        """The answer for a single row, with one query per derived column: a column that raises is not made."""
        answer: list[Any] = [row["_source_row"][0].as_py()]
        for derivation in self.derived:
            try:
                answer += self._answers(row, [derivation])[0][1:]
            except VALUE_ERRORS:
                answer += [False, None, None]
        return tuple(answer)

    def _answers(self, rows: pa.Table, derived: list[Derivation]) -> list[tuple[Any, ...]]:
        """For each row its number, and for each derived column: is it made, is it broken, its raw value as text."""
        relation = with_raw(self.contract, "underivable_rows", derived, as_lists=True)
        made = ", ".join(f"{one.raw} IS NOT NULL AS {_made(one)}, {one.raw}[1] AS {one.raw}" for one in derived)
        raws = ", ".join(one.raw for one in derived)
        values = with_values(f"(SELECT * EXCLUDE ({raws}), {made} FROM {relation})", derived)
        asked = ", ".join(
            f"{_made(one)}, {one.broken or 'false'}, CASE WHEN {one.broken or 'false'} THEN {one.raw}::VARCHAR END"
            for one in derived
        )
        self.connection.register("underivable_rows", rows)
        try:
            return self.connection.execute(f"SELECT _source_row, {asked} FROM {values} ORDER BY 1").fetchall()
        finally:
            self.connection.unregister("underivable_rows")


def _made(derivation: Derivation) -> str:
    return quoted(f"is made: {derivation.column.name}")


def _bad(answers: list[tuple[Any, ...]]) -> Iterator[bool]:
    return (not all(answer[1::3]) or any(answer[2::3]) for answer in answers)


def _rejects(faults: Path, records: Iterator[tuple[int, int | None, str]]) -> Iterator[Reject]:
    """A reject for each fault, in the order of the rows."""
    number: int | None = None
    line, raw = None, ""
    with pq.ParquetFile(faults, pre_buffer=False) as file:
        for batch in file.iter_batches(_ROWS_AT_ONCE):
            for fault in batch.to_pylist():
                if fault["_source_row"] != number:
                    number, line, raw = next(records)
                yield Reject(number, line, fault["column"], Code.DERIVATION_FAILED, fault["message"], raw)

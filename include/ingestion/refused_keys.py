"""The keys of a snapshot's refused rows: they were sent, so the rows that the table has of them are not deleted.

What belongs here: collecting these keys while a file is validated. What does not: deleting (`deletes`).

A key is known where all its columns were read and none of them is at fault. Otherwise the refused row may be any row of
the table, and only its number counts.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.contracts.expressions import literal, quoted
from include.ingestion.records import RefusedKeys, Validated

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    import duckdb

    from include.contracts.model import Contract
    from include.ingestion.chunk_query import Chunk


class RefusedKeyFile:
    """Collects the keys of the refused rows of a file's chunks; does nothing where the file is no snapshot."""

    def __init__(self, path: Path, contract: Contract) -> None:
        self.keys = RefusedKeys()
        self._path, self._contract = path, contract
        self._writer: pq.ParquetWriter | None = None
        self._open = ExitStack()

    def add(self, chunk: Chunk) -> None:
        """Add the refused rows of a chunk."""
        if chunk.refused is None or not chunk.rejects:
            return
        key = self._contract.key
        refused = {reject.source_row for reject in chunk.rejects}
        at_fault = {reject.source_row for reject in chunk.rejects if reject.column in key}
        known = _known(chunk.refused, self._contract, at_fault)
        self.keys = replace(self.keys, unreadable=self.keys.unreadable + len(refused) - known.num_rows)
        if known.num_rows:
            if self._writer is None:
                self._writer = self._open.enter_context(pq.ParquetWriter(self._path, known.schema))
                self.keys = replace(self.keys, paths=(self._path,))
            self._writer.write_table(known)

    def __enter__(self) -> RefusedKeyFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()


def _known(rows: pa.Table, contract: Contract, at_fault: set[int]) -> pa.Table:
    """The keys of those rows whose key was read. A derived column of a refused row has no value."""
    if any(not column.is_sent for column in contract.key_columns):
        return rows.slice(0, 0)
    read = pc.invert(pc.is_in(rows["_source_row"], value_set=pa.array(sorted(at_fault), pa.int64())))
    for name in contract.key:
        read = pc.and_(read, pc.is_valid(rows[name]))
    return rows.filter(read).select(contract.key)


def with_refused_keys(
    validated: Validated, name: str, relation: str, connection: duckdb.DuckDBPyConnection
) -> Validated:
    """The validated file with the keys of further refused rows.

    Args:
        validated: the file so far.
        name: of the file for these keys, beside the validated one.
        relation: the refused rows, cleaned.
        connection: the engine's.
    """
    path = validated.path.with_name(name)
    connection.execute(f"COPY ({relation}) TO {literal(str(path))} (FORMAT parquet)")
    known = validated.refused_keys
    return replace(validated, refused_keys=replace(known, paths=(*known.paths, path)))


def key_list(contract: Contract) -> str:
    """The key's columns for a query, in the types in which they are copied to PostgreSQL."""
    return ", ".join(
        f"CAST({quoted(column.name)} AS {column.carried_type}) AS {quoted(column.name)}"
        for column in contract.key_columns
    )

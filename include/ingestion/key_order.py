"""Sorts the rows for the table by key, in parts that the engine can sort in its memory.

Rows in key order halve the time of the merge: its index grows page by page. Where rows exceed DuckDB's memory, its
external sort can run out of memory too. So it sorts one range of keys that fits after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from include.contracts.expressions import literal, quoted

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from include.contracts.model import Contract
    from include.settings import IngestSettings

# Each part reads the file again; with more parts than this, PostgreSQL sorts faster.
MOST_PARTS = 8
_SAMPLE_KEYS = 4_096
_FEW_COLUMNS, _MOST_COLUMNS = 30, 100
_CELL_BYTES = 24  # including the overhead of a sort


def parts_needed(path: Path, settings: IngestSettings) -> int:
    """The number of parts in which the rows of a Parquet file must be sorted, each three quarters of the memory.

    A cell takes at least 16 bytes there, which counts in wide rows. The widest rows cannot be sorted there at all.
    """
    rows = pq.read_metadata(path)
    size = sum(int(rows.row_group(at).total_byte_size) for at in range(rows.num_row_groups))
    if rows.num_columns > _MOST_COLUMNS:
        return MOST_PARTS + 1
    if rows.num_columns > _FEW_COLUMNS:
        size = max(size, _CELL_BYTES * rows.num_rows * rows.num_columns)
    return 1 + 4 * size // (3 * settings.engine_memory_mb * 1024**2)


def key_ranges(connection: duckdb.DuckDBPyConnection, contract: Contract, rows: str, parts: int) -> list[str]:
    """SQL conditions that split a relation into about equal ranges of keys, in key order; none for too many parts."""
    if parts > MOST_PARTS:
        return []
    if parts == 1:
        return ["true"]
    names = ", ".join(quoted(name) for name in contract.key)
    texts = ", ".join(f"CAST({quoted(name)} AS VARCHAR)" for name in contract.key)
    sample = connection.execute(
        f"SELECT {texts} FROM (SELECT {names} FROM {rows} USING SAMPLE reservoir({_SAMPLE_KEYS} ROWS) REPEATABLE (1)) "
        f"ORDER BY {names}"
    ).fetchall()
    if not sample:
        return ["true"]  # all rows of the file are left out
    above = [_at_or_above(contract, sample[part * len(sample) // parts]) for part in range(1, parts)]
    below = [f"NOT ({condition})" for condition in above]
    return [f"({low}) AND {high}" for low, high in zip(["true", *above], [*below, "true"], strict=True)]


def _at_or_above(contract: Contract, texts: tuple[str, ...]) -> str:
    """A condition: the row's key is not below this one. DuckDB does not use row values as the bounds of a range."""
    condition = ""
    for name, text in reversed(list(zip(contract.key, texts, strict=True))):
        value = f"CAST({literal(text)} AS {contract.by_name[name].carried_type})"
        if condition:
            condition = f"{quoted(name)} > {value} OR ({quoted(name)} = {value} AND ({condition}))"
        else:
            condition = f"{quoted(name)} >= {value}"
    return condition

"""The order in which rows go to the table: by key, in parts that the engine can sort in its memory.

Rows in key order halve the time of the merge: its index grows page by page. DuckDB's own sort of more than its
memory runs out of it where there are many runs, so it is asked for ranges of keys that fit, one after the other.
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

# Each part reads the file again; beyond this, PostgreSQL sorts faster.
MOST_PARTS = 8
_SAMPLE_KEYS = 4_096
_FEW_COLUMNS, _MOST_COLUMNS = 30, 100
_CELL_BYTES = 24  # with what a sort adds


def parts_needed(path: Path, settings: IngestSettings) -> int:
    """In how many parts the rows of a Parquet file must be sorted: each fills three quarters of the engine's memory.

    A cell takes 16 bytes there, however short it is, which counts in wide rows. The widest cannot be sorted there.
    """
    rows = pq.read_metadata(path)
    size = sum(int(rows.row_group(at).total_byte_size) for at in range(rows.num_row_groups))
    if rows.num_columns > _MOST_COLUMNS:
        return MOST_PARTS + 1
    if rows.num_columns > _FEW_COLUMNS:
        size = max(size, _CELL_BYTES * rows.num_rows * rows.num_columns)
    return 1 + 4 * size // (3 * settings.engine_memory_mb * 1024**2)


def key_ranges(connection: duckdb.DuckDBPyConnection, contract: Contract, rows: str, parts: int) -> list[str]:
    """Conditions that part a relation by key, in key order, into about equal shares; none if there are too many."""
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
    """Whether a row's key is not below this one. Spelt out: DuckDB cannot find the range between two row values."""
    condition = ""
    for name, text in reversed(list(zip(contract.key, texts, strict=True))):
        value = f"CAST({literal(text)} AS {contract.by_name[name].carried_type})"
        if condition:
            condition = f"{quoted(name)} > {value} OR ({quoted(name)} = {value} AND ({condition}))"
        else:
            condition = f"{quoted(name)} >= {value}"
    return condition

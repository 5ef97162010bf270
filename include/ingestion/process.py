"""Stage 2: which rows go on, and how they look. Cleans, derives, and keeps the newest of rows with one key.

The result is a plan, a query over the validated file, and not another copy of the rows: load reads through it.
What the plan needs to know beforehand, which rows lose against a newer one, is found and written down here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pyarrow.parquet as pq

from include.contracts.expressions import literal, quoted
from include.contracts.model import ColumnType, Contract
from include.errors import Code
from include.ingestion.engine import engine
from include.ingestion.records import FileRefusedError, Processed, Validated
from include.ingestion.rules import cleaned

if TYPE_CHECKING:
    from pathlib import Path

    from include.settings import IngestSettings

_MOST_PARTS = 8
_SAMPLE_KEYS = 4_096


def process(contract: Contract, validated: Validated, folder: Path, settings: IngestSettings) -> Processed:
    """Plan the rows to load.

    Raises:
        FileRefusedError: a derived column cannot be calculated.
    """
    rows = _relation(contract, validated)
    losers = folder / "losers.parquet"
    with engine(folder, settings) as connection:
        try:
            _try_derived(connection, contract, rows)
            duplicates = _write_losers(connection, contract, rows, losers)
            ranges = _key_ranges(connection, contract, rows, _sorts_needed(validated.path, settings))
        except (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException) as error:
            raise FileRefusedError(
                Code.DERIVATION_FAILED,
                f"A derived column cannot be calculated: {str(error).splitlines()[0]}",
                "Mend the contract's expression, or the values, and drop the file again.",
            ) from error
    columns = [*(column.name for column in contract.columns), *validated.extra_columns, "_rescued", "_source_row"]
    select = f"SELECT {', '.join(quoted(name) for name in columns)} FROM {rows} WHERE "
    if duplicates:
        select += f"_source_row NOT IN (SELECT _source_row FROM read_parquet({literal(str(losers))})) AND "
    selects = tuple(f"{select}{within} ORDER BY {_key(contract)}" for within in ranges) or (f"{select}true",)
    kept = validated.rows_read - validated.rejects.rows - duplicates
    return Processed(validated.path, selects, bool(ranges), kept, duplicates)


def _relation(contract: Contract, validated: Validated) -> str:
    rows = cleaned(f"read_parquet({literal(str(validated.path))})", contract.source_columns)
    uuids = [quoted(column.name) for column in contract.source_columns if column.type is ColumnType.UUID]
    if uuids:
        rows = f"(SELECT * REPLACE ({', '.join(f'lower({name}) AS {name}' for name in uuids)}) FROM {rows})"
    derived = [f"({column.derived}) AS {quoted(column.name)}" for column in contract.columns if column.derived]
    return f"(SELECT *, {', '.join(derived)} FROM {rows})" if derived else rows


def _try_derived(connection: duckdb.DuckDBPyConnection, contract: Contract, rows: str) -> None:
    derived = [quoted(column.name) for column in contract.columns if column.derived]
    if derived:
        connection.execute(f"SELECT {', '.join(f'count({name})' for name in derived)} FROM {rows}").fetchone()


def _write_losers(connection: duckdb.DuckDBPyConnection, contract: Contract, rows: str, path: Path) -> int:
    """Write the numbers of the rows that another row of the same key replaces; how many there are.

    The newest wins; among equally new ones, the one further down in the file. First a cheap look for keys that
    occur twice, by hash aggregation, and only those are sorted.
    """
    key = _key(contract)
    newest = f"{quoted(contract.newest_by)} DESC NULLS LAST, " if contract.newest_by else ""
    connection.execute(f"CREATE TEMP TABLE doubled AS SELECT {key} FROM {rows} GROUP BY {key} HAVING count(*) > 1")
    any_doubled = connection.execute("SELECT count(*) FROM doubled").fetchone()
    if any_doubled is None or any_doubled[0] == 0:
        return 0
    connection.execute(
        f"COPY (SELECT _source_row FROM ("
        f"SELECT _source_row, row_number() OVER (PARTITION BY {key} ORDER BY {newest}_source_row DESC) AS place "
        f"FROM {rows} AS r SEMI JOIN doubled USING ({key})) WHERE place > 1) "
        f"TO {literal(str(path))} (FORMAT parquet)"
    )
    count = connection.execute(f"SELECT count(*) FROM read_parquet({literal(str(path))})").fetchone()
    return int(count[0]) if count else 0


def _sorts_needed(path: Path, settings: IngestSettings) -> int:
    """In how many parts the rows must be sorted: each fills at most three quarters of the engine's memory."""
    rows = pq.read_metadata(path)
    size = sum(rows.row_group(at).total_byte_size for at in range(rows.num_row_groups))
    return 1 + 4 * size // (3 * settings.engine_memory_mb * 1024**2)


def _key_ranges(connection: duckdb.DuckDBPyConnection, contract: Contract, rows: str, parts: int) -> list[str]:
    """Conditions that part the rows by key, in key order, into about equal shares; none if it would take too many.

    Load copies rows in key order, which halves the time of the merge. DuckDB's own sort beyond its memory runs out
    of it where the runs are many, so it sorts parts that fit. Each part reads the file again: beyond
    `_MOST_PARTS`, PostgreSQL sorts.
    """
    if parts > _MOST_PARTS:
        return []
    if parts == 1:
        return ["true"]
    texts = ", ".join(f"CAST({quoted(name)} AS VARCHAR)" for name in contract.key)
    sample = connection.execute(
        f"SELECT {texts} FROM (SELECT {_key(contract)} FROM {rows} "
        f"USING SAMPLE reservoir({_SAMPLE_KEYS} ROWS) REPEATABLE (1)) ORDER BY {_key(contract)}"
    ).fetchall()
    bounds = [_key_value(contract, sample[part * len(sample) // parts]) for part in range(1, parts)]
    below = [f"({_key(contract)}) < ({bound})" for bound in bounds]
    above = [f"({_key(contract)}) >= ({bound})" for bound in bounds]
    return [" AND ".join(pair) for pair in zip(["true", *above], [*below, "true"], strict=True)]


def _key_value(contract: Contract, texts: tuple[str, ...]) -> str:
    kinds = [contract.by_name[name].carried_type for name in contract.key]
    return ", ".join(f"CAST({literal(text)} AS {kind})" for text, kind in zip(texts, kinds, strict=True))


def _key(contract: Contract) -> str:
    return ", ".join(quoted(name) for name in contract.key)

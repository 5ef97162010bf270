"""Stage 2: which rows go on, and how they look. Cleans, derives, and keeps the newest of rows with one key.

The result is a plan, queries over the validated file, and not another copy of the rows: load reads through it.
What the plan needs to know beforehand, which rows lose against a newer one, is found and written down here; only a
dataset that is enriched by another system has its rows written once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from include.contracts.expressions import literal, quoted
from include.contracts.model import ColumnType, Contract
from include.errors import Code
from include.ingestion.engine import engine
from include.ingestion.enrich import enrich
from include.ingestion.key_order import key_ranges, parts_needed
from include.ingestion.records import FileRefusedError, Processed, Validated
from include.ingestion.rules import cleaned

if TYPE_CHECKING:
    from pathlib import Path

    from include.ingestion.enrich import Enricher
    from include.settings import IngestSettings


def process(
    contract: Contract, validated: Validated, folder: Path, settings: IngestSettings, enricher: Enricher
) -> Processed:
    """Plan the rows to load.

    Raises:
        FileRefusedError: a derived column cannot be calculated.
        RetryableError: a system that enriches rows does not answer.
        PermanentError: it refuses.
    """
    rows = _relation(contract, validated)
    path, losers = validated.path, folder / "losers.parquet"
    with engine(folder, settings) as connection:
        try:
            _try_derived(connection, contract, rows)
            duplicates = _write_losers(connection, contract, rows, losers)
        except (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException) as error:
            raise FileRefusedError(
                Code.DERIVATION_FAILED,
                f"A derived column cannot be calculated: {str(error).splitlines()[0]}",
                "Mend the contract's expression, or the values, and drop the file again.",
            ) from error
        if duplicates:
            lost = f"(SELECT _source_row FROM read_parquet({literal(str(losers))}))"
            rows = f"(SELECT * FROM {rows} WHERE _source_row NOT IN {lost})"
        if contract.enriched:
            path = folder / "enriched.parquet"
            enrich(contract, f"SELECT * FROM {rows}", connection, enricher, path)
            validated.path.unlink()
            rows = f"read_parquet({literal(str(path))})"
        ranges = key_ranges(connection, contract, rows, parts_needed(path, settings))
    columns = [*(column.name for column in contract.columns), *validated.extra_columns, "_rescued", "_source_row"]
    select = f"SELECT {', '.join(quoted(name) for name in columns)} FROM {rows}"
    selects = tuple(f"{select} WHERE {within} ORDER BY {_key(contract)}" for within in ranges) or (select,)
    kept = validated.rows_read - validated.rejects.rows - duplicates
    return Processed(path, selects, bool(ranges), kept, duplicates)


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


def _key(contract: Contract) -> str:
    return ", ".join(quoted(name) for name in contract.key)

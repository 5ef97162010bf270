"""Stage 2: clean rows, derive columns, and exclude superseded rows.

The result is a plan: queries over the validated file, which load runs. The rows are not copied, unless another system
enriches the dataset: then they are written once more. The rows to exclude were found by validate (`duplicates`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.contracts.expressions import quoted
from include.ingestion.engine import engine
from include.ingestion.enrich import enrich
from include.ingestion.key_order import key_ranges, parts_needed
from include.ingestion.loaded_rows import as_loaded, parquet_rows
from include.ingestion.records import Processed, Validated

if TYPE_CHECKING:
    from include.contracts.model import Contract
    from include.ingestion.attempt import Attempt


def process(attempt: Attempt, validated: Validated) -> Processed:
    """Plan the rows to load.

    Raises:
        RetryableError: a system that enriches rows does not answer.
        PermanentError: that system refuses the request.
    """
    contract, path = attempt.contract, validated.path
    with engine(attempt.folder, attempt.settings) as connection:
        rows = as_loaded(contract, parquet_rows(validated.path), connection)
        if validated.duplicates.path is not None:
            excluded = f"(SELECT _source_row FROM {parquet_rows(validated.duplicates.path)})"
            rows = f"(SELECT * FROM {rows} WHERE _source_row NOT IN {excluded})"
        if contract.enriched:
            path = attempt.folder / "enriched.parquet"
            enrich(contract, f"SELECT * FROM {rows}", connection, attempt.stores.enricher, path)
            validated.path.unlink()
            rows = parquet_rows(path)
        ranges = []
        if not contract.appends:
            ranges = key_ranges(connection, contract, rows, parts_needed(path, attempt.settings))
    columns = [*(column.name for column in contract.columns), *validated.extra_columns, "_rescued", "_source_row"]
    select = f"SELECT {', '.join(quoted(name) for name in columns)} FROM {rows}"
    selects = tuple(f"{select} WHERE {within} ORDER BY {_key(contract)}" for within in ranges) or (select,)
    superseded = validated.duplicates.superseded
    kept = validated.rows_read - validated.rejects.rows - superseded
    # Rows that are appended stay in the order of the file, which is that of their key.
    return Processed(path, selects, bool(ranges) or contract.appends, kept, superseded)


def _key(contract: Contract) -> str:
    return ", ".join(quoted(name) for name in contract.key)

"""Adds the values that another system computes per row, while rows are processed. Every row needs its value."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from include.contracts.enrichments import INPUTS
from include.contracts.model import Enrichment
from include.stores.ml_service import MlService

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import duckdb

    from include.contracts.model import Contract
    from include.settings import MlServiceSettings

_ROWS_AT_ONCE = 16_384


class Enricher:
    """Requests values from the systems that contracts name. Connects to a system with the first request."""

    def __init__(self, ml_service: MlServiceSettings) -> None:
        self._settings = ml_service
        self._services = ExitStack()
        self._ml_service: MlService | None = None

    def values(self, enrichment: Enrichment, rows: pa.RecordBatch) -> Sequence[str]:
        """The value of each row, in their order.

        Raises:
            RetryableError: the system does not answer, or its circuit is open because it did not.
            PermanentError: it refuses the request.
        """
        match enrichment:
            case Enrichment.TRANSACTION_CATEGORY:
                if self._ml_service is None:
                    self._ml_service = self._services.enter_context(MlService(self._settings))
                return self._ml_service.categories(rows.select(list(INPUTS[enrichment])).to_pylist())

    def close(self) -> None:
        """Close the connections."""
        self._services.close()


def enrich(
    contract: Contract, select: str, connection: duckdb.DuckDBPyConnection, enricher: Enricher, path: Path
) -> None:
    """Write the rows of a query, with the contract's enriched columns, to a Parquet file."""
    rows = connection.execute(select).to_arrow_reader(_ROWS_AT_ONCE)
    schema = rows.schema
    for name in contract.enriched:
        schema = schema.append(pa.field(name, pa.string()))
    with pq.ParquetWriter(path, schema, compression="snappy", use_dictionary=False, write_statistics=False) as writer:
        for batch in rows:
            values = [pa.array(enricher.values(kind, batch), pa.string()) for kind in contract.enriched.values()]
            writer.write_batch(pa.RecordBatch.from_arrays([*batch.columns, *values], schema=schema))

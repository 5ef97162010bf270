"""Copies rows of the engine into a table of PostgreSQL, in its binary format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgpq import ArrowToPostgresBinaryEncoder

from include.errors import Code, PermanentError
from include.ingestion.engine import engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from psycopg import sql

    from include.ingestion.attempt import Attempt

_COPY_ROWS = 16_384
_COPY_CELLS = 500_000


@dataclass(frozen=True)
class BinaryCopy:
    """A COPY ... FROM STDIN (FORMAT binary) into a table with the columns of `schema`."""

    statement: sql.Composed
    schema: pa.Schema

    def run(self, attempt: Attempt, selects: Sequence[str]) -> None:
        """Copy the rows of the queries, one after the other.

        Raises:
            PermanentError: a column has another type than in the table.
        """
        at_once = min(_COPY_ROWS, _COPY_CELLS // len(self.schema))
        with (
            engine(attempt.folder, attempt.settings) as reader,
            attempt.stores.connection.cursor().copy(self.statement) as copy,
        ):
            encoder: ArrowToPostgresBinaryEncoder | None = None
            for select in selects:
                batches = reader.execute(select).to_arrow_reader(at_once)
                if encoder is None:
                    self._check_types(batches.schema, attempt.contract.dataset)
                    encoder = ArrowToPostgresBinaryEncoder(batches.schema)
                    copy.write(encoder.write_header())
                for batch in batches:
                    copy.write(encoder.write_batch(batch))
            if encoder is not None:
                copy.write(encoder.finish())

    def _check_types(self, given: pa.Schema, dataset: str) -> None:
        """Compare the types with those of the table: binary COPY reads any bits as a value of its column's type."""
        for name, kind, expected in zip(given.names, given.types, self.schema.types, strict=True):
            if kind != expected:
                raise PermanentError(
                    Code.INTERNAL,
                    f"The column {name} would be copied as {kind}, and the table holds {expected}.",
                    dataset=dataset,
                )

"""What a load of planned rows would change in the table. Reads as the role `reader`; writes a temporary table alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

from include.errors import Code, PermanentError
from include.ingestion.added_columns import check_headers
from include.ingestion.engine import engine
from include.ingestion.ledger import Ledger
from include.ingestion.load import copy_rows
from include.ingestion.table_shape import refuse
from include.ingestion.target import Target
from include.stores.warehouse import Connection, connect, warehouse_errors

if TYPE_CHECKING:
    from include.ingestion.table_shape import Shape
    from include.ingestion.trial.dry_run import Planned
    from include.settings import WarehouseConfig


@dataclass(frozen=True)
class Effect:
    """The counts of the merge that a load would run. `creates`: there is no table yet; `adds`: columns it would get.

    `duplicate_of` is a file of the same content: a load would be skipped.
    """

    inserted: int
    updated: int
    unchanged: int
    creates: bool = False
    adds: tuple[str, ...] = ()
    duplicate_of: int | None = None


class _TemporaryTarget(Target):
    """The same table, with a staging table that only this session sees and that ends with its transaction."""

    @property
    def staging(self) -> sql.Identifier:
        """The temporary table."""
        return sql.Identifier("pg_temp", "staged")

    def create_staging(self) -> sql.Composed:
        """Create it."""
        return sql.SQL("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DROP").format(self.staging, self.staged_columns())


def effect_of(planned: Planned, reader: WarehouseConfig) -> Effect:
    """Compare the planned rows with the table.

    Args:
        planned: the rows.
        reader: the warehouse as a role that may only read.

    Raises:
        FileRefusedError: a load would be refused: the table or an added column differs.
        RetryableError: the warehouse does not answer.
        PermanentError: it refuses, or a value.
    """
    contract, validated = planned.attempt.contract, planned.validated
    target = _TemporaryTarget(contract, 0, 0, validated.extra_columns)
    with connect(reader) as connection, warehouse_errors():
        shape = target.shape(connection)
        refuse(contract.dataset, shape)
        if validated.headers:
            check_headers(connection, contract.dataset, validated.headers)
        duplicate_of = Ledger(connection).find_duplicate(
            planned.attempt.entry, validated.sha256, allow_resend=contract.loads_in_order
        )
        counts = _counts(planned, target, shape, connection)
    adds = tuple(name for name in shape.missing if shape.types is not None and name not in shape.types)
    return Effect(*counts, creates=shape.types is None, adds=adds, duplicate_of=duplicate_of)


def _counts(planned: Planned, target: Target, shape: Shape, connection: Connection) -> tuple[int, int, int]:
    """How many rows would be inserted, updated and left as they are."""
    attempt, kept = planned.attempt, planned.processed.rows_kept
    if shape.types is None:
        return kept, 0, 0
    not_asked = set(attempt.contract.enriched)
    query = sql.SQL(
        "SELECT count(*) FILTER (WHERE t._is_there IS NULL), count(*) FILTER (WHERE t._is_there AND {differs}) "
        "FROM (SELECT {staged} FROM {staging}) AS s LEFT JOIN (SELECT true AS _is_there, {columns} FROM {table}) AS t "
        "ON {on}"
    ).format(
        differs=target.replaces([name for name in target.values if name not in not_asked]),
        staged=target.casts(),
        staging=target.staging,
        columns=_columns(target, set(shape.types)),
        table=target.table,
        on=target.same_key(),
    )
    with engine(attempt.folder, attempt.settings) as reader, connection.transaction():
        connection.execute(target.create_staging())
        # From here on PostgreSQL itself refuses a write to anything but a temporary table.
        connection.execute("SET TRANSACTION READ ONLY")
        copy_rows(reader, connection, target, planned.processed)
        row = connection.execute(query).fetchone()
    if row is None:
        raise PermanentError(Code.INTERNAL, error="no counts")
    inserted, updated = int(row[0]), int(row[1])
    return inserted, updated, kept - inserted - updated


def _columns(target: Target, there: set[str]) -> sql.Composed:
    """The table's columns as they are after the load has added those that it lacks."""
    parts = [
        sql.Identifier(column.name)
        if column.name in there
        else sql.SQL("NULL::{} AS {}").format(sql.SQL(column.type), sql.Identifier(column.name))
        for column in target.columns
    ]
    return sql.SQL(", ").join([*parts, sql.Identifier("_rescued")])

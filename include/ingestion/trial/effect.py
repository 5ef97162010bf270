"""What a load of planned rows would change in the table. Reads as the role `reader`; writes a temporary table alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from psycopg import sql

from include.errors import Code, PermanentError
from include.ingestion.added_columns import check_headers
from include.ingestion.binary_copy import BinaryCopy
from include.ingestion.deletes import check_share
from include.ingestion.ledger import Ledger
from include.ingestion.table_shape import DELETED_AT, refuse
from include.ingestion.target import Target
from include.ingestion.trial.dry_run import DryRunStores
from include.stores.warehouse import Connection, connect, warehouse_errors

if TYPE_CHECKING:
    from include.ingestion.table_shape import TableShape
    from include.ingestion.trial.dry_run import Planned
    from include.settings import WarehouseConfig


@dataclass(frozen=True)
class Effect:
    """The counts of the merge that a load would run. `creates`: there is no table yet; `adds`: columns it would get.

    `duplicate_of` is a file of the same content: a load would be skipped. `deleted_at_most` are the live rows that a
    snapshot lacks; those whose key a refused row has would stay. None if the contract deletes no rows.
    """

    inserted: int
    updated: int
    unchanged: int
    creates: bool = False
    adds: tuple[str, ...] = ()
    duplicate_of: int | None = None
    deleted_at_most: int | None = None


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
        inserted, updated, deleted, live = _counts(planned, target, shape, connection)
    if contract.is_snapshot and duplicate_of is None and not validated.rejects.rows:
        check_share(contract, deleted, live)  # with refused rows, only a load knows which rows stay for them
    adds = tuple(name for name in shape.missing if shape.types is not None and name not in shape.types)
    unchanged = planned.processed.rows_kept - inserted - updated
    return Effect(
        inserted,
        updated,
        unchanged,
        creates=shape.types is None,
        adds=adds,
        duplicate_of=duplicate_of,
        deleted_at_most=deleted if contract.is_snapshot else None,
    )


def _counts(planned: Planned, target: Target, shape: TableShape, connection: Connection) -> tuple[int, int, int, int]:
    """How many rows would be inserted and updated, how many live rows have no staged row, and how many there are.

    The last two are zero where the contract deletes nothing.
    """
    attempt = planned.attempt
    if shape.types is None:
        return planned.processed.rows_kept, 0, 0, 0
    compared = [name for name in target.values if name not in attempt.contract.enriched]
    live = sql.SQL(f"t.{DELETED_AT} IS NULL" if shape.has_marks else "true")
    query = sql.SQL(
        "SELECT count(*) FILTER (WHERE t._is_there IS NULL), "
        "count(*) FILTER (WHERE t._is_there AND s._source_row IS NOT NULL AND ({differs} OR NOT {live})), "
        "count(*) FILTER (WHERE s._source_row IS NULL AND {live}), count(*) FILTER (WHERE t._is_there AND {live}) "
        "FROM (SELECT {staged} FROM {staging}) AS s "
        "{join} JOIN (SELECT true AS _is_there, {columns} FROM {table}) AS t ON {on}"
    ).format(
        differs=target.replaces(compared),
        live=live,
        staged=target.casts(),
        staging=target.staging,
        join=sql.SQL("FULL" if attempt.contract.is_snapshot else "LEFT"),
        columns=_columns(target, shape),
        table=target.table,
        on=target.same_key() if attempt.contract.key_columns else sql.SQL("false"),
    )
    with connection.transaction():
        connection.execute(target.create_staging())
        # From here on PostgreSQL itself refuses a write to anything but a temporary table.
        connection.execute("SET TRANSACTION READ ONLY")
        BinaryCopy(target.copy(), target.arrow_schema).run(
            replace(attempt, stores=_OfReader(connection)), planned.processed.selects
        )
        row = connection.execute(query).fetchone()
    if row is None:
        raise PermanentError(Code.INTERNAL, error="no counts")
    inserted, updated, missing, live_rows = map(int, row)
    return inserted, updated, missing, live_rows


class _OfReader(DryRunStores):
    """The stores of a dry run, with the session of the role that may only read."""

    def __init__(self, connection: Connection) -> None:
        """Set the connection: a copy into a temporary table goes over it."""
        super().__init__()
        object.__setattr__(self, "connection", connection)


def _columns(target: Target, shape: TableShape) -> sql.Composed:
    """The table's columns as they are after the load has added those that it lacks."""
    there = set(shape.types or ())
    parts = [
        sql.Identifier(column.name)
        if column.name in there
        else sql.SQL("NULL::{} AS {}").format(sql.SQL(column.type), sql.Identifier(column.name))
        for column in target.columns
        if column.name != DELETED_AT
    ]
    marks = [sql.Identifier(DELETED_AT)] if shape.has_marks else []
    return sql.SQL(", ").join([*parts, sql.Identifier("_rescued"), *marks])

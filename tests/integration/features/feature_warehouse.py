"""The warehouse of these tests: raw tables that they fill, and rows as readers see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
from project_world import stored
from psycopg import sql

from include.contracts.catalog import read_catalog
from include.settings import CONTRACTS_DIR
from include.stores.warehouse import connect

if TYPE_CHECKING:
    from project_world import Rows

    from include.stores.warehouse import Connection
    from local.supervisor.platform import Platform


class Warehouse:
    """The raw tables of projects, filled by the role `ingest`; features are built by `transform`."""

    def __init__(self, platform: Platform, ingest: Connection, transform: Connection) -> None:
        self.platform, self.ingest, self.transform = platform, ingest, transform
        contracts = read_catalog(CONTRACTS_DIR)
        for name in ("users", "tasks", "projects", "teams", "activity"):
            contract = contracts.find(name)
            columns = [
                {"name": one.name, "type": one.postgres_type, "required": one.required} for one in contract.columns
            ]
            ingest.execute(
                "SELECT ops.ensure_dataset(%s, %s::jsonb, %s)", (name, json.dumps(columns), list(contract.key))
            )

    def empty(self) -> None:
        config = self.platform.warehouse_config("owner")
        with connect(config) as owner:
            for name in ("users", "tasks", "projects", "teams", "activity"):
                owner.execute(sql.SQL("TRUNCATE raw.{}").format(sql.Identifier(name)))
            owner.execute("TRUNCATE features.parameters, ops.feature_build, ops.feature_source_day")
            for name in ("users", "tasks", "projects", "teams", "small"):
                owner.execute(sql.SQL("DROP TABLE IF EXISTS features.{} CASCADE").format(sql.Identifier(name)))

    def load(self, rows: Rows) -> None:
        for name, records in rows.items():
            self.insert(name, records)

    def insert(self, name: str, records: list[dict[str, Any]]) -> None:
        """Write rows as a load does: a row with a key that exists replaces it."""
        if not records:
            return
        columns = list(records[0])
        key = [one for one in columns if one == f"{name[:-1]}_id" or one in {"activity_id", "updated_at"}]
        statement = sql.SQL(
            "INSERT INTO raw.{} (_file_id, _source_row, _loaded_at, {}) VALUES (1, 1, now(), {}) "
            "ON CONFLICT ({}) DO UPDATE SET _loaded_at = now(), {}"
        ).format(
            sql.Identifier(name), sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(sql.Placeholder() * len(columns)), sql.SQL(", ").join(map(sql.Identifier, key)),
            sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(one)) for one in columns),
        )  # fmt: skip
        with self.ingest.transaction(), self.ingest.cursor() as cursor:
            cursor.executemany(statement, [[stored(row[one]) for one in columns] for row in records])

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Rows as the role `reader` sees them."""
        with connect(self.platform.warehouse_config("reader")) as reader:
            cursor = reader.cursor(row_factory=psycopg.rows.dict_row)
            return cursor.execute(query.encode(), values or None).fetchall()

"""The lake of the shared platform, and a table of the warehouse for each test."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
import pytest

from include.lake.connect import open_lake
from include.lake.tables import LakeTable
from include.lake.update import TableUpdate, TableUpdater
from tests import own_names
from tests.integration.own_platform import RUN

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from include.settings import WarehouseConfig
    from local.supervisor.platform import Platform

COLUMNS = """
    id bigint NOT NULL, region text COLLATE "C", amount numeric(18,4), token uuid, extra jsonb, seen_at timestamptz,
    local_at timestamp, day date, is_new boolean, share double precision,
    _file_id bigint NOT NULL, _source_row bigint NOT NULL, _loaded_at timestamptz NOT NULL, _rescued jsonb,
    _deleted_at timestamptz"""
ROWS = """
    SELECT i, 'r' || i % 3, i / 7.0, gen_random_uuid(), jsonb_build_object('n', i, 'big', 12345678901234567890.123),
        now() - i * interval '1 hour', localtimestamp, current_date - i, i % 2 = 0, i / 3.0,
        {file_id}, i, now(), NULL, NULL
    FROM generate_series({first}, {last}) AS i"""


_JSONB = 3802


@dataclass
class Sales:
    """A table of the warehouse with a random part in its name, and its table in the lake."""

    name: str
    owner: psycopg.Connection[Any]
    engine: duckdb.DuckDBPyConnection
    platform: Platform
    key: tuple[str, ...] = ("id",)
    partition_by: tuple[str, ...] = ()
    relation: str = field(init=False)

    def __post_init__(self) -> None:
        self.relation = f"raw.{self.name}"
        self.run(f"CREATE TABLE {self.relation} ({COLUMNS}, PRIMARY KEY ({', '.join(self.key)}))")
        self.run(f"GRANT SELECT ON {self.relation} TO transform, reader")

    @property
    def table(self) -> LakeTable:
        return LakeTable("raw", self.name, self.key, self.partition_by)

    def run(self, sql: str) -> None:
        self.owner.execute(sql.encode())

    def insert(self, first: int, last: int, file_id: int = 1) -> None:
        self.run(f"INSERT INTO {self.relation} {ROWS.format(first=first, last=last, file_id=file_id)}")

    def update(self, *, full: bool = False, run_id: str = "run-1") -> TableUpdate:
        return TableUpdater(self.engine, self.platform.warehouse_config("ingest"), run_id).update(self.table, full=full)

    def assert_same(self) -> None:
        """Compare all values: PostgreSQL's own texts of them with those of DuckDB."""
        asked = self.owner.execute(f"SELECT * FROM {self.relation} LIMIT 0".encode()).description or ()
        names = [one.name for one in asked]
        columns = [f"{one.name}{'::text' if one.type_code == _JSONB else ''}" for one in asked]
        query = f"SELECT {', '.join(columns)} FROM {self.relation} ORDER BY id"
        expected = [tuple(map(_comparable, row)) for row in self.owner.execute(query.encode()).fetchall()]
        found = self.engine.execute(f"SELECT * FROM lake.{self.relation} ORDER BY id")
        assert [one[0] for one in found.description or ()] == names
        assert [tuple(map(_comparable, row)) for row in found.fetchall()] == expected

    def rows(self, of: str = "") -> int:
        row = self.engine.execute(f"SELECT count(*) FROM lake.{self.relation} {of}").fetchone()
        return int(row[0]) if row else -1

    def snapshots(self) -> int:
        row = self.engine.execute("SELECT max(snapshot_id) FROM lake.snapshots()").fetchone()
        return int(row[0]) if row else -1


def _comparable(value: object) -> object:
    return repr(value) if isinstance(value, float) else value  # NaN differs from itself


class MakeSales(Protocol):
    def __call__(self, **changes: Any) -> Sales: ...


def direct(config: WarehouseConfig) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=config.host, port=config.port, dbname=config.database, user=config.user,
        password=config.password.get_secret_value(), autocommit=True,
        options="-c timezone=UTC -c statement_timeout=60s",
    )  # fmt: skip


@pytest.fixture(scope="session")
def owner(platform: Platform) -> Iterator[psycopg.Connection[Any]]:
    with direct(platform.warehouse_config("owner")) as connection:
        yield connection


@pytest.fixture(scope="session")
def engine(platform: Platform) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB as `update_lake` uses it. Loading the extensions takes seconds, so the tests share it."""
    with open_lake(platform.lake_config(writes=True), platform.warehouse_config("transform")) as opened:
        yield opened


@pytest.fixture
def make_sales(
    request: pytest.FixtureRequest,
    platform: Platform,
    owner: psycopg.Connection[Any],
    engine: duckdb.DuckDBPyConnection,
) -> MakeSales:
    name = own_names.own_name(request.node.nodeid + os.environ.get(RUN, ""))

    def make(**changes: Any) -> Sales:
        return Sales(name, owner, engine, platform, **changes)

    return make


@pytest.fixture
def sales(make_sales: MakeSales) -> Sales:
    return make_sales()

"""A source of a test in a real database: a table of PostgreSQL or MariaDB, read and loaded as in a run."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
import pyarrow.parquet as pq
from element_world import ElementWorld
from psycopg import sql

from include.contracts.model import ErrorBudget
from include.sources.database.connection import DatabaseConnection
from include.sources.database.definition import DatabaseSource
from include.sources.database.reading import DatabaseReader
from tests.mariadb import LOGIN, PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from include.sources.listing import Element, Listing, Position, Sink, Traffic
    from include.sources.run import CollectedElement
    from local.supervisor.platform import Platform
    from tests.mariadb import MariaDb


class TestDatabase(Protocol):
    """A database with the schema `shop`, in which a test makes its tables."""

    __test__ = False
    name: str

    def run(self, text: str) -> object:
        """Run SQL as the owner."""

    def connection(self, **changes: Any) -> DatabaseConnection:
        """The connection of the user who may only read; with other parts."""

    def kill(self, what: str) -> None:
        """End that user's `query` or `connection` as an administrator."""


@dataclass
class MariaDbDatabase:
    """MariaDB, reached as the user `app`."""

    server: MariaDb
    name: str = "mariadb"

    def run(self, text: str) -> object:
        return self.server.run(f"SET sql_mode = ''; USE shop; {text}")

    def connection(self, **changes: Any) -> DatabaseConnection:
        given = {"conn_type": "mysql", "host": "127.0.0.1", "port": self.server.port, "login": LOGIN,
                 "password": PASSWORD, "schema": "shop"}  # fmt: skip
        return DatabaseConnection.of("source_test", given | changes)

    def kill(self, what: str) -> None:
        running = f"SELECT id FROM information_schema.processlist WHERE user = '{LOGIN}' AND command <> 'Sleep'"
        for process in self.server.run(running).split():
            self.server.run(f"KILL {what} {process}")


@dataclass
class PostgresDatabase:
    """A database of its own in the platform's PostgreSQL, reached as the role `shop_app`."""

    platform: Platform
    name: str = "postgres"
    database: str = "shop_source"

    def make(self) -> None:
        """Create the database, its schema and the role, whose settings would change values."""
        self._run(f"CREATE DATABASE {self.database}", "postgres")
        self.run("CREATE SCHEMA shop")
        self._run(
            sql.SQL("CREATE ROLE shop_app LOGIN PASSWORD {}").format(sql.Literal(PASSWORD)).as_string(None), "postgres"
        )
        for setting in ("DateStyle = 'SQL, DMY'", "TimeZone = 'Asia/Tokyo'", "extra_float_digits = 0",
                        "bytea_output = 'escape'", "IntervalStyle = 'iso_8601'",
                        "standard_conforming_strings = off"):  # fmt: skip
            self.run(f"ALTER ROLE shop_app SET {setting}")
        self.run("GRANT USAGE ON SCHEMA shop TO shop_app")
        self.run("ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO shop_app")

    def drop(self) -> None:
        """Drop all of it."""
        self._run(f"DROP DATABASE {self.database} WITH (FORCE)", "postgres")
        self._run("DROP ROLE shop_app", "postgres")

    def run(self, text: str) -> object:
        return self._run(f"SET search_path = shop, public; SET TimeZone = 'UTC'; {text}", self.database)

    def connection(self, **changes: Any) -> DatabaseConnection:
        given = {"conn_type": "postgres", "host": "127.0.0.1", "port": self.platform.settings.postgres_port,
                 "login": "shop_app", "password": PASSWORD, "schema": self.database}  # fmt: skip
        return DatabaseConnection.of("source_test", given | changes)

    def kill(self, what: str) -> None:
        end = {"query": "pg_cancel_backend", "connection": "pg_terminate_backend"}[what]
        self.run(f"SELECT {end}(pid) FROM pg_stat_activity WHERE usename = 'shop_app' AND state <> 'idle'")

    def _run(self, text: str, database: str) -> None:
        with psycopg.connect(
            host="127.0.0.1", port=self.platform.settings.postgres_port, user="postgres", dbname=database,
            password=self.platform.credentials.postgres_password, autocommit=True,
        ) as connection:  # fmt: skip
            connection.execute(text.encode())


@dataclass
class DatabaseWorld(ElementWorld):
    """A source that reads `definition` from a database."""

    database: TestDatabase | None = None
    definition: dict[str, Any] = field(default_factory=dict)
    connection_changes: dict[str, Any] = field(default_factory=dict)

    def source(self, **changes: Any) -> Any:
        values = {"name": self.name, "kind": "database", "connection": "source_test", "schedule": None,
                  "dataset": self.name, "schema": "shop", **self.definition, **changes}  # fmt: skip
        return DatabaseSource.model_validate({key: value for key, value in values.items() if value is not ...})

    def reader(self, **_: Any) -> Callable[..., Listing]:
        def read(element: Element, position: Position, sink: Sink, traffic: Traffic) -> Listing:
            self.begun.append(position)
            assert self.database is not None
            connection = self.database.connection(**self.connection_changes)
            return DatabaseReader(self.source(), connection, traffic).read(element, position, sink)  # type: ignore[arg-type]

        return read

    def collect(self, *given: Any, **changes: Any) -> CollectedElement:
        """Run once, with changes of the definition that stay."""
        run_id = changes.pop("run_id", "manual__1")
        self.definition |= changes
        return super().collect(*given or (self.source().relation,), run_id=run_id)

    def table(self) -> pa.Table:
        """The rows of all files in incoming/, as they were delivered."""

        import pyarrow as pa

        files = [self.body(self.landing_bucket, key) for key in self.incoming]
        return pa.concat_tables([pq.read_table(io.BytesIO(body)) for body in files])

    def loaded(self, order: str = "id") -> list[dict[str, Any]]:
        """The rows of the table in the warehouse."""
        names = ", ".join(f'"{column.name}"' for column in self.columns)
        return self.owner.execute(f'SELECT {names} FROM raw."{self.name}" ORDER BY {order}'.encode()).fetchall()

    def rejected(self) -> list[tuple[int, str, str]]:
        """Row, column and code of the refused rows."""
        rows = self.owner.execute(
            b"SELECT r.source_row, r.column_name, r.code FROM ops.rejected_rows r JOIN ops.file_ingestion_log l "
            b"USING (file_id) WHERE l.dataset = %s ORDER BY 1, 2", [self.name],
        ).fetchall()  # fmt: skip
        return [(row["source_row"], row["column_name"], row["code"]) for row in rows]

    def clear_position(self) -> None:
        """Forget how far the source was read."""
        self.owner.execute(b"DELETE FROM ops.source_position WHERE source = %s", [self.name])

    def clear(self) -> None:
        super().clear()
        if self.database is not None:
            self.database.run(f"DROP TABLE IF EXISTS {self.name}")


def world_of(world: ElementWorld, database: TestDatabase) -> DatabaseWorld:
    """A database world with the buckets and the dataset of a world."""
    return DatabaseWorld(
        world.platform, world.name, world.raw_bucket, world.landing_bucket, world.owner, world.folder,
        database=database, definition={"table": world.name},
    )  # fmt: skip


def tolerant(world: DatabaseWorld) -> None:
    """Refuse rows and not files."""
    world.changes["budget"] = ErrorBudget(rows=1000, share=1.0)

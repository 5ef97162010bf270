"""The schema of features and the results of drift: migrations of an empty and of a filled database, rights of roles."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from psycopg import errors as pg
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from include.stores.migrations import MIGRATIONS, _url
from include.stores.warehouse import connect
from local.services.postgres import superuser_connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

DATABASE = "features_rights"
BEFORE, VERSION = "0021", "0022"
FILLED = """
INSERT INTO ops.quality_result (dataset, expectation, severity, success) VALUES ('sales', 'any', 'info', true);
SELECT ops.ensure_dataset('sales', '[{"name": "id", "type": "text"}]', ARRAY['id']);
INSERT INTO raw.sales (_file_id, _source_row, _loaded_at, id) VALUES (2, 1, now(), 'a');
"""
PARAMETERS = "INSERT INTO features.parameters (view, feature, version, fitted_from, fitted_until, rows) VALUES "
DRIFT = (
    "INSERT INTO ops.drift_result (checked_at, dataset, column_name, kind, window_end, reference_rows, current_rows, "
    "psi, status) VALUES (now(), 'sales', 'id', 'category', now(), 100, 100, 0, 'ok')"
)
PREPARED = f"""
CREATE TABLE features.users (user_id text);
GRANT SELECT ON features.users TO reader;
{PARAMETERS} ('users', 'hours', 1, now(), now(), 0);
{DRIFT};
INSERT INTO ops.feature_build VALUES ('users', 'x', now(), now());
INSERT INTO ops.feature_source_day VALUES ('users', 'users', '2026-03-01', 1, 1);
"""
READ = [
    "SELECT * FROM features.users", "SELECT * FROM features.parameters", "SELECT * FROM ops.drift_result",
    "SELECT * FROM ops.feature_build", "SELECT * FROM ops.feature_source_day",
]  # fmt: skip
WRITTEN = [
    "DROP TABLE features.users", "CREATE VIEW features.mine AS SELECT 1", DRIFT,
    f"{PARAMETERS} ('users', 'hours', 2, now(), now(), 0)", "UPDATE ops.feature_build SET digest = ''",
    "DELETE FROM ops.feature_source_day", "SELECT ops.purge_drift_results(90)",
]  # fmt: skip
# Only the owner changes what models were trained with, and results.
KEPT = [
    "UPDATE features.parameters SET mean = 1", "DELETE FROM features.parameters", "DROP TABLE features.parameters",
    "UPDATE ops.drift_result SET psi = 1", "DELETE FROM ops.drift_result", "DROP SCHEMA features CASCADE",
]  # fmt: skip


def migrate(platform: Platform, revision: str) -> None:
    config = platform.warehouse_config("owner").model_copy(update={"database": DATABASE})
    alembic = Config()
    alembic.set_main_option("script_location", str(MIGRATIONS))
    with create_engine(_url(config), poolclass=NullPool).connect() as connection:
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, revision)


@pytest.fixture(scope="module", params=["empty", "filled"])
def enter(platform: Platform, request: pytest.FixtureRequest) -> Iterator[Callable[[str], psycopg.Connection[Any]]]:
    """Sessions of a role in a database that was migrated at once, or that had rows at version 0019."""
    opened: dict[str, psycopg.Connection[Any]] = {}
    with superuser_connection(platform.settings, platform.credentials) as server, ExitStack() as sessions:
        server.execute(f"CREATE DATABASE {DATABASE} OWNER warehouse_owner")
        try:
            if request.param == "filled":
                migrate(platform, BEFORE)
                with superuser_connection(platform.settings, platform.credentials, DATABASE) as connection:
                    connection.execute("SET ROLE warehouse_owner")
                    connection.execute(FILLED.encode())
            migrate(platform, VERSION)

            def session(role: str) -> psycopg.Connection[Any]:
                if role not in opened:
                    config = platform.warehouse_config(role).model_copy(update={"database": DATABASE})
                    opened[role] = sessions.enter_context(connect(config))
                return opened[role]

            session("transform").execute(PREPARED.encode())
            yield session
            if request.param == "filled":
                assert session("reader").execute("SELECT id FROM raw.sales").fetchall() == [("a",)]
        finally:
            sessions.close()
            server.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def run(connection: psycopg.Connection[Any], statement: str) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute(statement.encode())


@pytest.mark.parametrize("statement", READ)
def test_reader_reads_features_and_drift(enter: Callable[[str], psycopg.Connection[Any]], statement: str) -> None:
    run(enter("reader"), statement)


@pytest.mark.parametrize("statement", [*READ, *WRITTEN])
def test_transform_writes_features_and_drift(enter: Callable[[str], psycopg.Connection[Any]], statement: str) -> None:
    run(enter("transform"), statement)


@pytest.mark.parametrize("statement", KEPT)
@pytest.mark.parametrize("role", ["transform", "reader", "ingest"])
def test_no_role_changes_parameters_and_results(
    enter: Callable[[str], psycopg.Connection[Any]], role: str, statement: str
) -> None:
    with pytest.raises(pg.InsufficientPrivilege):
        run(enter(role), statement)


@pytest.mark.parametrize(("role", "statements"), [("reader", WRITTEN), ("ingest", [*READ, *WRITTEN])])
def test_other_roles_do_not_write(
    enter: Callable[[str], psycopg.Connection[Any]], role: str, statements: list[str]
) -> None:
    for statement in statements:
        with pytest.raises(pg.InsufficientPrivilege):
            run(enter(role), statement)

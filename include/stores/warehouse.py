"""The warehouse: connections with timeouts, and psycopg's errors as pipeline errors.

What belongs here: how to use PostgreSQL. What does not: any statement, and its text (`sql_text`).
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors as pg
from psycopg.rows import TupleRow

from include.errors import Code, PermanentError, PipelineError, RetryableError
from include.errors.registry import message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.settings import WarehouseConfig

Connection = psycopg.Connection[TupleRow]

_LOCKED = (pg.LockNotAvailable, pg.DeadlockDetected, pg.SerializationFailure, pg.QueryCanceled)
# A limit of PostgreSQL, such as its number of columns or the depth of its stack: psycopg calls it operational.
_LIMITS = (pg.ProgramLimitExceeded, pg.StatementTooComplex, pg.TooManyColumns, pg.TooManyArguments)
# Rows of COPY that the server cannot read: the rows are wrong, and the server works.
_MALFORMED = (pg.ProtocolViolation,)
_REFUSED = (pg.InsufficientPrivilege, pg.InvalidPassword, pg.InvalidAuthorizationSpecification, pg.UndefinedTable)

_WRONG_PASSWORD = ("password authentication failed", "no password supplied")
# Words of libpq or of the server, and what they mean. The first that is found counts.
_REASONS = {
    "connection refused": "nothing listens there",
    "no such file": "nothing listens there",
    "timeout expired": "no answer in time",
    "timed out": "no answer in time",
    "resolve host": "its name has no address",
    "translate host name": "its name has no address",
    "no route to host": "the network does not reach it",
    "unreachable": "the network does not reach it",
    "starting up": "it is starting",
    "in recovery": "it is recovering",
    "recovery mode": "it is recovering",
    "shutting down": "it is shutting down",
    "administrator command": "it ended the connection: it is shutting down, or an administrator did it",
    "too many": "it has no connection left",
    "connection slots": "it has no connection left",
    "permission denied for database": "the role has no right to connect to this database",
    "pg_hba.conf": "it does not admit this role, database and address (pg_hba.conf)",
    "not permitted to log in": "the role may not log in",
    "does not support ssl": "it does not support TLS",
    "certificate": "its certificate is not accepted",
    'fatal:  role "': "it has no such role",
    'fatal:  database "': "it has no such database",
    "closed": "the connection broke",
    "lost": "the connection broke",
    "broken": "the connection broke",
}


@contextmanager
def connect(config: WarehouseConfig) -> Iterator[Connection]:
    """Open an autocommit connection and close it at the end. Open transactions with `connection.transaction()`.

    Commits do not wait for the disk, for each stage's note can be written again. The merge, whose commit must be
    durable, switches synchronous commit on.

    An error of the warehouse that leaves the block names the server: host, port and database.

    Raises:
        RetryableError: the server does not answer.
        PermanentError: it refuses this role.
    """
    try:
        with _connection(config) as connection:
            yield connection
    except PipelineError as error:
        if error.code in {Code.WAREHOUSE_UNAVAILABLE, Code.WAREHOUSE_REFUSED}:
            for name in ("host", "port", "database"):
                error.details.setdefault(name, getattr(config, name))
        raise


@contextmanager
def _connection(config: WarehouseConfig) -> Iterator[Connection]:
    with warehouse_errors():
        connection = psycopg.connect(
            host=config.host,
            port=config.port,
            dbname=config.database,
            user=config.user,
            password=config.password.get_secret_value(),
            connect_timeout=config.connect_timeout,
            application_name="ingest",
            autocommit=True,
            keepalives_idle=30,
            options=f"-c lock_timeout={config.lock_timeout}s -c statement_timeout={config.statement_timeout}s "
            "-c timezone=UTC -c synchronous_commit=off -c client_min_messages=warning",
        )
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def warehouse_errors() -> Iterator[None]:
    """Translate psycopg's errors into retryable and permanent ones.

    What PostgreSQL says of a refused statement is the detail `postgresql`, without position and context.
    """
    try:
        yield
    except _LOCKED as error:
        raise RetryableError(Code.TARGET_LOCKED, postgresql=_answer(error)) from error
    except pg.DiskFull as error:
        raise RetryableError(Code.DISK_FULL, postgresql=_answer(error)) from error
    except _REFUSED as error:
        raise PermanentError(Code.WAREHOUSE_REFUSED, postgresql=_answer(error)) from error
    except (*_LIMITS, *_MALFORMED) as error:
        raise _refused_statement(error) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if any(words in str(error) for words in _WRONG_PASSWORD):
            raise PermanentError(Code.WAREHOUSE_REFUSED, message(Code.WAREHOUSE_REFUSED, "password")) from error
        raise RetryableError(Code.WAREHOUSE_UNAVAILABLE, reason=_reason(error)) from error
    except psycopg.Error as error:
        raise _refused_statement(error) from error


def _refused_statement(error: psycopg.Error) -> PermanentError:
    """The error of a statement, with the condition's name of PostgreSQL's documentation."""
    condition = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower().rstrip("_")
    text = message(Code.WAREHOUSE_REFUSED, "statement", condition=condition)
    return PermanentError(Code.WAREHOUSE_REFUSED, text, sqlstate=error.sqlstate, postgresql=_answer(error))


def _answer(error: psycopg.Error) -> str:
    """What the server says, or psycopg where the server says nothing: one line."""
    return error.diag.message_primary or str(error).strip().split("\n", maxsplit=1)[0]


def _reason(error: psycopg.Error) -> str:
    """Why the connection failed, in a few words; those of libpq where they are not known."""
    # Before that the text has the host, whose name may be any of the words.
    said = str(error).rpartition("failed: ")[2].strip()
    known = next((reason for words, reason in _REASONS.items() if words in said.lower()), None)
    return known or " ".join(said.partition("\n")[0].split()) or "the connection failed"

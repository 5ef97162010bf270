"""The warehouse: connections with timeouts, and psycopg's errors as pipeline errors.

What belongs here: how to use PostgreSQL. What does not: any statement, and its text (`sql_text`).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors as pg
from psycopg.rows import TupleRow

from include.errors import Code, PermanentError, RetryableError
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


@contextmanager
def connect(config: WarehouseConfig) -> Iterator[Connection]:
    """Open an autocommit connection and close it at the end. Open transactions with `connection.transaction()`.

    Commits do not wait for the disk, for each stage's note can be written again. The merge, whose commit must be
    durable, switches synchronous commit on.

    Raises:
        RetryableError: the server does not answer.
        PermanentError: it refuses this role.
    """
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
    """Translate psycopg's errors into retryable and permanent ones."""
    try:
        yield
    except _LOCKED as error:
        raise RetryableError(Code.TARGET_LOCKED, detail=_first_line(error)) from error
    except pg.DiskFull as error:
        raise RetryableError(Code.DISK_FULL, detail=_first_line(error)) from error
    except _REFUSED as error:
        raise PermanentError(Code.WAREHOUSE_REFUSED, detail=_first_line(error)) from error
    except (*_LIMITS, *_MALFORMED) as error:
        raise PermanentError(Code.WAREHOUSE_REFUSED, _first_line(error), sqlstate=error.sqlstate) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if "password authentication failed" in str(error):
            raise PermanentError(Code.WAREHOUSE_REFUSED, message(Code.WAREHOUSE_REFUSED, "password")) from error
        raise RetryableError(Code.WAREHOUSE_UNAVAILABLE, detail=_first_line(error)) from error
    except psycopg.Error as error:
        raise PermanentError(Code.WAREHOUSE_REFUSED, _first_line(error), sqlstate=error.sqlstate) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0]

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
def warehouse_errors(stage: str = "warehouse") -> Iterator[None]:
    """Translate psycopg's errors into retryable and permanent ones."""
    try:
        yield
    except _LOCKED as error:
        raise RetryableError(
            stage, Code.TARGET_LOCKED, "Another session holds a lock on what this one needs.", detail=_first_line(error)
        ) from error
    except pg.DiskFull as error:
        raise RetryableError(
            stage, Code.DISK_FULL, "The warehouse's disk is full.", detail=_first_line(error)
        ) from error
    except _REFUSED as error:
        raise PermanentError(
            stage, Code.WAREHOUSE_REFUSED, "The warehouse refused; check the role's rights.", detail=_first_line(error)
        ) from error
    except (*_LIMITS, *_MALFORMED) as error:
        raise PermanentError(stage, Code.WAREHOUSE_REFUSED, _first_line(error), sqlstate=error.sqlstate) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if "password authentication failed" in str(error):
            raise PermanentError(stage, Code.WAREHOUSE_REFUSED, "The warehouse refused the password.") from error
        raise RetryableError(
            stage, Code.WAREHOUSE_UNAVAILABLE, "The warehouse does not answer.", detail=_first_line(error)
        ) from error
    except psycopg.Error as error:
        raise PermanentError(stage, Code.WAREHOUSE_REFUSED, _first_line(error), sqlstate=error.sqlstate) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0]

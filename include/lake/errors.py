"""Errors of DuckDB and DuckLake as errors of the pipeline: whether a retry helps, and which server is meant."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb

from include.errors import Code, PermanentError, RetryableError, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator

# DuckLake names the other transaction; PostgreSQL, whose tables hold the catalogue, a violated key or serialisation.
_CONFLICTS = ("transaction conflict", "could not serialize", "duplicate key value", "deadlock detected")
_DATABASE_DOWN = (
    "unable to connect to postgres", "connection to server", "server closed the connection", "connection refused",
    "terminating connection", "no connection to the server", "could not receive data", "ssl syscall",
)  # fmt: skip
_DATABASE_REFUSES = (
    "password authentication failed",
    "permission denied for",
    "does not exist",
    "not permitted to log in",
)
_BUCKET_DOWN = ("http", "could not establish connection", "could not connect to server", "io error", "timeout")
_BUCKET_REFUSES = ("403", "forbidden", "accessdenied", "invalidaccesskeyid", "signaturedoesnotmatch")


# DuckLake's answer to a reader whose catalogue has no tables.
_NO_LAKE = "creating a new ducklake is"


class NoLakeError(PermanentError):
    """The catalogue is empty: the first run of update_lake creates its tables."""


class LakeConflictError(RetryableError):
    """Another transaction changed the same tables of the lake first. The whole transaction can be repeated."""


@contextmanager
def lake_errors() -> Iterator[None]:
    """Translate errors of DuckDB.

    Raises:
        LakeConflictError: another writer was faster.
        NoLakeError: a reader came before the first update.
        RetryableError: PostgreSQL or the bucket does not answer.
        PermanentError: a login is refused. Any other error of DuckDB stays as it is: it is a fault of this program.
    """
    try:
        yield
    except duckdb.Error as error:
        known = _translated(error)
        if known is None:
            raise
        raise known from error


def _translated(error: duckdb.Error) -> RetryableError | PermanentError | None:
    text, reason = str(error).lower(), reason_of(error)
    if _NO_LAKE in text:
        return NoLakeError(Code.WAREHOUSE_REFUSED, "The lake has no table yet: the first run of update_lake makes it.")
    if any(words in text for words in _CONFLICTS):
        return LakeConflictError(Code.TARGET_LOCKED, postgresql=reason)
    if "postgres" in text or "connection to server" in text:
        if any(words in text for words in _DATABASE_REFUSES):
            return PermanentError(Code.WAREHOUSE_REFUSED, postgresql=reason)
        if any(words in text for words in _DATABASE_DOWN):
            return RetryableError(Code.WAREHOUSE_UNAVAILABLE, reason=reason)
    if isinstance(error, duckdb.IOException | duckdb.HTTPException):
        refused = any(words in text for words in _BUCKET_REFUSES)
        return PermanentError(Code.BUCKET_REFUSED, reason=reason) if refused else _bucket_down(text, reason)
    return None


def _bucket_down(text: str, reason: str) -> RetryableError | None:
    return RetryableError(Code.BUCKET_UNAVAILABLE, reason=reason) if any(w in text for w in _BUCKET_DOWN) else None

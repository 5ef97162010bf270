"""Errors of the drivers as errors of the pipeline, without a login, a password or lines of a stack.

What belongs here: which errors may go away by themselves, and the words. What does not: the calls (`postgres`,
`mysql`).
"""

from __future__ import annotations

import re
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import psycopg

from include.errors import Code, PermanentError, PipelineError, RetryableError, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.sources.database.connection import DatabaseConnection

CONNECT_SECONDS = 10
# Classes of SQLSTATE: connection, resources, the server stops. A lock that was not given, a deadlock, too.
_PASSING = ("08", "53", "57P", "55P03", "40")
# MySQL: too many connections, lock waits, deadlocks, the server stops.
_PASSING_NUMBERS = {"1040", "1053", "1152", "1158", "1159", "1160", "1161", "1203", "1205", "1213", "1226", "1317"}
# What the drivers say when there is no answer, or when the server stops a query for a reason that passes. DuckDB gives
# no SQLSTATE, only the server's message.
_NO_ANSWER = re.compile(
    r"timed out waiting for connection: (DriverError|IoError)|IoError|IO error: `|server closed the connection|"
    r"terminating connection|connection to server|could not connect|connection not open|Connection (refused|reset)|"
    r"broken pipe|SSL SYSCALL|could not receive data|no connection to the server|database system is|"
    r"due to (user request|conflict with recovery|lock timeout)|deadlock detected|could not serialize|"
    r"too many (clients|connections)|connection slots",
    re.IGNORECASE,
)
_MYSQL_ERROR = re.compile(r"ERROR (\d{4}) \(\w{5}\): (.*?)\s*(?:\}\)*)?$", re.DOTALL)
_NO_TLS = "Client requires secure connection"
# As libpq quotes it.
_PASSWORD = re.compile(r"password\s*=\s*('(?:[^'\\]|\\.)*'?|\S+)")
_TIMEOUT = re.compile(r"due to statement timeout|max_statement_time|maximum statement execution time", re.IGNORECASE)
_LONGEST = 500


def check_reachable(connection: DatabaseConnection) -> None:
    """Open and close a TCP connection: the drivers take longer to say that there is no server.

    Raises:
        RetryableError: there is none.
    """
    try:
        socket.create_connection((connection.host, connection.port), CONNECT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        message = f"The database of {connection.name} does not answer at {connection.host}:{connection.port}: {reason}."
        raise RetryableError(Code.SOURCE_UNAVAILABLE, message) from error


def check_certificate(connection: DatabaseConnection) -> None:
    """Look for the certificate of the authority: connectorx tries for 30 seconds to open a file that is not there.

    Raises:
        PermanentError: there is no such file.
    """
    path = connection.tls.get("sslrootcert")
    if path and not Path(path).is_file():
        message = f"The connection {connection.name} has the sslrootcert {path!r}: there is no such file."
        raise PermanentError(Code.SOURCE_REFUSED, message)


@contextmanager
def database_errors(connection: DatabaseConnection) -> Iterator[None]:
    """Translate the errors of psycopg, DuckDB and connectorx.

    An error in the middle of a result is an OSError of Arrow for DuckDB, and for connectorx a PanicException, which is
    no Exception; so is a value that connectorx cannot read.

    Raises:
        RetryableError: the server does not answer, stops, or is short of something.
        PermanentError: it refuses the login, the table or the query.
    """
    try:
        yield
    except (PipelineError, MemoryError):
        raise
    except psycopg.Error as error:
        state = error.sqlstate or ""
        text = error.diag.message_primary or str(error)
        # Without a state there was no answer, or libpq refuses the options.
        passing = state.startswith(_PASSING) if state else isinstance(error, psycopg.OperationalError)
        if not state and "FATAL:" in text:  # the server has answered
            passing = bool(_NO_ANSWER.search(text.rpartition("FATAL:")[2]))
        if not state and ("authentication" in text or "certificate" in text or "SSL" in text):
            passing = False
        raise _error(connection, text, passing=passing) from None
    except (duckdb.Error, OSError) as error:
        text = str(error)
        passing = bool(_NO_ANSWER.search(text))
        reason = re.split(r"\b(?:ERROR|FATAL):", text)[-1]
        raise _error(connection, reason, passing=passing) from None
    except RuntimeError as error:
        raise _of_mysql(connection, str(error)) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        text = str(error)
        if "MySQLError" in text:
            raise _of_mysql(connection, text) from None
        raise _error(connection, f"a value cannot be read: {text}", passing=False) from None


def _of_mysql(connection: DatabaseConnection, text: str) -> PipelineError:
    if found := _MYSQL_ERROR.search(text):
        return _error(connection, f"{found[2]} (error {found[1]})", passing=found[1] in _PASSING_NUMBERS)
    return _error(connection, text, passing=bool(_NO_ANSWER.search(text)) and _NO_TLS not in text)


def _error(connection: DatabaseConnection, text: str, *, passing: bool) -> PipelineError:
    """The error with the first line of the reason, in which the password is hidden."""
    password = connection.password.get_secret_value()
    line = (text.strip().splitlines() or ["no reason given"])[0].strip().rstrip(".")
    line = _PASSWORD.sub("password=***", line)
    line = visible(line.replace(password, "***") if password else line)[:_LONGEST]
    if passing:
        return RetryableError(Code.SOURCE_UNAVAILABLE, f"The database of {connection.name} does not answer: {line}.")
    remedy = ": raise limits.seconds, or index the cursor" if _TIMEOUT.search(line) else ""
    return PermanentError(Code.SOURCE_REFUSED, f"The database of {connection.name} refuses: {line}{remedy}.")

"""Errors of the warehouse: the project's own words, with the server that they are about."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors as pg
from pydantic import SecretStr

from include.errors import Code, PermanentError, PipelineError, RetryableError
from include.settings import WarehouseConfig
from include.stores.warehouse import connect, warehouse_errors

pytestmark = pytest.mark.unit

NOWHERE = WarehouseConfig(
    host="127.0.0.1", port=1, database="shop", user="u", password=SecretStr("x"), connect_timeout=2
)


def caught(error: psycopg.Error) -> PipelineError:
    with pytest.raises(PipelineError) as found, warehouse_errors():
        raise error
    return found.value


def test_server_that_does_not_listen_is_named() -> None:
    with pytest.raises(RetryableError) as found, connect(NOWHERE):
        pass
    assert str(found.value) == (
        "warehouse-unavailable: The warehouse does not answer. "
        "(database=shop, host=127.0.0.1, port=1, reason=nothing listens there)"
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("failed to resolve host 'nowhere': [Errno -2] Name or service not known", "its name has no address"),
        ("server closed the connection unexpectedly", "the connection broke"),
        ("the connection is closed", "the connection broke"),
        ("connection timeout expired", "no answer in time"),
        ("FATAL:  the database system is starting up", "it is starting"),
        ("FATAL:  sorry, too many clients already", "it has no connection left"),
        ('FATAL:  database "shop" does not exist', "it has no such database"),
        ('FATAL:  role "shop" does not exist', "it has no such role"),
        ('FATAL:  role "shop" is not permitted to log in', "the role may not log in"),
        (
            'FATAL:  no pg_hba.conf entry for host "::1"',
            "it does not admit this role, database and address (pg_hba.conf)",
        ),
        ("SSL error: certificate verify failed", "its certificate is not accepted"),
        ("server does not support SSL, but SSL was required", "it does not support TLS"),
        ("something  else", "something else"),
    ],
)
def test_reason_is_in_own_words(words: str, reason: str) -> None:
    where = 'connection to server at "warehouse-recovery.lost" (10.0.0.1), port 5432 failed: '
    error = caught(psycopg.OperationalError(f"connection failed: {where}{words}\n\tIs the server running?"))
    assert (type(error), error.code, error.details) == (RetryableError, Code.WAREHOUSE_UNAVAILABLE, {"reason": reason})


@pytest.mark.parametrize("words", ['password authentication failed for user "u"', "fe_sendauth: no password supplied"])
def test_refused_password_is_permanent(words: str) -> None:
    error = caught(psycopg.OperationalError(f"connection failed: FATAL:  {words}"))
    assert (type(error), str(error)) == (
        PermanentError, "warehouse-refused: The warehouse refused the password."
    )  # fmt: skip


def test_refused_statement_has_its_condition_and_what_postgresql_says() -> None:
    error = caught(pg.DivisionByZero("division by zero\nCONTEXT:  PL/pgSQL function"))
    assert isinstance(error, PermanentError)
    assert error.message == "The warehouse refused a statement: division by zero."
    assert error.details == {"sqlstate": "22012", "postgresql": "division by zero"}


def test_error_that_is_not_of_the_warehouse_names_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    class Connection:
        def close(self) -> None:
            pass

    monkeypatch.setattr(psycopg, "connect", lambda **_: Connection())
    with pytest.raises(RetryableError) as found, connect(NOWHERE):
        raise RetryableError(Code.BUCKET_UNAVAILABLE, "The store is away.")
    assert found.value.details == {}

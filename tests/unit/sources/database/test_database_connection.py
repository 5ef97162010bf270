"""Connections of databases, and what is said of the drivers' errors: never a login's secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import duckdb
import psycopg
import pytest
from psycopg import conninfo

from include.errors import Code, PermanentError, RetryableError
from include.sources.database.connection import DatabaseConnection, parse_connection
from include.sources.database.errors import check_reachable, database_errors
from include.sources.database.mysql import MysqlServer
from include.sources.database.postgres import PostgresServer
from local.settings import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

SECRET = "p@ss/w:rd?#'\\ %é"


def connection(**changes: Any) -> DatabaseConnection:
    given = {"conn_type": "mysql", "host": "db", "login": "app", "password": SECRET, "schema": "shop"} | changes
    return DatabaseConnection.of("source_crm", given)


def test_parts_and_defaults() -> None:
    found = connection(extra={"time_zone": "Europe/Berlin", "stand_in": False, "sslmode": "verify-full"})
    assert (found.engine, found.host, found.port, found.database) == ("mysql", "db", 3306, "shop")
    assert (found.time_zone, found.tls) == (ZoneInfo("Europe/Berlin"), {"sslmode": "verify-full"})
    assert connection(conn_type="postgres").port == 5432
    assert connection(conn_type="mariadb", port="3307").port == 3307
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conn_type": "http"}, "is of the type 'http': choose postgres or mysql"),
        ({"conn_type": None}, "is of the type None"),
        ({"host": " "}, "has no host: add it"),
        ({"schema": ""}, "has no database (schema): add it"),
        ({"extra": {"time_zone": "Mars/Olympus"}}, "has the time_zone 'Mars/Olympus': write one such as Europe/Berlin"),
        ({"extra": {"ssl_ca": "/x"}}, "has ssl_ca in its extra: use only sslmode, sslrootcert"),
        ({"extra": {"sslmode": "prefer"}}, "has the sslmode 'prefer': write one of disable, require, verify-ca"),
    ],
    ids=str,
)
def test_unusable_connection_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PermanentError) as caught:
        connection(**changes)
    assert caught.value.code is Code.SOURCE_REFUSED
    assert f"The connection source_crm {message}" in caught.value.message


def test_variable_is_a_url_or_json() -> None:
    url = "mysql://app:p%40ss%2F%3A%25@db.example:3307/shop?sslmode=require&time_zone=Europe%2FBerlin"
    parts = {
        "conn_type": "mysql", "host": "db.example", "port": 3307, "login": "app", "password": "p@ss/:%",
        "schema": "shop", "extra": {"sslmode": "require", "time_zone": "Europe/Berlin"},
    }  # fmt: skip
    assert parse_connection(url) == parts
    assert parse_connection(json.dumps(parts)) == parts
    assert parse_connection(json.dumps(parts | {"extra": json.dumps(parts["extra"])})) == parts
    assert parse_connection('postgres://h/d?__extra__={"a": {"b": 1}}')["extra"] == {"a": {"b": 1}}


# Addresses of the drivers


def test_address_of_postgresql_holds_every_character_and_fixed_settings() -> None:
    server = object.__new__(PostgresServer)
    server._connection = connection(conn_type="postgres", extra={"sslmode": "verify-full", "sslrootcert": "/a b"})
    server._seconds = 1.5
    found = conninfo.conninfo_to_dict(server._address())
    assert (found["password"], found["sslmode"], found["sslrootcert"]) == (SECRET, "verify-full", "/a b")
    options = str(found["options"])
    for setting in ("TimeZone=UTC", "extra_float_digits=3", "DateStyle=ISO", "statement_timeout=61500",
                    "default_transaction_read_only=on", "synchronize_seqscans=off"):  # fmt: skip
        assert f"-c {setting}" in options
    assert "TimeZone" not in server._address(TimeZone=None)


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({}, "mysql://app:p%40ss%2Fw%3Ard%3F%23%27%5C%20%25%C3%A9@db:3306/shop?prefer_socket=false"),
        ({"host": "::1", "login": "a:b"}, "mysql://a%3Ab:p%40ss%2Fw%3Ard%3F%23%27%5C%20%25%C3%A9@[::1]:3306/shop?"),
        ({"extra": {"sslmode": "verify-full", "sslrootcert": "/a b"}}, "&ssl-mode=VERIFY_IDENTITY&ssl-ca=%2Fa+b"),
        ({"extra": {"sslmode": "disable"}}, "&ssl-mode=DISABLED"),
    ],
    ids=["odd password", "IPv6", "verified", "not encrypted"],
)
def test_address_of_mysql(changes: dict[str, Any], address: str) -> None:
    server = object.__new__(MysqlServer)
    server._connection = connection(**changes)
    assert address in server._url()


# Errors


class PanicException(BaseException):
    """As connectorx raises it: no Exception."""


def with_state(state: str, text: str) -> psycopg.Error:
    error: psycopg.Error = psycopg.errors.lookup(state)(text)
    return error


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (with_state("42P01", "relation is missing"), PermanentError, "refuses: relation is missing."),
        (with_state("57P01", "terminating connection"), RetryableError, "does not answer: terminating connection."),
        (with_state("53300", "too many clients"), RetryableError, "too many clients"),
        (psycopg.OperationalError("connection timeout expired"), RetryableError, "connection timeout expired"),
        (
            psycopg.OperationalError('connection failed: password authentication failed for user "app"'),
            PermanentError, "password authentication failed",
        ),
        (
            psycopg.OperationalError('connection to server at "db" failed: FATAL:  database "x" does not exist'),
            PermanentError, 'database "x" does not exist',
        ),
        (
            psycopg.OperationalError('connection to server at "db" failed: FATAL:  the database system is starting up'),
            RetryableError, "starting up",
        ),
        (psycopg.OperationalError("server does not support SSL, but SSL was required"), PermanentError, "SSL"),
        (
            duckdb.IOException(f"No connection at \"{conninfo.make_conninfo(password=SECRET)}\": could not connect"),
            RetryableError, "password=***",
        ),
        (duckdb.Error('Failed: "COPY x": ERROR:  division by zero\n'), PermanentError, "refuses: division by zero."),
        (
            RuntimeError("MySqlError { ERROR 1146 (42S02): Table 'shop.nope' doesn't exist }"),
            PermanentError, "refuses: Table 'shop.nope' doesn't exist (error 1146).",
        ),
        (
            RuntimeError("timed out waiting for connection: MySqlError { ERROR 1045 (28000): Access denied }"),
            PermanentError, "refuses: Access denied (error 1045).",
        ),
        (RuntimeError("MySqlError { ERROR 1205 (HY000): Lock wait timeout }"), RetryableError, "Lock wait timeout"),
        (
            RuntimeError("timed out waiting for connection: DriverError { Could not connect to address `db:1' }"),
            RetryableError, "Could not connect",
        ),
        (
            RuntimeError("timed out waiting for connection: DriverError { Client requires secure connection but ... }"),
            PermanentError, "Client requires secure connection",
        ),
        (PanicException("Could not retrieve `Option<Date>`\n at line 1"), PermanentError, "a value cannot be read"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, BaseException) else "",
)  # fmt: skip
def test_errors_of_drivers(error: BaseException, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught, database_errors(connection()):
        raise error
    assert message in str(caught.value)
    assert "source_crm" in str(caught.value)
    assert not any(part in str(caught.value) for part in (SECRET, "p@ss"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, SystemExit, ValueError])
def test_other_errors_pass(error: Callable[..., BaseException]) -> None:
    with pytest.raises(error), database_errors(connection()):  # type: ignore[call-overload]
        raise error


def test_closed_port_is_said_at_once() -> None:
    [port] = free_ports(1)
    with pytest.raises(RetryableError, match=f"does not answer at 127.0.0.1:{port}: Connection refused"):
        check_reachable(connection(host="127.0.0.1", port=port))

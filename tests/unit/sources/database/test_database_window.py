"""The ends of windows, and the SQL that reads them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from include.errors import Code, PermanentError
from include.sources.database.columns import TableColumn
from include.sources.database.connection import DatabaseConnection
from include.sources.database.definition import DatabaseSource, Window
from include.sources.database.mysql import MysqlServer
from include.sources.database.postgres import PostgresServer
from include.sources.database.query import RowQuery, Server
from include.sources.database.window import UNFINISHED, Bounds, bounds, later, text_of
from include.sources.listing import Position

pytestmark = pytest.mark.unit

NOW = datetime(2026, 12, 1, 10, 0, 0, 5)  # noqa: DTZ001 - times without a zone
MINUTE = timedelta(minutes=1)


def window(**values: Any) -> Window:
    return Window(cursor="at", **values)


@pytest.mark.parametrize(
    ("given", "position", "expected"),
    [
        pytest.param({}, Position(), Bounds(None, NOW), id="first run, all rows"),
        pytest.param(
            {"initial_value": "2024-01-01T00:00:00"}, Position(), Bounds(datetime(2024, 1, 1), NOW),  # noqa: DTZ001
            id="first run from a value",
        ),
        pytest.param(
            {"initial_value": "2024-01-01T02:00:00+02:00"}, Position(), Bounds(datetime(2024, 1, 1), NOW),  # noqa: DTZ001
            id="first run from an instant",
        ),
        pytest.param(
            {}, Position(text_of(NOW - 9 * MINUTE)), Bounds(NOW - 14 * MINUTE, NOW), id="overlap of five minutes"
        ),
        pytest.param(
            {"overlap": "2m"}, Position(text_of(NOW - 9 * MINUTE)), Bounds(NOW - 11 * MINUTE, NOW), id="overlap"
        ),
        pytest.param(
            {"lag": "2m"}, Position(text_of(NOW - 9 * MINUTE)),
            Bounds(NOW - 9 * MINUTE, NOW - 2 * MINUTE, includes_lower=False), id="lag: behind the last window",
        ),
        pytest.param(
            {"lag": "1m"}, Position(text_of(NOW - 9 * MINUTE), next_page=UNFINISHED),
            Bounds(NOW - 9 * MINUTE, NOW - MINUTE), id="the last run reached a limit",
        ),
    ],
)  # fmt: skip
def test_window_of_times(given: dict[str, Any], position: Position, expected: Bounds) -> None:
    assert bounds(window(**given), "time", position, NOW) == expected


def test_window_of_instants_is_in_utc() -> None:
    now = NOW.replace(tzinfo=UTC)
    found = bounds(window(overlap="1m"), "instant", Position("2026-12-01 10:00:00+02:00"), now)
    assert found == Bounds(datetime(2026, 12, 1, 7, 59, tzinfo=UTC), now)
    assert bounds(window(lag="1m"), "instant", Position("2026-12-01 08:00:00"), now).lower == datetime(
        2026, 12, 1, 8, tzinfo=UTC
    )


def test_window_of_days_reads_its_last_day_again() -> None:
    found = bounds(window(lag="1m"), "day", Position("2026-11-30"), date(2026, 12, 1))
    assert found == Bounds(date(2026, 11, 30), date(2026, 11, 30)), "a part of a day is a day"
    assert bounds(window(), "day", Position("2026-11-30"), date(2026, 12, 1)).lower == date(2026, 11, 29)


def test_window_of_numbers() -> None:
    assert bounds(window(), "number", Position("7"), 9) == Bounds(7, 9, includes_lower=False)
    assert bounds(window(overlap=2), "number", Position("7"), 9) == Bounds(5, 9)
    assert bounds(window(lag=2), "number", Position(), 9) == Bounds(None, 7)
    assert bounds(window(initial_value=100), "number", Position(), 9) == Bounds(100, 9)
    assert bounds(window(), "number", Position("7"), None).upper is None


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"initial_value": "soon"}, "time", r"initialValue 'soon' does not fit the column: write a time such as"),
        ({"initial_value": "soon"}, "number", r"initialValue 'soon' does not fit the column: write a whole number"),
        ({"lag": 5}, "time", r"lag does not fit the column: write a duration"),
        ({"lag": "1m"}, "number", r"lag does not fit the column: write a whole number"),
    ],
)
def test_values_that_do_not_fit_the_column_are_refused(given: dict[str, Any], kind: Any, message: str) -> None:
    with pytest.raises(PermanentError, match=message) as caught:
        bounds(window(**given), kind, Position(), 9 if kind == "number" else NOW)
    assert caught.value.code is Code.SOURCE_REFUSED


def test_watermark_never_goes_back() -> None:
    assert later(NOW, None, "time")
    assert later(NOW, text_of(NOW - MINUTE), "time")
    assert not later(NOW, text_of(NOW), "time")
    assert not later(NOW, text_of(NOW + MINUTE), "time")


# SQL


def server(kind: type[Any]) -> Server:
    """A server without a connection, which writes SQL only."""
    made = object.__new__(kind)
    engine = "mysql" if kind is MysqlServer else "postgres"
    given = {"conn_type": engine, "host": "h", "schema": "crm", "extra": {"time_zone": "Europe/Berlin"}}
    made._connection = DatabaseConnection.of("source_crm", given)
    assert made._connection.time_zone == ZoneInfo("Europe/Berlin")
    return made  # type: ignore[no-any-return]


def source(**values: Any) -> DatabaseSource:
    common = {"name": "x", "kind": "database", "connection": "source_crm", "schedule": None, "dataset": "x"}
    return DatabaseSource.model_validate(common | values)


def columns(quote: str) -> list[TableColumn]:
    at = TableColumn("at", "timestamp", f"t.{quote}at{quote}::text", cursor="time")
    return [TableColumn("id", "int8", f"t.{quote}id{quote}", key_position=1), at]


def test_sql_of_postgresql() -> None:
    given = columns('"')
    selection = RowQuery(
        source(table='us"ers', schema="shop"), given, given[1], Bounds(NOW, NOW + MINUTE), ["at", "id"]
    )
    assert selection.sql(server(PostgresServer)) == (
        'SELECT t."id" AS "id", t."at"::text AS "at" FROM "shop"."us""ers" AS t '
        "WHERE t.\"at\" >= timestamp '2026-12-01 10:00:00.000005' "
        "AND t.\"at\" <= timestamp '2026-12-01 10:01:00.000005' "
        'ORDER BY t."at", t."id"'
    )
    assert 'FROM "public"."users" AS t' in RowQuery(source(table="users"), given).sql(server(PostgresServer))


def test_sql_of_mariadb() -> None:
    given = columns("`")
    selection = RowQuery(source(table="us`ers"), given, given[1], Bounds(NOW, NOW, includes_lower=False), ["id"])
    assert selection.sql(server(MysqlServer)) == (
        "SELECT t.`id` AS `id`, t.`at`::text AS `at` FROM `crm`.`us``ers` AS t "
        "WHERE t.`at` > '2026-12-01 10:00:00.000005' AND t.`at` <= '2026-12-01 10:00:00.000005' ORDER BY t.`id`"
    )


@pytest.mark.parametrize("kind", [PostgresServer, MysqlServer])
def test_sql_of_a_query(kind: type[Any]) -> None:
    made = source(query="SELECT 1 AS id -- 50%;\n;")
    text = RowQuery(made, [TableColumn("id", "int4", "t.id")]).sql(server(kind))
    assert text.endswith("FROM (\nSELECT 1 AS id -- 50%\n) AS t")


@pytest.mark.parametrize(
    ("end", "postgres", "mysql"),
    [
        (7, "7", "7"),
        (date(2026, 1, 31), "date '2026-01-31'", "'2026-01-31'"),
        (
            datetime(2026, 1, 31, 12, tzinfo=UTC), "timestamptz '2026-01-31 12:00:00+00:00'", "'2026-01-31 12:00:00'",
        ),
    ],
)  # fmt: skip
def test_ends_in_sql(end: Any, postgres: str, mysql: str) -> None:
    assert server(PostgresServer).literal(end) == postgres
    assert server(MysqlServer).literal(end) == mysql

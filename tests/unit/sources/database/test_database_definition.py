"""Definitions of database sources: what is accepted, place, what and remedy of each problem, and their words."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from include.contracts.model import APPEND_KEY, Mode
from include.sources.__main__ import DATABASE_EXAMPLE, page
from include.sources.database.definition import DatabaseSource, Window, query_text
from include.sources.describe import describe
from include.sources.elements import elements
from include.sources.keys import database_keys, keys_of, parts_of
from include.sources.reader import read_source
from tests.unit.sources.source_files import ORDERS, TOPIC, problems_of, written

if TYPE_CHECKING:
    from pathlib import Path

    from include.contracts.model import Contract

pytestmark = pytest.mark.unit

TABLE = {
    "name": "crm_users", "kind": "database", "connection": "source_crm", "schedule": "@hourly",
    "dataset": "shop_orders", "schema": "shop", "table": "users",
    "incremental": {"cursor": "updated_at", "overlap": "10m", "initialValue": "2024-01-01 00:00:00"},
}  # fmt: skip
QUERY = {"table": ..., "schema": ..., "query": "SELECT * FROM users"}


def read(folder: Path, contract: Contract = ORDERS, **changes: Any) -> DatabaseSource:
    content = {key: value for key, value in (TABLE | changes).items() if value is not ...}
    source = read_source(written(folder, content, "crm_users.yaml"), lambda _: contract)
    assert isinstance(source, DatabaseSource)
    return source


def problems(folder: Path, contract: Contract = ORDERS, **changes: Any) -> list[tuple[str, str, str]]:
    return problems_of(lambda: read(folder, contract, **changes))


def test_table_is_read(tmp_path: Path) -> None:
    source = read(tmp_path)
    assert (source.relation, source.db_schema, source.table, source.query) == ("shop.users", "shop", "users", None)
    assert isinstance(source.incremental, Window)
    assert (source.incremental.cursor, source.incremental.overlap) == ("updated_at", timedelta(minutes=10))
    assert [element.name for element in elements(source)] == ["shop.users"]


def test_mistyped_kind_is_the_only_problem_of_a_definition(tmp_path: Path) -> None:
    assert problems(tmp_path, kind="databse") == [("kind", '"databse" is not known', "write 'database'")]


def test_example_of_the_page_is_sound(tmp_path: Path) -> None:
    path = written(tmp_path, DATABASE_EXAMPLE, "crm_users.yaml")
    assert read_source(path, lambda _: ORDERS).name == "crm_users"


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": ...},
        {"incremental": ...},
        QUERY,
        {"incremental": {"cursor": "Größe in %", "lag": 0}},
        {"incremental": {"cursor": "id", "overlap": 1000}},
        {"limits": {"records": 10, "seconds": 1.5, "bytes": 100}},
    ],
    ids=str,
)
def test_sound_definitions_have_no_problem(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert problems(tmp_path, **changes) == []


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("SELECT 1 AS a;", "SELECT 1 AS a"),
        (" \n select 50 % 7 AS a ; ; \n", "select 50 % 7 AS a"),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "WITH a AS (SELECT 1) SELECT * FROM a"),
        ("-- all\n/* of\nthem */ SELECT 1", "-- all\n/* of\nthem */ SELECT 1"),
        ("# all\nSELECT ';' AS a", "# all\nSELECT ';' AS a"),
        ("SELECT 1 -- the end;", "SELECT 1 -- the end"),
        ("SELECT 1; -- the end", "SELECT 1"),
        ("SELECT 1 ;\n/* the; end */ ; -- of it\n;", "SELECT 1"),
        ("SELECT ';' ; # the end", "SELECT ';'"),
        ("SELECT '; -- x'", "SELECT '; -- x'"),
        ("SELECT 1 /* ; -- x */", "SELECT 1 /* ; -- x */"),
        ("SELECT $$;$$", "SELECT $$;$$"),
        ("SELECT 1 AS a; SELECT 2", "SELECT 1 AS a; SELECT 2"),
    ],
)
def test_query_may_have_semicolons_percents_and_comments(query: str, text: str) -> None:
    assert query_text(query) == text


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"table": ..., "schema": ...}, ("table", "there is neither a table nor a query", "add table or query")),
        ({"query": "SELECT 1"}, ("query", "there is a table, too", "remove one of the two")),
        (
            QUERY | {"schema": "shop"},
            ("schema", "a query has no schema", "remove it, and write schema.table in the query"),
        ),
        (
            QUERY | {"query": "DELETE FROM users"},
            ("query", '"DELETE FROM users" is no query', "begin with SELECT or WITH"),
        ),
        (
            {"keepRaw": {"bucket": "raw-data", "key": "a"}},
            (
                "keepRaw", "a database source has no answers to keep",
                "remove it: the Parquet file of a run stays in processed/ or failed/ as it was read",
            ),
        ),
        (
            {"incremental": {"cursor": "a", "startParam": "since"}},
            ("incremental.startParam", "unknown key", "use one of cursor, initialValue, lag, overlap"),
        ),
        (
            {"incremental": {"cursor": "a", "overlap": -1}},
            ("incremental.overlap", "-1 is negative", "write a whole number from 0 on, or a duration such as 10m"),
        ),
        (
            {"incremental": {"cursor": "a", "overlap": "10 minutes"}},
            (
                "incremental.overlap", '"10 minutes" is no duration',
                "write a whole number and s, m, h or d, such as 10m",
            ),
        ),
        ({"requests": []}, ("requests", "unknown key", "")),
        (
            {"table": "a\nb"},
            (
                "table", '"a\\nb" is not allowed here',
                "write a name of 1 to 128 characters without control characters",
            ),
        ),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_fault_is_named(tmp_path: Path, changes: dict[str, Any], problem: tuple[str, str, str]) -> None:
    found = problems(tmp_path, **changes)
    assert [one[:2] for one in found] == [problem[:2]]
    assert found[0][2].startswith(problem[2]), found


def test_contract_without_a_key_needs_a_lag(tmp_path: Path) -> None:
    appends = replace(ORDERS, key=APPEND_KEY)
    fault = ("incremental.overlap", "the contract shop_orders.yaml has no key, so rows of the overlap would load twice")
    for incremental in ({"cursor": "a"}, {"cursor": "a", "overlap": "1m"}, {"cursor": "a", "overlap": 1, "lag": "1m"}):
        assert [one[:2] for one in problems(tmp_path, appends, incremental=incremental)] == [fault]
    assert problems(tmp_path, appends, incremental={"cursor": "a", "lag": "10m"}) == []
    assert problems(tmp_path, appends, incremental=...) == []


def test_window_is_no_snapshot(tmp_path: Path) -> None:
    snapshot = replace(ORDERS, mode=Mode.SNAPSHOT)
    assert [one[0] for one in problems(tmp_path, snapshot)] == ["incremental"]
    assert problems(tmp_path, snapshot, incremental=...) == []


def test_topic_needs_one_in_the_contract(tmp_path: Path) -> None:
    assert [one[0] for one in problems(tmp_path, deliver="topic")] == ["deliver"]
    assert problems(tmp_path, TOPIC, deliver="topic") == []


# In words


def described(folder: Path, **changes: Any) -> dict[str, str]:
    text = describe(read(folder, **changes), ORDERS)
    return dict(re.findall(r"(?m)^\| ([A-Z][\w ]*) \| (.*) \|$", text))


def test_table_in_words(tmp_path: Path) -> None:
    assert described(tmp_path) == {
        "From": "the table or view `shop.users` in the database of the connection `source_crm`",
        "When": "`@hourly`, in UTC",
        "New rows": "by `updated_at`, at first from `2024-01-01 00:00:00`; 10m behind the last window are read again",
        "Rows go to": "`incoming/shop_orders/`, from which `ingest_shop_orders` loads `raw.shop_orders`",
        "Limits": "10,000,000 rows, 3,600 seconds, 10,737,418,240 bytes in a run; the next run reads on",
    }


@pytest.mark.parametrize(
    ("changes", "line", "words"),
    [
        ({"incremental": ...}, "New rows", "each run reads everything"),
        ({"incremental": ...}, "Limits", "bytes in a run; with more, the run fails"),
        ({"incremental": {"cursor": "at"}}, "New rows", "by `at`; 5m behind the last window are read again"),
        (
            {"incremental": {"cursor": "at", "lag": "90s"}},
            "New rows", "by `at`; those younger than 90s are left to a later run",
        ),
        ({"incremental": {"cursor": "id", "overlap": 1000}}, "New rows", "1,000 behind the last window are read again"),
    ],
    ids=str,
)  # fmt: skip
def test_choice_in_words(tmp_path: Path, changes: dict[str, Any], line: str, words: str) -> None:
    assert described(tmp_path, **changes)[line].endswith(words)


def test_query_in_words(tmp_path: Path) -> None:
    assert "## Query\n\n```sql\nSELECT * FROM users\n```\n" in describe(read(tmp_path, **QUERY), ORDERS)


def test_page_has_every_key_of_a_database() -> None:
    table = page().partition("### Of a database")[2]
    listed = {word for code in re.findall(r"`([^`]+)`", table) for word in re.findall(r"\w+", code)}
    own = set(keys_of(DatabaseSource)) - set(keys_of(DatabaseSource.__mro__[1])) | {"incremental"}
    inner = {key for part in parts_of(keys_of(DatabaseSource)["incremental"]) for key in keys_of(part)}
    assert own | inner <= listed
    assert [key.path for key in database_keys() if not key.meaning] == []

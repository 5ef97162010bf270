"""Runs of database sources: windows and late commits, limits, crashes, duplicates, messages, refusals."""

from __future__ import annotations

import json
import re
import threading
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from element_world import Crash
from mail_server import write_certificate
from real_broker import contents

from include.contracts.model import APPEND_KEY, Column, ColumnType
from include.errors import Code, PermanentError, RetryableError
from include.sources.listing import Position
from tests.mariadb import PASSWORD

if TYPE_CHECKING:
    from pathlib import Path

    from database_world import DatabaseWorld
    from real_broker import Broker

pytestmark = pytest.mark.integration

COLUMNS = (
    Column("id", ColumnType.INTEGER, required=True),
    Column("n", ColumnType.INTEGER),
    Column("changed", ColumnType.TIMESTAMP),
)


@pytest.fixture
def world(database_world: DatabaseWorld) -> DatabaseWorld:
    """A table with the rows 1 to 7, which changed in the last week."""
    database_world.columns = COLUMNS
    database_world.changes["newest_by"] = None
    make_table(database_world)
    return database_world


def make_table(world: DatabaseWorld, kind: str = "timestamp(6)") -> None:
    """PostgreSQL and MariaDB write the time without a zone in UTC here, as their sessions say."""
    assert world.database is not None
    kind = "datetime(6)" if world.database.name == "mariadb" and kind == "timestamp(6)" else kind
    world.database.run(f"CREATE TABLE {world.name} (id int PRIMARY KEY, n int, changed {kind})")
    world.connection_changes["extra"] = {"time_zone": "UTC"}
    for n in range(1, 8):
        put(world, n, at=utc_now() - timedelta(days=8 - n))


def utc_now() -> datetime:
    return datetime.utcnow()  # noqa: DTZ003 - the table's times have no zone


def put(world: DatabaseWorld, n: int, at: datetime | None = None, value: int = 0) -> None:
    moment = (at or utc_now()).isoformat(sep=" ")
    world.database.run(  # type: ignore[union-attr]
        f"DELETE FROM {world.name} WHERE id = {n}; INSERT INTO {world.name} VALUES ({n}, {value}, '{moment}')"
    )


def ids(world: DatabaseWorld) -> list[int]:
    return sorted(world.table()["id"].to_pylist()) if world.incoming else []


# --- whole tables


def test_table_arrives_as_one_parquet_file_and_loads(world: DatabaseWorld) -> None:
    done = world.collect()
    name = f"shop.{world.name}"
    assert re.fullmatch(rf"incoming/{world.name}/{world.name}/{name}_\d{{8}}T\d{{6}}Z\.parquet", done.object_key or "")
    assert world.incoming == [done.object_key]
    assert (done.records_read, done.records_written, done.records_failed, done.watermark) == (7, 7, 0, None)
    assert [entry["status"] for entry in world.load()] == ["archived"]
    assert [row["id"] for row in world.loaded()] == [1, 2, 3, 4, 5, 6, 7]


def test_unchanged_table_is_a_duplicate_and_no_second_load(world: DatabaseWorld) -> None:
    assert world.database is not None
    world.database.run(f"INSERT INTO {world.name} SELECT id + 100, id, changed FROM {world.name}")
    world.collect()
    world.collect()
    first, second = (world.body(world.landing_bucket, key) for key in world.incoming)
    assert first == second
    assert sorted(entry["status"] for entry in world.load()) == ["archived", "duplicate"]
    put(world, 3, value=1)
    world.collect()
    assert [entry["status"] for entry in world.load()] == ["archived", "duplicate", "archived"]
    assert [row["n"] for row in world.loaded()][2] == 1


def test_table_without_a_key_has_the_rows_of_its_last_file_once(world: DatabaseWorld) -> None:
    world.changes |= {"key": APPEND_KEY}
    world.collect()
    world.collect()
    assert sorted(entry["status"] for entry in world.load()) == ["archived", "duplicate"]
    assert len(world.loaded()) == 7


def test_view_is_a_table(world: DatabaseWorld) -> None:
    assert world.database is not None
    world.database.run(f"CREATE VIEW v_{world.name} AS SELECT * FROM {world.name} WHERE id > 5")
    try:
        world.collect(table=f"v_{world.name}")
        assert ids(world) == [6, 7]
    finally:
        world.database.run(f"DROP VIEW v_{world.name}")


def test_empty_table_writes_no_file(world: DatabaseWorld) -> None:
    assert world.database is not None
    world.database.run(f"DELETE FROM {world.name}")
    assert world.collect().object_key is None
    assert world.incoming == []


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id, n, changed FROM shop.{name} WHERE '50%' LIKE '5%' AND id < 4;",
        "WITH few AS (SELECT * FROM shop.{name} WHERE id <> 9) SELECT * FROM few WHERE id < 4 -- the end; \n ; ",
        "/* first */ SELECT * FROM shop.{name} WHERE id < 4 ORDER BY n, id",
    ],
    ids=["percent and semicolon", "with and comment", "leading comment"],
)
def test_query_is_read(world: DatabaseWorld, query: str) -> None:
    world.collect(table=..., schema=..., query=query.format(name=world.name))
    assert ids(world) == [1, 2, 3]


def test_name_of_a_column_may_hold_anything(world: DatabaseWorld) -> None:
    assert world.database is not None
    quote = '"{}"' if world.database.name == "postgres" else "`{}`"
    odd = "of 100% \u00e9 'x'"
    world.database.run(f"ALTER TABLE {world.name} ADD COLUMN {quote.format(odd)} int")
    world.collect()
    assert odd in world.table().schema.names


# --- windows


def test_window_reads_what_is_new_and_late_commits(world: DatabaseWorld) -> None:
    incremental = {"cursor": "changed", "overlap": "10m"}
    assert world.collect(incremental=incremental).records_read == 7
    world.load()
    watermark = datetime.fromisoformat(world.row(f"shop.{world.name}")["watermark"])
    assert abs(utc_now() - watermark) < timedelta(minutes=1), "the end of the window, by the server's clock"
    assert world.collect().object_key is None, "nothing is new"
    put(world, 8)
    put(world, 9, at=watermark - timedelta(minutes=5))  # committed late: its time is in a window that was read
    put(world, 10, at=watermark - timedelta(minutes=15))  # later than the overlap: it is lost, as documented
    put(world, 3, value=5)
    world.collect()
    assert ids(world) == [3, 8, 9]
    world.load()
    assert [(row["id"], row["n"]) for row in world.loaded()] == [
        (1, 0), (2, 0), (3, 5), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0),
    ]  # fmt: skip


def test_row_in_an_open_transaction_is_read_by_the_next_run(world: DatabaseWorld) -> None:
    assert world.database is not None
    begin = "BEGIN" if world.database.name == "postgres" else "START TRANSACTION"
    sleep = "SELECT pg_sleep(6)" if world.database.name == "postgres" else "SELECT sleep(6)"
    moment = utc_now().isoformat(sep=" ")
    slow = f"{begin}; INSERT INTO {world.name} VALUES (8, 0, '{moment}'); {sleep}; COMMIT"
    writer = threading.Thread(target=world.database.run, args=(slow,))
    writer.start()
    time.sleep(2)
    world.collect(incremental={"cursor": "changed", "overlap": "1m"})
    assert ids(world) == [1, 2, 3, 4, 5, 6, 7]
    world.load()
    writer.join()
    world.collect()
    assert ids(world) == [8]


def test_lag_leaves_young_rows_to_a_later_run_and_reads_none_twice(world: DatabaseWorld) -> None:
    put(world, 8, at=utc_now() - timedelta(minutes=5))
    incremental = {"cursor": "changed", "lag": "10m"}
    assert world.collect(incremental=incremental).records_read == 7
    assert world.collect().records_read == 0
    world.load()
    world.collect(incremental={"cursor": "changed", "lag": "1m"})
    assert ids(world) == [8]


def test_future_time_does_not_move_the_watermark(world: DatabaseWorld) -> None:
    put(world, 9, at=utc_now() + timedelta(days=300))
    world.collect(incremental={"cursor": "changed"})
    assert ids(world) == [1, 2, 3, 4, 5, 6, 7]
    assert datetime.fromisoformat(world.row(f"shop.{world.name}")["watermark"]) < utc_now() + timedelta(minutes=1)


def test_initial_value_is_where_the_first_run_begins(world: DatabaseWorld) -> None:
    start = (utc_now() - timedelta(days=3, hours=12)).isoformat(sep=" ")
    world.collect(incremental={"cursor": "changed", "initialValue": start})
    assert ids(world) == [5, 6, 7]


def test_full_run_reads_from_the_initial_value_again(world: DatabaseWorld) -> None:
    world.collect(incremental={"cursor": "changed", "lag": "0s"})
    world.load()
    read = world.reader()
    world.collect(f"shop.{world.name}", lambda element, _, *others: read(element, Position(), *others))
    assert ids(world) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("kind", ["int", "date", "instant"])
def test_cursor_may_be_a_number_a_day_or_an_instant(world: DatabaseWorld, kind: str) -> None:
    assert world.database is not None
    if kind == "int":
        incremental: dict[str, Any] = {"cursor": "id", "overlap": 1}
    else:
        own = kind if kind == "date" else "timestamptz" if world.database.name == "postgres" else "timestamp NULL"
        now = "CURRENT_DATE" if kind == "date" else "CURRENT_TIMESTAMP"
        world.database.run(f"ALTER TABLE {world.name} ADD COLUMN mark {own}; UPDATE {world.name} SET mark = {now}")
        incremental = {"cursor": "mark"}
        world.connection_changes = {}
    assert world.collect(incremental=incremental).records_read == 7
    world.load()
    if kind == "int":
        put(world, 8)
    else:
        world.database.run(f"INSERT INTO {world.name} VALUES (8, 0, NULL, {now})")
    world.collect()
    assert 8 in ids(world)
    if kind == "int":
        assert ids(world) == [6, 7, 8]
        assert world.row(f"shop.{world.name}")["watermark"] == "8"


@pytest.mark.parametrize("kind", ["timestamp(6) NULL", "datetime(6)"])
def test_cursor_of_a_query_of_mariadb_is_compared_in_its_own_zone(mariadb_world: DatabaseWorld, kind: str) -> None:
    """The server's zone is nine hours ahead of UTC: its clock is right for a DATETIME, and not for a TIMESTAMP."""
    world = mariadb_world
    world.columns = COLUMNS
    world.changes["newest_by"] = None
    assert world.database is not None
    world.database.run(f"CREATE TABLE {world.name} (id int PRIMARY KEY, n int, changed {kind})")
    changes = {"table": ..., "schema": ..., "incremental": {"cursor": "changed"}}
    query = f"SELECT id, n, changed FROM shop.{world.name}"
    assert world.collect(query=query, **changes).watermark is None, "the cursor's kind is not known without a row"
    world.database.run(f"INSERT INTO {world.name} VALUES (1, 0, NOW(6))")
    assert world.collect().records_read == 1
    world.load()
    world.database.run(f"INSERT INTO {world.name} VALUES (2, 0, NOW(6))")
    world.database.run(f"INSERT INTO {world.name} VALUES (3, 0, NOW(6) + INTERVAL 1 HOUR)")
    world.collect()
    assert ids(world) == [1, 2]
    watermark = datetime.fromisoformat(world.row("query")["watermark"]).replace(tzinfo=None)
    ahead = timedelta(hours=9 if kind.startswith("datetime") else 0)
    assert abs(utc_now() + ahead - watermark) < timedelta(minutes=1)


def test_limit_ends_a_window_and_the_next_run_continues(world: DatabaseWorld) -> None:
    incremental = {"cursor": "changed", "lag": "0s"}
    done = world.collect(incremental=incremental, limits={"records": 3})
    assert (done.records_read, done.is_unfinished) == (3, True)
    seen = [ids(world)]
    for _ in range(3):
        world.load()
        done = world.collect()
        seen.append(ids(world))
    assert seen == [[1, 2, 3], [3, 4, 5], [5, 6, 7], []], "the last value of a run may have more rows"
    assert not done.is_unfinished
    assert [row["id"] for row in world.loaded()] == [1, 2, 3, 4, 5, 6, 7]


def test_limit_that_would_stop_at_the_same_rows_for_ever_is_refused(world: DatabaseWorld) -> None:
    for n in range(1, 8):
        put(world, n, at=datetime(2026, 1, 1))  # noqa: DTZ001 - without a zone, as the table
    world.collect(incremental={"cursor": "changed", "lag": "0s"}, limits={"records": 3})
    with pytest.raises(PermanentError, match=r"More than 3 rows have changed = 2026-01-01 00:00:00: raise limits"):
        world.collect()


def test_limit_fails_a_read_of_a_whole_table(world: DatabaseWorld) -> None:
    with pytest.raises(PermanentError, match=r"has more than 3 rows, .*: raise limits, or add incremental"):
        world.collect(limits={"records": 3})
    assert world.incoming == []


# --- crashes


@pytest.mark.parametrize("after", [False, True], ids=["before a step", "after a step"])
@pytest.mark.parametrize("is_loaded", [False, True], ids=["file in incoming", "file loaded meanwhile"])
def test_crash_at_every_step_loads_each_row_once(
    postgres_world: DatabaseWorld, monkeypatch: pytest.MonkeyPatch, after: bool, is_loaded: bool
) -> None:
    world = postgres_world
    world.columns = COLUMNS
    world.changes |= {"newest_by": None, "key": APPEND_KEY}
    make_table(world)
    incremental = {"cursor": "changed", "lag": "0s"}
    element = f"shop.{world.name}"
    with world.steps(monkeypatch) as counted:
        world.collect(incremental=incremental)
    world.load()
    new = 8
    for step in range(1, counted.count + 1):
        put(world, new, at=utc_now() - timedelta(milliseconds=50))
        with world.steps(monkeypatch, step, after=after), pytest.raises(Crash):
            world.collect()
        if is_loaded:
            world.load()
        world.collect()
        world.load()
        assert [row["id"] for row in world.loaded()] == list(range(1, new + 1)), f"step {step}"
        assert world.row(element)["pending_key"] is None
        new += 1
    assert counted.count > 8


# --- messages


def test_rows_become_messages_of_the_topic(world: DatabaseWorld, broker: Broker) -> None:
    assert world.database is not None
    topic = f"{world.name}-topic".replace("_", "-")
    world.kafka = broker.config
    world.changes["topic"] = topic
    world.database.run(
        f"ALTER TABLE {world.name} ADD COLUMN price decimal(38,20); "
        f"UPDATE {world.name} SET price = 123456789012345678.12345678901234567891"
    )
    done = world.collect(deliver="topic")
    assert (done.records_written, done.object_key) == (7, None)
    messages = contents(broker, topic)
    rows = sorted((json.loads(message.value or b"") for message in messages), key=lambda row: row["id"])
    assert [row["id"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert rows[0]["price"] == "123456789012345678.12345678901234567891"
    assert sorted(message.key or b"" for message in messages) == [str(n).encode() for n in range(1, 8)]


# --- refusals


def refused(world: DatabaseWorld, **changes: Any) -> str:
    """The message of the error that ends the run for good."""
    with pytest.raises(PermanentError) as caught:
        world.collect(**changes)
    assert caught.value.code is Code.SOURCE_REFUSED
    assert PASSWORD not in str(caught.value)
    return caught.value.message


def test_unknown_names_are_refused(world: DatabaseWorld) -> None:
    assert "There is no table or view shop.nothing" in refused(world, table="nothing")
    message = refused(world, table=world.name, incremental={"cursor": "chnged"})
    assert "there is no column 'chnged'" in message
    assert "changed" in message
    assert "nothing_here" in refused(world, table=..., schema=..., incremental=..., query="SELECT * FROM nothing_here")
    message = refused(world, query=f"SELECT 1 AS a, 2 AS a FROM shop.{world.name}")
    assert "two columns of the name 'a'" in message or "Duplicate column name 'a'" in message


def test_cursor_without_an_order_of_time_is_refused(world: DatabaseWorld) -> None:
    assert world.database is not None
    world.database.run(f"ALTER TABLE {world.name} ADD COLUMN word varchar(9)")
    assert "use a column of times, dates or whole numbers" in refused(world, incremental={"cursor": "word"})


def test_overlap_that_does_not_fit_the_cursor_is_refused(world: DatabaseWorld) -> None:
    world.collect(incremental={"cursor": "id"})
    assert "incremental.overlap" in refused(world, incremental={"cursor": "id", "overlap": "10m"})
    world.clear_position()
    world.collect(incremental={"cursor": "changed"})
    assert "write a duration" in refused(world, incremental={"cursor": "changed", "overlap": 5})


def test_server_that_does_not_answer_can_be_retried(world: DatabaseWorld) -> None:
    world.connection_changes["port"] = 1
    with pytest.raises(RetryableError) as caught:
        world.collect()
    assert caught.value.code is Code.SOURCE_UNAVAILABLE
    assert PASSWORD not in str(caught.value)


def test_wrong_password_is_refused_and_never_shown(
    world: DatabaseWorld, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    secret = "wrong-secret'\\ %41"
    world.connection_changes["password"] = secret
    with pytest.raises(PermanentError) as caught:
        world.collect()
    written = "".join([*capfd.readouterr(), caplog.text, str(caught.value), repr(caught.value.__context__)])
    assert "wrong-secret" not in written


def test_odd_password_logs_in(world: DatabaseWorld) -> None:
    assert {"@", "/", ":", "#", "%"} <= set(PASSWORD)
    assert world.collect().records_read == 7


def test_encryption_that_the_server_lacks_is_refused(postgres_world: DatabaseWorld) -> None:
    postgres_world.connection_changes["extra"] = {"sslmode": "require"}
    assert "SSL" in refused(postgres_world)


@pytest.mark.parametrize(
    ("extra", "is_encrypted"),
    [
        ({"sslmode": "disable"}, False),
        ({"sslmode": "require"}, True),
        ({"sslmode": "verify-ca", "sslrootcert": "{certificate}"}, True),
        ({"sslmode": "verify-full", "sslrootcert": "{certificate}"}, True),
    ],
    ids=str,
)
def test_encryption_is_as_the_connection_says(
    mariadb_world: DatabaseWorld, extra: dict[str, str], is_encrypted: bool
) -> None:
    world = mariadb_world
    certificate = authority(world.database.server.folder / "certificate.pem", world)  # type: ignore[union-attr]
    world.connection_changes["extra"] = {key: value.format(certificate=certificate) for key, value in extra.items()}
    status = "SELECT variable_value AS cipher FROM information_schema.session_status WHERE variable_name = 'ssl_cipher'"
    world.collect(table=..., schema=..., query=status)
    [row] = world.table().to_pylist()
    assert bool(row["cipher"]) == is_encrypted


def authority(certificate: Path, world: DatabaseWorld) -> str:
    """The path of a copy without the key before it."""
    _, head, tail = certificate.read_text().partition("-----BEGIN CERTIFICATE")
    copy = world.folder / "authority.pem"
    copy.write_text(head + tail)
    return str(copy)


def test_certificate_that_does_not_exist_is_refused(mariadb_world: DatabaseWorld) -> None:
    world = mariadb_world
    world.connection_changes["extra"] = {"sslmode": "verify-ca", "sslrootcert": "/nothing/here.pem"}
    start = time.monotonic()
    assert "/nothing/here.pem" in refused(world)
    assert time.monotonic() - start < 15


def test_certificate_of_another_authority_is_refused(mariadb_world: DatabaseWorld) -> None:
    write_certificate(other := mariadb_world.folder / "other.pem")
    make_table(mariadb_world)
    extra = {"sslmode": "verify-ca", "sslrootcert": authority(other, mariadb_world)}
    mariadb_world.connection_changes["extra"] = extra
    with pytest.raises((PermanentError, RetryableError)) as caught:
        mariadb_world.collect()
    assert "certificate" in str(caught.value)
    assert mariadb_world.incoming == []


def test_rows_that_change_while_a_table_is_read_are_those_of_one_moment(world: DatabaseWorld) -> None:
    """The rows are of one statement: what is committed while it runs is not half in the file."""
    assert world.database is not None
    world.database.run(f"INSERT INTO {world.name} SELECT id + 10, n, changed FROM {world.name}")
    stop = threading.Event()

    def change() -> None:
        value = 1
        while not stop.is_set():
            world.database.run(f"UPDATE {world.name} SET n = {value}")  # type: ignore[union-attr]
            value += 1

    writer = threading.Thread(target=change)
    writer.start()
    try:
        for _ in range(3):
            world.collect()
            table = world.table()
            world.load()
            assert len(set(table["n"].to_pylist())) == 1
    finally:
        stop.set()
        writer.join()

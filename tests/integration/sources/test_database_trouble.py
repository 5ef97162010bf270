"""Database sources whose servers fail, are slow, or hold large rows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from include.errors import Code, PermanentError, RetryableError
from include.sources.spool import ParquetSpool

if TYPE_CHECKING:
    from database_world import DatabaseWorld

pytestmark = pytest.mark.integration

LARGE = {
    "postgres": "INSERT INTO {name} SELECT g, {value}, repeat('x', 200) FROM generate_series(1, 300000) g",
    "mariadb": "INSERT INTO {name} SELECT seq, {value}, repeat('x', 200) FROM seq_1_to_300000",
}

LARGE_TEXT = {"postgres": "varchar", "mariadb": "longtext"}
LARGE_ROWS = {
    "postgres": "INSERT INTO {name} SELECT g, repeat(md5(g::text), 3125) FROM generate_series(1, 400) g",
    "mariadb": "INSERT INTO {name} SELECT seq, repeat(md5(seq), 3125) FROM seq_1_to_400; ANALYZE TABLE {name}",
}


def make_large_table(world: DatabaseWorld) -> None:
    """More rows than the driver and the sockets hold while the first batch is written."""
    assert world.database is not None
    world.database.run(
        f"CREATE TABLE {world.name} (id int PRIMARY KEY, n int, word varchar(200)); "
        + LARGE[world.database.name].format(name=world.name, value=0)
    )


@pytest.mark.parametrize("what", ["query", "connection"])
def test_end_of_the_query_or_the_connection_in_the_middle_of_a_table_can_be_retried(
    database_world: DatabaseWorld, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    world = database_world
    make_large_table(world)
    write, seen = ParquetSpool.write, []

    def kill_and_write(spool: ParquetSpool, batch: Any) -> None:
        if not seen:
            assert world.database is not None
            world.database.kill(what)
        seen.append(batch.num_rows)
        write(spool, batch)

    monkeypatch.setattr(ParquetSpool, "write", kill_and_write)
    with pytest.raises(RetryableError) as caught:
        world.collect()
    assert caught.value.code is Code.SOURCE_UNAVAILABLE
    assert 0 < sum(seen) < 300_000
    assert world.incoming == []
    assert world.runs(f"shop.{world.name}")[-1]["error_code"] == "source-unavailable"
    monkeypatch.undo()
    assert world.collect().records_read == 300_000


def test_error_in_the_middle_of_a_query_is_refused(database_world: DatabaseWorld) -> None:
    world = database_world
    assert world.database is not None
    make_large_table(world)
    wrong = "1 / (id - 200000)" if world.database.name == "postgres" else (
        f"IF(id = 200000, (SELECT id FROM shop.{world.name} AS o WHERE o.id < 3), 0)"
    )  # fmt: skip
    with pytest.raises(PermanentError) as caught:
        world.collect(table=..., schema=..., query=f"SELECT id, {wrong} AS wrong, word FROM shop.{world.name}")
    assert caught.value.code is Code.SOURCE_REFUSED
    assert caught.value.message.endswith(
        ("refuses: division by zero.", "refuses: Subquery returns more than 1 row (error 1242).")
    )
    assert world.incoming == []


@pytest.mark.parametrize("is_view", [False, True], ids=["table", "view"])
def test_batches_of_large_rows_are_small(
    database_world: DatabaseWorld, monkeypatch: pytest.MonkeyPatch, is_view: bool
) -> None:
    """400 rows of 100 kB are 40 MB: a batch of 50,000 such rows would be 5 GB."""
    world = database_world
    assert world.database is not None
    world.database.run(f"CREATE TABLE {world.name} (id int PRIMARY KEY, word {LARGE_TEXT[world.database.name]})")
    world.database.run(LARGE_ROWS[world.database.name].format(name=world.name))
    write, sizes = ParquetSpool.write, []

    def measure_and_write(spool: ParquetSpool, batch: Any) -> None:
        sizes.append(batch.nbytes)
        write(spool, batch)

    monkeypatch.setattr(ParquetSpool, "write", measure_and_write)
    if is_view:
        world.database.run(f"CREATE VIEW {world.name}_view AS SELECT * FROM {world.name}")
    try:
        assert world.collect(table=f"{world.name}_view" if is_view else world.name).records_read == 400
    finally:
        if is_view:
            world.database.run(f"DROP VIEW {world.name}_view")
    assert sum(sizes) > 40_000_000
    assert max(sizes) < 10_000_000
    assert sorted(world.table()["id"].to_pylist()) == list(range(1, 401))


# About 2 s for a batch, and 6 s for all.
SLOW = {"postgres": "pg_sleep(0.0005)::text", "mariadb": "sleep(0.03)"}
ROWS = {"postgres": 5000, "mariadb": 200}


def test_limit_in_seconds_ends_a_window_of_a_slow_query(database_world: DatabaseWorld) -> None:
    world = database_world
    make_large_table(world)
    assert world.database is not None
    world.database.run(f"DELETE FROM {world.name} WHERE id > {ROWS[world.database.name]}")
    query = f"SELECT id, {SLOW[world.database.name]} AS slow, word FROM shop.{world.name} ORDER BY id"
    done = world.collect(
        table=..., schema=..., query=query, limits={"seconds": 1}, incremental={"cursor": "id", "lag": 0}
    )
    assert 0 < done.records_read < ROWS[world.database.name]
    assert done.is_unfinished
    assert done.watermark == str(done.records_read)


def test_statement_that_never_ends_is_stopped_by_the_server(
    database_world: DatabaseWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = database_world
    assert world.database is not None
    monkeypatch.setattr("include.sources.database.query._SECONDS_OF_A_BATCH", 0)
    slow = "pg_sleep(20)::text" if world.database.name == "postgres" else "sleep(20)"
    start = time.monotonic()
    with pytest.raises(PermanentError, match=r"raise limits.seconds, or index the cursor"):
        world.collect(table=..., schema=..., query=f"SELECT {slow} AS slow", limits={"seconds": 1})
    assert time.monotonic() - start < 15

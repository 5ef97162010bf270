"""The row counts that PostgreSQL has of staging tables: a wrong one makes the MERGE a nested loop over the table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql

from include.contracts.model import Deletes, Mode
from include.ingestion import deletes, load
from local.services.postgres import WAREHOUSE, superuser_connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import MakePipeline
    from ingest_pipeline import Pipeline

    from include.ingestion.target import Target
    from include.stores.warehouse import Connection
    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration
# So many that COPY adds many pages to the table at once, and the last ones stay empty.
ROWS = 20_000
SAMPLE = "sales.csv"
# The staging table as it was before: autovacuum treats it as any table.
PLAIN = sql.Identifier("load", "plain_staging")


@pytest.fixture
def superuser(platform: Platform) -> Iterator[Connection]:
    """A connection of the superuser, who may vacuum each table."""
    with superuser_connection(platform.settings, platform.credentials, WAREHOUSE) as connection:
        yield connection


@pytest.fixture
def frequent_autovacuum(superuser: Connection) -> Iterator[None]:
    """Autovacuum looks for tables each second."""
    superuser.execute("ALTER SYSTEM SET autovacuum_naptime = '1s'")
    superuser.execute("SELECT pg_reload_conf()")
    yield
    superuser.execute("ALTER SYSTEM RESET autovacuum_naptime")
    superuser.execute("SELECT pg_reload_conf()")


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The plans of the statements that compare both tables, in their order, as they were when the statements ran."""
    made: list[str] = []
    merge, delete = load._merge, deletes.RowDeleter._delete

    def explained_merge(target: Target, statement: sql.Composed, connection: Connection) -> tuple[int, int]:
        made.append(plan(connection, statement))
        return merge(target, statement, connection)

    def explained_delete(deleter: deletes.RowDeleter, condition: sql.Composed) -> int:
        statement = sql.SQL("DELETE FROM {} AS t WHERE {}").format(deleter.target.table, condition)
        made.append(plan(deleter.attempt.stores.connection, statement))
        return delete(deleter, condition)

    monkeypatch.setattr(load, "_merge", explained_merge)
    monkeypatch.setattr(deletes.RowDeleter, "_delete", explained_delete)
    return made


@pytest.fixture
def when_staged(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Target], None]], None]:
    """Call a function of the target in each load, after the staging table is filled and before it is merged."""
    publish = load._publish

    def set_look(look: Callable[[Target], None]) -> None:
        def looked(attempt: Any, target: Target, *others: Any) -> Any:
            look(target)
            return publish(attempt, target, *others)

        monkeypatch.setattr(load, "_publish", looked)

    return set_look


def plan(connection: Connection, statement: sql.Composed) -> str:
    return "\n".join(line for (line,) in connection.execute(sql.SQL("EXPLAIN {}").format(statement)))


def is_nested_loop(plan_text: str) -> bool:
    return "Nested Loop" in plan_text


def known(connection: Connection, table: sql.Identifier) -> tuple[int, float, int]:
    """Pages and rows of a table as the planner knows them (-1 rows: unknown), and how often autovacuum came."""
    query = "SELECT relpages, reltuples, pg_stat_get_autovacuum_count(oid) FROM pg_class WHERE oid = %s::regclass"
    (row,) = connection.execute(query, [table.as_string(None)]).fetchall()
    return row


def vacuum(connection: Connection, table: sql.Identifier) -> None:
    """What autovacuum runs, and an operator who vacuums the database."""
    connection.execute(sql.SQL("VACUUM {}").format(table))


def make_plain_staging(connection: Connection, target: Target) -> None:
    """Create and fill PLAIN as the loader fills the staging table."""
    with connection.cursor() as cursor:
        with cursor.copy(sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(target.staging)) as rows:
            content = b"".join(rows)
        with connection.transaction():
            connection.execute(sql.SQL("CREATE UNLOGGED TABLE {} (LIKE {})").format(PLAIN, target.staging))
            with cursor.copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary, FREEZE)").format(PLAIN)) as copy:
                copy.write(content)


def drop_plain_staging(connection: Connection) -> None:
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(PLAIN))


def put_sample(pipeline: Pipeline) -> str:
    return pipeline.put(SAMPLE, pipeline.sample(SAMPLE, ROWS).path.read_bytes())


@pytest.mark.usefixtures("frequent_autovacuum")
def test_autovacuum_leaves_the_staging_table_alone(
    pipeline: Pipeline,
    superuser: Connection,
    plans: list[str],
    when_staged: Callable[[Callable[[Target], None]], None],
) -> None:
    found: list[Any] = []

    def wait_for_autovacuum(target: Target) -> None:
        make_plain_staging(superuser, target)
        end = time.monotonic() + 90
        while not known(superuser, PLAIN)[2]:
            assert time.monotonic() < end, "autovacuum did not come"
            time.sleep(0.2)
        options = "SELECT reloptions FROM pg_class WHERE oid = %s::regclass"
        found.extend(superuser.execute(options, [target.staging.as_string(None)]).fetchall())
        found.append(known(superuser, target.staging))

    when_staged(wait_for_autovacuum)
    key = put_sample(pipeline)
    try:
        pipeline.run()
    finally:
        drop_plain_staging(superuser)

    assert found == [(["autovacuum_enabled=false"],), (0, -1, 0)]
    (merge,) = plans
    assert not is_nested_loop(merge)
    pipeline.assert_archived(pipeline.entries(key)[0], inserted=ROWS)


def test_vacuum_counts_no_rows_in_a_staging_table_and_the_load_counts_them_again(
    pipeline: Pipeline,
    superuser: Connection,
    plans: list[str],
    when_staged: Callable[[Callable[[Target], None]], None],
) -> None:
    before: list[str] = []

    def vacuum_staging(target: Target) -> None:
        vacuum(superuser, target.staging)
        pages, rows, _ = known(superuser, target.staging)
        assert (pages > 0, rows) == (True, 0)
        before.append(plan(superuser, target.merge(sort=False)))

    when_staged(vacuum_staging)
    key = put_sample(pipeline)
    pipeline.run()

    assert [is_nested_loop(text) for text in (*before, *plans)] == [True, False]
    pipeline.assert_archived(pipeline.entries(key)[0], inserted=ROWS)


def test_no_vacuum_comes_between_the_count_and_the_merge(
    pipeline: Pipeline, superuser: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge, skipped = load._merge, []

    def vacuumed_merge(target: Target, *others: Any) -> tuple[int, int]:
        superuser.execute(sql.SQL("VACUUM (SKIP_LOCKED) {}").format(target.staging))
        skipped.append(known(superuser, target.staging)[:2])
        return merge(target, *others)

    monkeypatch.setattr(load, "_merge", vacuumed_merge)
    put_sample(pipeline)
    pipeline.run()

    assert skipped == [(0, -1)]


def test_snapshot_is_compared_without_a_nested_loop(
    make_pipeline: MakePipeline,
    superuser: Connection,
    plans: list[str],
    when_staged: Callable[[Callable[[Target], None]], None],
) -> None:
    """Neither the vacuumed staging table nor a table that was vacuumed while its first rows were not committed."""
    pipeline = make_pipeline(mode=Mode.SNAPSHOT, deletes=Deletes.HARD, newest_by=None)
    explained_merge = load._merge

    def merge_and_vacuum(target: Target, *others: Any) -> tuple[int, int]:
        counts = explained_merge(target, *others)
        vacuum(superuser, target.table)
        pages, rows, _ = known(superuser, target.table)
        assert (pages > 0, rows) == (True, 0)
        return counts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "_merge", merge_and_vacuum)
        put_sample(pipeline)
        pipeline.run()
    plans.clear()
    when_staged(lambda target: vacuum(superuser, target.staging))

    entry = pipeline.send("second.csv", pipeline.sample("second.csv", ROWS, seed=2).path.read_bytes())

    assert entry["status"] == "archived"
    assert [is_nested_loop(text) for text in plans] == [False, False]

"""One load per table at a time: only the pipeline can take its row lock, and readers never wait for a change."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ingest_pipeline import direct
from psycopg import errors as pg
from psycopg import sql

from include.contracts.model import Column, ColumnType
from include.errors import Code, RetryableError
from include.ingestion import dataset_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    from ingest_pipeline import Pipeline, Row

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[3]
LOCK = "SELECT FROM ops.dataset_lock WHERE dataset = %s FOR UPDATE"
SHOP = Column("shop", ColumnType.TEXT)


@pytest.fixture
def waiting(pipeline: Pipeline) -> tuple[Pipeline, list[list[int]], str]:
    """A dataset whose table exists, the batches of a second file, and its key."""
    pipeline.send("first.csv", pipeline.sample("first.csv", 20).path.read_bytes())
    key = pipeline.put("second.csv", pipeline.sample("second.csv", 20, start=100).path.read_bytes())
    return pipeline, pipeline.claim(), key


@contextmanager
def session(platform: Platform, role: str) -> Iterator[psycopg.Connection[Row]]:
    with direct(platform.warehouse_config(role)) as connection:
        yield connection


@contextmanager
def holding(pipeline: Pipeline, name: str, connection: psycopg.Connection[Row]) -> Iterator[None]:
    """A session of this name holds the dataset's lock."""
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL application_name = {}").format(sql.Literal(name)))
        connection.execute(LOCK, [pipeline.contract.dataset])
        yield


class Task:
    """A task in a thread. `end` waits for it, and raises its error."""

    def __init__(self, task: Callable[[], Any]) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._future = self._pool.submit(task)

    def ends_within(self, seconds: float) -> bool:
        return bool(wait([self._future], seconds).done)

    def end(self) -> None:
        self._pool.shutdown(wait=False)
        self._future.result(60)


def waits(pipeline: Pipeline, file_id: int) -> list[str]:
    query = (
        "SELECT error_message FROM ops.file_event WHERE file_id = %s AND error_code = 'waiting-for-loader' ORDER BY 1"
    )
    return [row["error_message"] for row in pipeline.sql(query, file_id)]


def test_wait_for_another_load_has_no_limit_and_names_its_file(
    waiting: tuple[Pipeline, list[list[int]], str], platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, batches, key = waiting
    monkeypatch.setattr(dataset_lock, "FIRST_EVENT_SECONDS", 1.5)
    monkeypatch.setattr(dataset_lock, "EVENT_SECONDS", 1.0)
    holder = pipeline.entries()[0]
    ((file_id,),) = batches
    with session(platform, "ingest") as other, holding(pipeline, f"ingest file {holder['file_id']}", other):
        task = Task(lambda: pipeline.ingest(batches))
        assert not task.ends_within(pipeline.settings.lock_timeout_seconds + 3)
    task.end()

    pipeline.settle()
    pipeline.assert_archived(pipeline.entries(key)[0], inserted=20)
    found = waits(pipeline, file_id)
    assert len(found) >= 2
    assert all(f"file {holder['file_id']} ({holder['object_key']})" in text for text in found)
    assert pipeline.events(file_id)[-2:] == ["loaded", "archived"]


def test_real_load_is_named_by_its_own_session(
    waiting: tuple[Pipeline, list[list[int]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, batches, key = waiting
    monkeypatch.setattr(dataset_lock, "FIRST_EVENT_SECONDS", 0.3)
    ((file_id,),) = batches
    slow = pipeline.put("slow.csv", pipeline.sample("slow.csv", 20, start=200).path.read_bytes())
    ((slow_id,),) = pipeline.claim("another run")[-1:]
    from include.ingestion import load

    merge, merging, go_on = load._merge, threading.Event(), threading.Event()

    def slow_merge(*values: Any) -> Any:
        merging.set()
        assert go_on.wait(60)
        return merge(*values)

    monkeypatch.setattr(load, "_merge", slow_merge)
    first = Task(lambda: pipeline.ingest([[slow_id]]))
    assert merging.wait(60)
    monkeypatch.setattr(load, "_merge", merge)
    second = Task(lambda: pipeline.ingest([[file_id]]))
    end = time.monotonic() + 20
    while not waits(pipeline, file_id) and time.monotonic() < end:
        time.sleep(0.1)
    go_on.set()
    first.end()
    second.end()

    assert f"file {slow_id} ({slow})" in waits(pipeline, file_id)[0]
    pipeline.settle()
    pipeline.assert_archived(pipeline.entries(key)[0], inserted=20)


@pytest.mark.parametrize("role", ["ingest", "owner"])
def test_wait_for_a_session_that_loads_nothing_is_bounded(
    waiting: tuple[Pipeline, list[list[int]], str], platform: Platform, role: str
) -> None:
    pipeline, batches, key = waiting
    with session(platform, role) as other, holding(pipeline, "psql", other), pytest.raises(RetryableError) as caught:
        pipeline.ingest(batches)  # ends while the other session still holds the row

    assert caught.value.code is Code.TARGET_LOCKED
    assert pipeline.entries(key)[0]["attempts"] == 0
    pipeline.ingest(batches)
    pipeline.settle()
    pipeline.assert_archived(pipeline.entries(key)[0], inserted=20)


def test_advisory_locks_of_other_roles_block_nothing(
    waiting: tuple[Pipeline, list[list[int]], str], platform: Platform
) -> None:
    """CASES: role reader takes pg_advisory_lock(hashtextextended('raw.x', 0))."""
    pipeline, batches, key = waiting
    dataset = pipeline.contract.dataset
    with session(platform, "reader") as reader:
        for name in (f"raw.{dataset}", f"ensure_dataset:{dataset}", dataset, "names of source files"):
            reader.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
        pipeline.contract = replace(pipeline.contract, columns=(*pipeline.contract.columns, SHOP))
        pipeline.ingest(batches)

    pipeline.settle()
    pipeline.assert_archived(pipeline.entries(key)[0], inserted=20)


@pytest.mark.parametrize("role", ["reader", "transform"])
@pytest.mark.parametrize("strength", ["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"])
@pytest.mark.parametrize("table", ["dataset_lock", "work_lock", "file_ingestion_log"])
def test_reading_roles_cannot_lock_rows_of_the_ledger(platform: Platform, role: str, strength: str, table: str) -> None:
    with session(platform, role) as connection, pytest.raises(pg.InsufficientPrivilege):
        connection.execute(sql.SQL("SELECT FROM ops.{} FOR {}").format(sql.Identifier(table), sql.SQL(strength)))


@pytest.mark.parametrize("role", ["reader", "transform"])
@pytest.mark.parametrize(
    "statement",
    [
        "LOCK TABLE ops.dataset_lock IN ROW SHARE MODE",
        "DELETE FROM ops.dataset_lock",
        "SELECT ops.record_lock_wait(1, 'x')",
        "INSERT INTO ops.work_lock VALUES ('x')",
    ],
)
def test_reading_roles_cannot_touch_the_locks(platform: Platform, role: str, statement: str) -> None:
    with session(platform, role) as connection, pytest.raises(pg.InsufficientPrivilege), connection.transaction():
        connection.execute(statement)


def test_no_code_takes_an_advisory_lock() -> None:
    folders = ("include", "sql/statements", "local", "metabase", "deploy", "dbt", "dags", "plugins", "ml_api")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".sql"}]

    assert files
    assert [
        str(path) for path in files if "pg_advisory" in path.read_text() or "pg_try_advisory" in path.read_text()
    ] == []


# --- schema changes


def widened(pipeline: Pipeline) -> None:
    pipeline.contract = replace(pipeline.contract, version="1.1.0", columns=(*pipeline.contract.columns, SHOP))


def test_new_column_waits_for_a_readers_transaction_and_no_other_reader_waits_for_it(
    waiting: tuple[Pipeline, list[list[int]], str], platform: Platform
) -> None:
    """CASES: a contract gains a column while a reader's transaction is open."""
    pipeline, batches, key = waiting
    widened(pipeline)
    count = sql.SQL("SELECT count(*) AS n FROM {}").format(sql.Identifier("raw", pipeline.contract.dataset))
    with session(platform, "reader") as long_one, session(platform, "reader") as other:
        slowest = 0.0
        with long_one.transaction():
            long_one.execute(count)

            def refused() -> None:
                with pytest.raises(RetryableError) as caught:
                    pipeline.ingest(batches)
                assert caught.value.code is Code.TARGET_LOCKED

            task = Task(refused)
            while not task.ends_within(0.01):
                began = time.monotonic()
                other.execute(count)
                slowest = max(slowest, time.monotonic() - began)
            task.end()
    assert slowest < 1  # the ALTER waits for 0.2 s at a time
    (entry,) = pipeline.entries(key)
    assert (entry["status"], entry["attempts"], entry["error_code"]) == ("claimed", 0, "target-locked")

    pipeline.ingest(batches)
    pipeline.settle()
    pipeline.assert_archived(pipeline.entries(key)[0], inserted=20)


def test_new_column_is_added_once_the_reader_is_done_in_time(
    waiting: tuple[Pipeline, list[list[int]], str], platform: Platform
) -> None:
    pipeline, batches, key = waiting
    widened(pipeline)
    pipeline.settings = pipeline.settings.model_copy(update={"lock_timeout_seconds": 20})
    with session(platform, "reader") as reader, reader.transaction():
        reader.execute(sql.SQL("SELECT 1 FROM {}").format(sql.Identifier("raw", pipeline.contract.dataset)))
        task = Task(lambda: pipeline.ingest(batches))
        assert not task.ends_within(2)
    task.end()

    pipeline.settle()
    pipeline.assert_archived(pipeline.entries(key)[0], inserted=20)


def test_ensure_dataset_takes_the_same_lock(pipeline: Pipeline, platform: Platform) -> None:
    pipeline.send("first.csv", pipeline.sample("first.csv", 20).path.read_bytes())
    ensure = "SELECT ops.ensure_dataset(%s, '[]', ARRAY['sale_id'])"
    with session(platform, "ingest") as one, session(platform, "ingest") as other:
        other.execute("SET lock_timeout = '300ms'")
        with holding(pipeline, "one", one), pytest.raises(pg.LockNotAvailable):
            other.execute(ensure, [pipeline.contract.dataset])
        other.execute(ensure, [pipeline.contract.dataset])


def test_file_that_needs_no_new_column_is_copied_while_another_load_holds_the_lock(
    waiting: tuple[Pipeline, list[list[int]], str], platform: Platform
) -> None:
    """Only merges wait for each other."""
    pipeline, batches, _ = waiting
    with session(platform, "ingest") as other, holding(pipeline, "ingest file 1", other):
        task = Task(lambda: pipeline.ingest(batches))
        end = time.monotonic() + 20
        while not pipeline.staging_tables():
            assert time.monotonic() < end
            time.sleep(0.05)
    task.end()

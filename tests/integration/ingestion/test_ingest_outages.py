"""Locks, broken connections, and outages of warehouse and bucket: a later attempt loads every file completely."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from ingest_pipeline import direct
from psycopg import sql

from include.errors import Code, PermanentError, RetryableError
from include.ingestion import load
from include.ingestion.ledger import Ledger
from include.stores.object_store import ObjectStore
from local.services import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest_pipeline import Pipeline

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration


def sent(pipeline: Pipeline, name: str = "sales.csv", rows: int = 400, **how: Any) -> str:
    return pipeline.put(name, pipeline.sample(name, rows, **how).path.read_bytes())


@contextmanager
def locked_table(pipeline: Pipeline) -> Iterator[None]:
    """Another session holds a lock on the table, as a long ALTER TABLE does."""
    with psycopg.connect(**pipeline.owner.info.get_parameters(), password=pipeline.owner.info.password) as other:
        table = sql.Identifier("raw", pipeline.contract.dataset)
        other.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
        yield


@pytest.fixture
def loaded_once(pipeline: Pipeline) -> Pipeline:
    """A dataset whose table exists, with a second file claimed."""
    pipeline.send("first.csv", pipeline.sample("first.csv", 50).path.read_bytes())
    return pipeline


def test_batch_waits_for_a_locked_table_and_loads_when_it_is_free(loaded_once: Pipeline) -> None:
    key = sent(loaded_once, start=1_000)
    batches = loaded_once.claim()

    with locked_table(loaded_once), pytest.raises(RetryableError) as caught:
        loaded_once.ingest(batches)

    assert (caught.value.code, caught.value.stage) == (Code.TARGET_LOCKED, "load")
    (entry,) = loaded_once.entries(key)
    assert (entry["status"], entry["attempts"], entry["error_code"]) == ("claimed", 0, "target-locked")
    assert loaded_once.count() == 50
    assert loaded_once.staging_tables() == []
    assert loaded_once.settle() == {}
    loaded_once.ingest(batches)
    loaded_once.settle()
    (entry,) = loaded_once.entries(key)
    loaded_once.assert_archived(entry, inserted=400)
    assert (entry["attempts"], entry["error_code"], entry["error_message"]) == (1, None, None)
    loaded_once.assert_tidy()


def test_batch_waits_for_a_locked_table_after_any_number_of_attempts(loaded_once: Pipeline) -> None:
    """Outside failures do not count as attempts of a file: it is tried without limit."""
    keys = [sent(loaded_once, f"{name}.csv", 100, start=start) for name, start in (("a", 1_000), ("b", 2_000))]
    batches = loaded_once.claim()

    with locked_table(loaded_once):
        for _ in range(loaded_once.settings.max_attempts + 2):
            with pytest.raises(RetryableError):
                loaded_once.ingest(batches)
            assert loaded_once.settle() == {}

    waiting = [entry for entry in loaded_once.entries() if entry["object_key"] in keys]
    assert {(entry["status"], entry["attempts"]) for entry in waiting} == {("claimed", 0)}
    assert "target-locked" in {entry["error_code"] for entry in waiting}
    loaded_once.run()
    for key in keys:
        loaded_once.assert_archived(loaded_once.entries(key)[0], inserted=100)
    loaded_once.assert_tidy()


def test_batch_waits_for_a_locked_table_that_must_be_widened(loaded_once: Pipeline) -> None:
    """ALTER TABLE waits for the lock too, under the connection's own timeout."""
    pipeline = loaded_once
    column = replace(pipeline.contract.by_name["customer_name"], name="shop")
    pipeline.contract = replace(pipeline.contract, version="1.1.0", columns=(*pipeline.contract.columns, column))
    pipeline.warehouse = pipeline.warehouse.model_copy(update={"lock_timeout": 1})
    key = sent(pipeline, start=1_000)
    batches = pipeline.claim()

    with locked_table(pipeline), pytest.raises(RetryableError, match="target-locked"):
        pipeline.ingest(batches)

    pipeline.ingest(batches)
    pipeline.settle()
    pipeline.assert_archived(pipeline.entries(key)[0], inserted=400)


def test_loader_waits_its_turn_longer_than_the_lock_timeout(loaded_once: Pipeline) -> None:
    """A wait for another file's merge into the same table has no limit."""
    key = sent(loaded_once, start=1_000)
    batches = loaded_once.claim()
    turn = "SELECT FROM ops.dataset_lock WHERE dataset = %s FOR UPDATE"
    done = threading.Event()
    with direct(loaded_once.warehouse) as other, other.transaction():
        other.execute("SET LOCAL application_name = 'ingest file 4711'")
        other.execute(turn, [loaded_once.contract.dataset])

        def work() -> None:
            loaded_once.ingest(batches)
            done.set()

        worker = threading.Thread(target=work)
        worker.start()
        assert not done.wait(loaded_once.settings.lock_timeout_seconds + 1)
        assert loaded_once.entries(key)[0]["status"] == "processed"
    worker.join(30)

    loaded_once.settle()
    loaded_once.assert_archived(loaded_once.entries(key)[0], inserted=400)


def end_session(ledger: Ledger, pipeline: Pipeline) -> None:
    """End the worker's connection, as an administrator, a failover or a network failure does."""
    pid = ledger._connection.info.backend_pid
    with direct(pipeline.warehouse) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


@pytest.mark.parametrize("moment", ["begun", "validated", "processed", "copied", "merged"])
def test_batch_loses_nothing_when_its_connection_is_ended(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Three times, because three deaths of a worker would quarantine the file, and a lost connection is not one."""
    key = sent(pipeline)
    owner, name = {
        "begun": (Ledger, "begin"),
        "validated": (Ledger, "validated"),
        "processed": (Ledger, "processed"),
        "copied": (Ledger, "quality"),
        "merged": (Ledger, "loaded"),
    }[moment]
    original = getattr(owner, name)

    def then_end(ledger: Ledger, *values: Any, **named: Any) -> Any:
        answer = original(ledger, *values, **named)
        end_session(ledger, pipeline)
        return answer

    for _ in range(3):
        batches = pipeline.claim()
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, then_end)
            with pytest.raises(RetryableError) as caught:
                pipeline.ingest(batches)
        assert caught.value.code is Code.WAREHOUSE_UNAVAILABLE
        assert pipeline.count() == 0
        (entry,) = pipeline.entries(key)
        assert (entry["attempts"], entry["error_code"]) == (0, "warehouse-unavailable")

    pipeline.run()

    (entry,) = pipeline.entries(key)
    pipeline.assert_archived(entry, inserted=400)
    pipeline.assert_tidy()


def test_batch_finds_a_commit_whose_answer_did_not_arrive(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    key = sent(pipeline)
    batches = pipeline.claim()
    original = load._publish

    def commit_without_answer(*values: Any) -> Any:
        original(*values)
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(load, "_publish", commit_without_answer)
        with pytest.raises(RetryableError):
            pipeline.ingest(batches)
    before = pipeline.versions()

    pipeline.ingest(batches)
    pipeline.settle()

    pipeline.assert_archived(pipeline.entries(key)[0], inserted=400)
    assert pipeline.versions() == before
    pipeline.assert_tidy()


@pytest.fixture
def closed_warehouse(platform: Platform) -> Iterator[Any]:
    """Refuses new connections to the warehouse and ends the old ones, as a restart does."""
    with postgres.superuser_connection(platform.settings, platform.credentials) as superuser:
        database = sql.Identifier(postgres.WAREHOUSE)

        @contextmanager
        def closed() -> Iterator[None]:
            superuser.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(database))
            try:
                superuser.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE datname = %s AND usename = 'ingest'",
                    [postgres.WAREHOUSE],
                )
                yield
            finally:
                superuser.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(database))

        yield closed


def test_pipeline_waits_for_a_warehouse_that_is_down(pipeline: Pipeline, closed_warehouse: Any) -> None:
    key = sent(pipeline)
    batches = pipeline.claim()

    with closed_warehouse():
        for step in (pipeline.claim, lambda: pipeline.ingest(batches), pipeline.settle):
            with pytest.raises(RetryableError) as caught:
                step()
            assert caught.value.code is Code.WAREHOUSE_UNAVAILABLE
        assert pipeline.keys("incoming/") == [key]

    pipeline.run()
    pipeline.assert_archived(pipeline.entries(key)[0], inserted=400)


def test_file_waits_when_the_warehouse_goes_down_in_the_middle_of_its_load(
    pipeline: Pipeline, closed_warehouse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger is unavailable too, so nothing can be noted: the file waits until a run reaches both."""
    key = sent(pipeline)
    batches = pipeline.claim()
    original = load._copy

    with monkeypatch.context() as patch:

        def copy(*values: Any) -> None:
            original(*values)
            closing.__enter__()

        patch.setattr(load, "_copy", copy)
        closing = closed_warehouse()
        try:
            with pytest.raises(RetryableError) as caught:
                pipeline.ingest(batches)
        finally:
            closing.__exit__(None, None, None)
    assert caught.value.code is Code.WAREHOUSE_UNAVAILABLE
    assert pipeline.keys("incoming/") == [key]

    pipeline.run()

    pipeline.assert_archived(pipeline.entries(key)[0], inserted=400)
    pipeline.assert_tidy()


def test_pipeline_waits_for_a_bucket_that_is_unavailable(pipeline: Pipeline) -> None:
    key = sent(pipeline)
    batches = pipeline.claim()
    there = pipeline.s3
    pipeline.s3 = there.model_copy(update={"endpoint_url": "http://127.0.0.1:9"})

    with pytest.raises(RetryableError) as caught:
        pipeline.ingest(batches)

    assert caught.value.code is Code.BUCKET_UNAVAILABLE
    (entry,) = pipeline.entries(key)
    assert (entry["attempts"], entry["error_code"], entry["stage"]) == (0, "bucket-unavailable", "validate")
    pipeline.s3 = there
    pipeline.run()
    pipeline.assert_archived(pipeline.entries(key)[0], inserted=400)


@pytest.mark.parametrize("call", ["copy", "put"])
def test_settle_repeats_a_failed_move_and_settles_the_other_files(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    pipeline.put("bad.csv", "sale_id\nS1\n")
    pipeline.put("worse.csv", "sale_id\nS2\n")
    good = sent(pipeline)
    pipeline.ingest(pipeline.claim())
    original = getattr(ObjectStore, call)

    def fail_on_one(self: ObjectStore, bucket: str, key: Any, *others: Any) -> Any:
        if "bad.csv" in str(key):
            raise RetryableError(Code.BUCKET_UNAVAILABLE, "The store does not answer.")
        return original(self, bucket, key, *others)

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, call, fail_on_one)
        with pytest.raises(RetryableError):
            pipeline.settle()

    assert [e["object_key"] for e in pipeline.entries() if e["settled_at"] is None] == [good.replace("sales.", "bad.")]
    assert pipeline.settle() == {"validation_failed": 1}
    pipeline.assert_refused(pipeline.entries()[0], "missing-columns")
    pipeline.assert_tidy()


def test_wrong_passwords_are_permanent_errors(pipeline: Pipeline) -> None:
    """A retry does not help."""
    sent(pipeline)
    warehouse, s3 = pipeline.warehouse, pipeline.s3
    wrong = type(warehouse.password)("wrong")
    pipeline.warehouse = warehouse.model_copy(update={"password": wrong})
    with pytest.raises(PermanentError, match="refused"):
        pipeline.claim()
    pipeline.warehouse = warehouse
    pipeline.s3 = s3.model_copy(update={"secret_access_key": wrong})
    with pytest.raises(PermanentError, match="check key, secret and rights"):
        pipeline.claim()

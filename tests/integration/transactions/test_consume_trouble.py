"""The ML service, the warehouse or the broker fails: nothing is lost, and a later run finishes the work."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from faulty_ml_service import Mode, category_of
from ingest_pipeline import direct
from topic_pipeline import message, messages, transaction

from include.errors import Code, PermanentError, RetryableError
from include.ingestion import load
from include.ingestion.ledger import Ledger
from include.streams.batch_consumer import BatchConsumer

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import MakeTopic
    from faulty_ml_service import FaultyMlService
    from real_broker import Broker
    from topic_pipeline import TopicPipeline

pytestmark = pytest.mark.integration


def with_faulty(make_topic: MakeTopic, faulty: FaultyMlService, **ml_service: Any) -> TopicPipeline:
    settings = {"url": faulty.url, "batch_size": 10, **ml_service}
    return make_topic(ml_service=settings, settings={"max_attempts": 1})


# The ML service


@pytest.mark.parametrize("mode", [Mode.SLOW, Mode.EVERY_THIRD_FAILS])
def test_messages_are_loaded_despite_a_service_that_is(
    make_topic: MakeTopic, faulty: FaultyMlService, mode: Mode
) -> None:
    # Of four parallel requests, every third answer may by chance belong to the same one, three times.
    pipeline = with_faulty(make_topic, faulty, attempts=10)
    pipeline.produce(messages(100))
    faulty.mode = mode

    pipeline.consume()

    pipeline.assert_rows(range(100), category_of)
    assert faulty.calls >= (10 if mode is Mode.SLOW else 14)
    pipeline.assert_settled()


def test_message_without_a_category_waits_in_the_topic(make_topic: MakeTopic, faulty: FaultyMlService) -> None:
    """One message with one attempt: an outage does not count as a death of its worker."""
    pipeline = with_faulty(make_topic, faulty)
    pipeline.produce([message(1)])

    for mode in (Mode.DOWN, Mode.GARBAGE, Mode.NO_CATEGORY):
        faulty.mode = mode
        with pytest.raises(RetryableError) as caught:
            pipeline.consume()
        assert (caught.value.code, caught.value.stage) == (Code.SERVICE_UNAVAILABLE, "process")
        assert (pipeline.rows(), pipeline.letters(), pipeline.committed()) == ({}, [], {0: 0})
        (entry,) = pipeline.entries()
        assert (entry["status"], entry["attempts"], entry["error_code"]) == ("claimed", 0, "service-unavailable")

    faulty.mode = Mode.HEALTHY
    pipeline.consume()

    pipeline.assert_rows([1], category_of)
    (entry,) = pipeline.assert_settled()
    assert (entry["error_code"], entry["attempts"]) == (None, 1)
    assert pipeline.committed() == {0: 1}


def test_open_circuit_is_an_error_and_publishes_no_dead_letters(make_topic: MakeTopic, faulty: FaultyMlService) -> None:
    """Otherwise the dead letters of a batch that does not load would be published again at each try."""
    pipeline = with_faulty(make_topic, faulty, circuit_failures=2, circuit_reset_seconds=0.2, requests_at_once=1)
    pipeline.produce([*messages(20), b"bad"])
    faulty.mode = Mode.DOWN
    with pytest.raises(RetryableError) as caught:
        pipeline.consume()
    assert caught.value.code is Code.CIRCUIT_OPEN
    assert pipeline.letters() == []

    faulty.mode = Mode.HEALTHY
    pipeline.consume()

    pipeline.assert_rows(range(20), category_of)
    assert len(pipeline.letters()) == 1
    pipeline.assert_settled()


def test_service_is_asked_only_about_rows_that_are_loaded(make_topic: MakeTopic, faulty: FaultyMlService) -> None:
    pipeline = with_faulty(make_topic, faulty, batch_size=1000)
    newer = message(3, timestamp="2026-03-02T00:00:00Z", description="newer")
    pipeline.produce([*messages(10), message(10, side="sideways"), newer, message(3, amount=1), b"{}", None])

    pipeline.consume()

    assert faulty.calls == 1
    asked = faulty.last_request["transactions"]
    assert sorted(one["id"] for one in asked) == sorted(transaction(number)["id"] for number in range(10))
    assert [one["description"] for one in asked if one["id"] == transaction(3)["id"]] == ["newer"]
    pipeline.assert_rows(range(10), category_of)


# The warehouse


MOMENTS: dict[str, tuple[Any, str]] = {
    "validated": (Ledger, "validated"),
    "processed": (Ledger, "processed"),
    "merged": (Ledger, "loaded"),
    "committed": (load, "_publish"),
}


def test_message_is_loaded_after_the_connection_to_the_warehouse_was_ended(
    make_topic: MakeTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message with one attempt: a closed connection does not count as a death of its worker."""
    pipeline = make_topic(settings={"max_attempts": 1})
    pipeline.produce([message(1)])

    for moment, (owner, name) in MOMENTS.items():
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, then_end_the_session(getattr(owner, name), pipeline))
            with pytest.raises(RetryableError) as caught:
                pipeline.consume()
        assert caught.value.code is Code.WAREHOUSE_UNAVAILABLE
        assert pipeline.committed() == {0: 0}
        assert len(pipeline.rows()) == (1 if moment == "committed" else 0)

    pipeline.consume()

    pipeline.assert_rows([1])
    assert pipeline.letters() == []
    assert pipeline.committed() == {0: 1}
    pipeline.assert_settled()


def then_end_the_session(original: Callable[..., Any], pipeline: TopicPipeline) -> Callable[..., Any]:
    """Wrap the function: after it the worker's connection is ended, as by a restart."""

    def then_end(*values: Any, **named: Any) -> Any:
        answer = original(*values, **named)
        connection = values[0]._connection if isinstance(values[0], Ledger) else values[0].stores.connection
        with direct(pipeline.warehouse) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
        return answer

    return then_end


def test_other_partitions_of_the_same_call_are_read_again_after_an_error(
    make_topic: MakeTopic, faulty: FaultyMlService
) -> None:
    pipeline = with_faulty(make_topic, faulty)
    pipeline = replace(pipeline, partitions=2)
    pipeline.produce(messages(5), 0)
    pipeline.produce(messages(5, 5), 1)
    faulty.mode = Mode.FAILING
    with pytest.raises(RetryableError):
        pipeline.consume()
    faulty.mode = Mode.HEALTHY

    assert pipeline.consume().messages == 10

    pipeline.assert_rows(range(10), category_of)
    pipeline.assert_settled()


# Another consumer


def test_table_that_differs_from_the_contract_stops_the_batch_without_dead_letters(
    pipeline: TopicPipeline,
) -> None:
    pipeline.produce(messages(20))
    pipeline.consume()
    pipeline.sql("ALTER TABLE {table} ALTER COLUMN amount TYPE numeric(20,6)")
    pipeline.produce(messages(20, 20))

    with pytest.raises(PermanentError) as caught:
        pipeline.consume()

    assert caught.value.code is Code.TABLE_DIFFERS
    assert pipeline.letters() == []
    assert pipeline.committed() == {0: 20}
    kind = pipeline.contract.by_name["amount"].postgres_type
    pipeline.sql(f"ALTER TABLE {{table}} ALTER COLUMN amount TYPE {kind}")
    pipeline.consume()
    pipeline.assert_rows(range(40))
    pipeline.assert_settled()


def test_batch_that_another_worker_has_begun_meanwhile_is_read_again(
    pipeline: TopicPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the partition is still assigned, the same run finishes the batch."""
    pipeline.produce(messages(10))
    original = Ledger.validated
    calls = []

    def begun_by_another(ledger: Ledger, entry: Any, result: Any) -> None:
        if not calls:
            pipeline.sql("UPDATE ops.file_ingestion_log SET attempts = 2 WHERE file_id = %s", entry.file_id)
        calls.append(entry.attempts)
        original(ledger, entry, result)

    monkeypatch.setattr(Ledger, "validated", begun_by_another)

    result = pipeline.consume()

    assert (calls, result.batches) == ([1, 3], {"loaded": 1})
    pipeline.assert_rows(range(10))
    assert pipeline.committed() == {0: 10}
    pipeline.assert_settled()


# The broker


def test_consumer_continues_after_a_restart_without_topics(pipeline: TopicPipeline, broker: Broker) -> None:
    pipeline.produce(messages(10))
    pipeline.consume()

    broker.restart()
    assert pipeline.consume().batches == {}
    pipeline.produce(messages(5, 7))
    pipeline.consume()

    pipeline.assert_rows(range(12))
    first, second = pipeline.assert_settled()
    assert (first["last_offset"], second["last_offset"]) == (9, 4)
    assert (second["rows_inserted"], second["rows_unchanged"]) == (2, 3)
    assert pipeline.committed() == {0: 5}


def test_rows_stay_when_the_broker_restarts_before_the_commit(
    pipeline: TopicPipeline, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.produce(messages(10))
    original = BatchConsumer.commit

    def commit(consumer: BatchConsumer, batch: Any) -> bool:
        broker.restart()
        return original(consumer, batch)

    with monkeypatch.context() as patch:
        patch.setattr(BatchConsumer, "commit", commit)
        with suppress(RetryableError):
            pipeline.consume()
    pipeline.produce(messages(10, 10))
    pipeline.consume()

    pipeline.assert_rows(range(20))
    pipeline.assert_settled()
    assert pipeline.committed() == {0: 10}

"""From a topic to rows: which rows are loaded, how often, in which version, and the ledger's entries."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from topic_pipeline import message, messages, transaction

if TYPE_CHECKING:
    from conftest import MakeTopic
    from topic_pipeline import TopicPipeline

pytestmark = pytest.mark.integration


def test_messages_become_rows_with_a_category_and_an_archived_entry(pipeline: TopicPipeline) -> None:
    pipeline.produce(messages(500))

    result = pipeline.consume("run-7")

    assert (result.batches, result.messages, result.rows, result.dead_letters) == ({"loaded": 1}, 500, 500, 0)
    rows = pipeline.assert_rows(range(500))
    row = rows[transaction(3)["id"]]
    assert (row["description"], float(row["amount"]), row["merchant"]) == ("Payment 3", 3.5, "Corner Bakery")
    assert row["timestamp"] == datetime(2026, 3, 1, 8, 15, 30, tzinfo=UTC)
    (entry,) = pipeline.assert_settled()
    assert (entry["partition"], entry["first_offset"], entry["last_offset"]) == (0, 0, 499)
    assert (entry["rows_read"], entry["rows_inserted"], entry["attempts"]) == (500, 500, 1)
    assert (entry["dag_id"], entry["run_id"], entry["format"]) == ("consume_test", "run-7", "ndjson")
    assert (row["_file_id"], row["_source_row"]) == (entry["file_id"], 4)
    assert pipeline.committed() == {0: 500}
    assert pipeline.letters() == []


@pytest.mark.parametrize("exists", [True, False], ids=["empty topic", "no such topic"])
def test_empty_topic_makes_no_entry(pipeline: TopicPipeline, exists: bool) -> None:
    if exists:
        pipeline.make_topic()

    result = pipeline.consume()

    assert (result.batches, result.messages) == ({}, 0)
    assert pipeline.entries() == []


# Repeated messages


def test_first_message_of_a_recreated_topic_is_loaded(make_topic: MakeTopic) -> None:
    """It has the offset and the value of the old topic's first message: the message that is read last wins."""
    pipeline = make_topic(newest_by=None)
    for description in ("first", "second"):
        pipeline.produce([message(1, description=description)])
        pipeline.consume()

    pipeline.delete_topic()
    pipeline.produce([message(1, description="first")])
    pipeline.consume()

    assert [row["description"] for row in pipeline.rows().values()] == ["first"]
    assert [entry["rows_updated"] for entry in pipeline.assert_settled()] == [0, 1, 1]
    pipeline.reset()
    assert pipeline.consume().batches == {"loaded before": 1}
    assert pipeline.committed() == {0: 1}


def test_group_that_is_reset_to_the_beginning_changes_no_row(make_topic: MakeTopic) -> None:
    """The same batches are known by their content; with other batches the merge finds only unchanged rows."""
    pipeline = make_topic(streams={"batch_messages": 50})
    pipeline.produce(messages(100))
    pipeline.consume()
    before = pipeline.rows()

    pipeline.reset()
    again = pipeline.consume()
    pipeline.reset()
    pipeline.streams = pipeline.streams.model_copy(update={"batch_messages": 80})
    other_batches = pipeline.consume()

    assert (again.batches, again.rows) == ({"loaded before": 2}, 0)
    assert other_batches.batches == {"loaded": 2}
    assert pipeline.rows() == before
    assert pipeline.committed() == {0: 100}
    pipeline.assert_settled()
    outcomes = [(e["first_offset"], e["status"], e["rows_unchanged"]) for e in pipeline.entries()]
    assert outcomes == [
        (0, "archived", 0), (0, "duplicate", None), (0, "archived", 80),
        (50, "archived", 0), (50, "duplicate", None),
        (80, "archived", 20),
    ]  # fmt: skip


def test_messages_that_were_produced_twice_are_rows_once(make_topic: MakeTopic) -> None:
    pipeline = make_topic(streams={"batch_messages": 60})
    pipeline.produce([*messages(50), *messages(10), *messages(40, 10)])

    pipeline.consume()

    pipeline.assert_rows(range(50))
    counts = [
        [entry[f"rows_{name}"] for name in ("read", "inserted", "duplicate", "unchanged")]
        for entry in pipeline.assert_settled()
    ]
    assert counts == [[60, 50, 10, 0], [40, 0, 0, 40]]


VERSIONS = {  # of one transaction, in the order of sending; and the one in the table afterwards
    "in order": (["08:00", "09:00"], "09:00"),
    "older one late": (["09:00", "08:00"], "09:00"),
    "newest in the middle": (["08:00", "10:00", "09:00"], "10:00"),
    "the same twice": (["08:00", "08:00"], "08:00"),
}


@pytest.mark.parametrize("batch_messages", [1000, 1], ids=["within a batch", "over batches"])
def test_newest_version_of_a_row_stays(make_topic: MakeTopic, batch_messages: int) -> None:
    pipeline = make_topic(streams={"batch_messages": batch_messages})
    pipeline.produce(
        message(number, timestamp=f"2026-03-01T{version}:00Z", description=version)
        for number, (versions, _) in enumerate(VERSIONS.values())
        for version in versions
    )

    pipeline.consume()

    rows = pipeline.assert_rows(range(len(VERSIONS)))
    stayed = {case: rows[transaction(number)["id"]]["description"] for number, case in enumerate(VERSIONS)}
    assert stayed == {case: stays for case, (_, stays) in VERSIONS.items()}
    pipeline.assert_settled()


# Several partitions, several consumers


def test_partitions_are_consumed_together_in_bounded_batches(make_topic: MakeTopic) -> None:
    pipeline = make_topic(partitions=3, streams={"batch_messages": 30})
    for partition in range(3):
        pipeline.produce(messages(50, partition * 50), partition)

    result = pipeline.consume()

    assert result.batches == {"loaded": 6}
    pipeline.assert_rows(range(150))
    ranges = [(entry["partition"], entry["first_offset"], entry["last_offset"]) for entry in pipeline.assert_settled()]
    assert ranges == [(number, *offsets) for number in range(3) for offsets in ((0, 29), (30, 49))]
    assert pipeline.committed() == {0: 50, 1: 50, 2: 50}


def test_two_consumers_of_a_group_share_the_partitions_and_load_each_row_once(make_topic: MakeTopic) -> None:
    """They also create the table at the same time."""
    pipeline = make_topic(partitions=2, streams={"batch_messages": 100})
    for partition in range(2):
        pipeline.produce(messages(500, partition * 500), partition)
    start = threading.Barrier(2, timeout=30)
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            with pipeline.consumer(name) as consumer:
                consumer.consumer.join()
                start.wait()
                consumer.consume()
        except BaseException as error:
            failures.append(error)
            raise

    workers = [threading.Thread(target=work, args=(f"worker-{at}",)) for at in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)

    assert failures == []
    pipeline.assert_rows(range(1000))
    entries = pipeline.assert_settled()
    assert sum(entry["rows_inserted"] for entry in entries) == 1000
    assert {entry["partition"] for entry in entries} == {0, 1}
    assert pipeline.committed() == {0: 500, 1: 500}


def test_twenty_thousand_messages_each_get_their_own_category(pipeline: TopicPipeline) -> None:
    """They need several record batches and several parallel requests."""
    pipeline.produce(messages(20_000))

    assert pipeline.consume().rows == 20_000

    pipeline.assert_rows(range(20_000))
    pipeline.assert_settled()

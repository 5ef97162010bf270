"""Deletes, offsets that retention removed, and a dead letter topic that another program created."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from topic_pipeline import message, messages, transaction

from include.streams import batch_consumer
from include.streams.broker import commit, ensure_topic
from include.streams.consume import TopicConsumer
from include.streams.dead_letters import dead_letter_topic
from include.streams.offsets import group_lag, partition_offsets
from include.streams.topics import topic_options

if TYPE_CHECKING:
    from conftest import MakeTopic
    from topic_pipeline import Row, TopicPipeline

pytestmark = pytest.mark.integration


def counts(entry: Row) -> tuple[Any, ...]:
    return entry["status"], entry["rows_read"], entry["rows_inserted"], entry["rows_rejected"], entry["deletes_ignored"]


# Deletes


def test_deletes_are_counted_separately_and_the_messages_load(pipeline: TopicPipeline) -> None:
    values = [value for number in range(10) for value in (*messages(10, 10 * number), None)]
    pipeline.produce(values)

    done = pipeline.consume()

    (entry,) = pipeline.assert_settled()
    assert counts(entry) == ("archived", 100, 100, 0, 10)
    assert (done.messages, done.deletes_ignored, done.dead_letters) == (110, 10, 0)
    pipeline.assert_rows(range(100))
    assert pipeline.letters() == []
    assert pipeline.committed() == {0: 110}


def test_batch_of_deletes_alone_is_loaded_with_no_row(pipeline: TopicPipeline) -> None:
    pipeline.produce([None] * 3)

    done = pipeline.consume()

    (entry,) = pipeline.assert_settled()
    assert counts(entry) == ("archived", 0, 0, 0, 3)
    assert (done.batches["deletes ignored"], done.messages) == (1, 3)
    pipeline.produce([None, *messages(1), None])
    pipeline.consume()
    assert [counts(entry) for entry in pipeline.assert_settled()][1] == ("archived", 1, 1, 0, 2)
    assert pipeline.committed() == {0: 6}


def test_bad_message_after_deletes_is_the_dead_letter(pipeline: TopicPipeline) -> None:
    bad = message(5, side="sideways")
    pipeline.produce([None, None, *messages(3), None, bad, *messages(1, 3)])

    pipeline.consume()

    (entry,) = pipeline.assert_settled()
    assert counts(entry) == ("archived", 5, 4, 1, 3)
    (letter,) = pipeline.letters()
    assert (letter.value, letter.headers["dlq-source-offset"]) == (bad, "6")


def test_deletes_do_not_count_in_the_error_budget(make_topic: MakeTopic) -> None:
    """Of 20 records 10 % are bad, of 120 messages under 2 %: the budget of 5 % is judged on the records."""
    pipeline = make_topic(streams={"threshold_messages": 20})
    pipeline.produce([*messages(18), message(50, side="no"), message(51, side="no"), *[None] * 100])

    with pytest.raises(Exception, match="error-budget-exceeded"):
        pipeline.consume()

    pipeline.consume(ignore_threshold=True)
    pipeline.assert_rows(range(18))
    assert [entry["deletes_ignored"] for entry in pipeline.assert_settled()] == [100]


def test_delete_does_not_delete_the_row_of_its_key(pipeline: TopicPipeline) -> None:
    pipeline.produce([message(1), None])
    pipeline.consume()
    pipeline.assert_rows([1])


# Messages that were removed before they were read


def removed(pipeline: TopicPipeline) -> list[tuple[Any, ...]]:
    return [
        (entry["partition"], entry["first_offset"], entry["last_offset"], entry["status"], entry["settled_at"] is None)
        for entry in pipeline.entries()
        if entry["error_code"] == "messages-removed"
    ]


@pytest.fixture
def retention(pipeline: TopicPipeline, monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """The low watermark by partition. The embedded broker removes nothing: only its answer is changed."""
    low: dict[int, int] = {}

    def changed(*asked: Any) -> Any:
        return [replace(offsets, low=low.get(offsets.partition, offsets.low)) for offsets in partition_offsets(*asked)]

    monkeypatch.setattr(batch_consumer, "partition_offsets", changed)
    return low


def test_removed_offsets_are_noted_once_in_the_ledger(pipeline: TopicPipeline, retention: dict[int, int]) -> None:
    pipeline.produce(messages(10))
    pipeline.consume()
    pipeline.produce(messages(10, 10))
    retention[0] = 15

    done = pipeline.consume()

    pipeline.assert_rows([*range(10), *range(15, 20)])
    assert removed(pipeline) == [(0, 10, 14, "validation_failed", False)]
    assert [str(one) for one in done.removed] == ["partition 0: 10 to 14"]
    (entry,) = [entry for entry in pipeline.entries() if entry["error_code"] == "messages-removed"]
    assert "offsets 10 to 14 (5 messages at most)" in entry["error_message"]
    assert pipeline.consume().removed == []
    assert len(removed(pipeline)) == 1
    assert pipeline.committed() == {0: 20}


def test_removed_offsets_up_to_the_end_are_noted_and_leave_no_lag(
    pipeline: TopicPipeline, retention: dict[int, int]
) -> None:
    pipeline.produce(messages(10))
    pipeline.consume()
    pipeline.produce(messages(5, 10))
    retention[0] = 15

    assert pipeline.consume().messages == 0

    assert removed(pipeline) == [(0, 10, 14, "validation_failed", False)]
    assert pipeline.committed() == {0: 15}
    assert group_lag(pipeline.kafka, pipeline.topic, pipeline.group) == 0


def test_removed_offsets_are_noted_once_by_a_run_that_died_and_the_next(
    pipeline: TopicPipeline, retention: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.produce(messages(20))
    commit_position(pipeline, 10)
    retention[0] = 15

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TopicConsumer, "_claim", die)
        with pytest.raises(KeyboardInterrupt):
            pipeline.consume()
    retention[0] = 17
    pipeline.consume()

    assert removed(pipeline) == [(0, 10, 14, "validation_failed", False), (0, 15, 16, "validation_failed", False)]
    pipeline.assert_rows(range(17, 20))


@pytest.mark.parametrize("low", [0, 10], ids=["nothing removed", "only what was read"])
def test_nothing_is_noted_if_no_unread_message_was_removed(
    pipeline: TopicPipeline, retention: dict[int, int], low: int
) -> None:
    pipeline.produce(messages(20))
    commit_position(pipeline, 10)
    retention[0] = low
    assert pipeline.consume().removed == []
    assert removed(pipeline) == []
    pipeline.assert_rows(range(10, 20))


def test_group_without_a_commit_has_no_removed_offsets(pipeline: TopicPipeline, retention: dict[int, int]) -> None:
    pipeline.produce(messages(20))
    retention[0] = 15
    assert pipeline.consume().removed == []
    pipeline.assert_rows(range(15, 20))


def commit_position(pipeline: TopicPipeline, offset: int) -> None:
    from confluent_kafka import TopicPartition

    commit(pipeline.kafka, pipeline.group, TopicPartition(pipeline.topic, 0, offset))


# The dead letter topic


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"retention.ms": "-1", "max.message.bytes": str(64 * 1024**2)}),
        (
            {"retention.ms": "604800000", "retention.bytes": "1000", "cleanup.policy": "compact"},
            {
                "retention.ms": "-1", "max.message.bytes": str(64 * 1024**2), "retention.bytes": "-1",
                "cleanup.policy": "delete",
            },
        ),
        (
            {"retention.ms": "-1", "max.message.bytes": str(128 * 1024**2)},
            {"retention.ms": "-1", "max.message.bytes": str(128 * 1024**2)},
        ),
    ],
    ids=["the broker's defaults", "options that remove letters", "larger than required"],
)  # fmt: skip
def test_dead_letter_topic_of_another_program_is_corrected_by_a_run(
    pipeline: TopicPipeline, options: dict[str, str], expected: dict[str, str]
) -> None:
    ensure_topic(pipeline.kafka, dead_letter_topic(pipeline.topic), 1, options)
    pipeline.produce(messages(1))
    pipeline.consume()
    assert topic_options(pipeline.kafka, dead_letter_topic(pipeline.topic)) == expected


def test_run_without_bad_messages_creates_no_dead_letter_topic(pipeline: TopicPipeline) -> None:
    pipeline.produce([message(1), None])
    pipeline.consume()
    assert topic_options(pipeline.kafka, dead_letter_topic(pipeline.topic)) is None


# Content of messages


def test_key_twice_in_an_object_is_a_dead_letter_and_the_others_load(pipeline: TopicPipeline) -> None:
    twice = message(1)[:-1] + b', "amount": 31}'
    pipeline.produce([message(0), twice, message(2)])
    pipeline.consume()
    assert [(letter.value, letter.code) for letter in pipeline.letters()] == [(twice, "duplicate-columns")]
    pipeline.assert_rows([0, 2])
    assert transaction(1)["id"] not in pipeline.rows()

"""Batches from the real broker: limits, commits, killed consumers, rebalances, restarts."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import TopicPartition
from real_broker import values

from include.errors import Code, PermanentError, RetryableError
from include.settings import KafkaConfig, StreamSettings
from include.streams import batch_consumer
from include.streams import broker as broker_module
from include.streams import commits as commits_module
from include.streams.batch_consumer import BatchConsumer
from include.streams.broker import commit, ensure_topic
from include.streams.offsets import group_lag

if TYPE_CHECKING:
    from real_broker import Broker

    from include.streams.messages import MessageBatch

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[3]


def numbered(count: int, start: int = 0) -> list[bytes]:
    return [f"{number}".encode() for number in range(start, start + count)]


def consume_all(consumer: BatchConsumer) -> list[MessageBatch]:
    """Poll and commit every batch until the topic is drained."""
    consumed: list[MessageBatch] = []
    while batches := consumer.poll():
        consumed += batches
        assert [consumer.commit(batch) for batch in batches] == [True] * len(batches)
    return consumed


def test_batches_hold_one_partition_each_in_order_and_leave_no_lag_once_committed(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    ensure_topic(broker.config, topic, 2)
    broker.send(topic, numbered(1000), b"a")
    broker.send(topic, numbered(500), b"d")
    with BatchConsumer(broker.config, topic, topic, streams) as consumer:
        batches = consumer.poll()
        assert consumer.partitions == {0, 1}
        assert sorted(len(batch) for batch in batches) == [500, 1000]
        for batch in batches:
            assert values([batch]) == numbered(len(batch))
            assert [message.offset for message in batch.messages] == list(range(len(batch)))
            assert {(message.topic, message.partition) for message in batch.messages} == {(topic, batch.partition)}
            assert consumer.commit(batch)
        assert consumer.poll() == []
    assert group_lag(broker.config, topic, topic) == 0


def test_a_message_arrives_as_it_was_sent(broker: Broker, topic: str, streams: StreamSettings) -> None:
    from include.streams.publish import publisher

    ensure_topic(broker.config, topic, 1)
    with publisher(broker.config, topic) as publishing:
        publishing.send(b"\x00\xff", b"\x01", [("h", b"\xfe"), ("h", None)])
        publishing.send(None)
        publishing.flush()
    with BatchConsumer(broker.config, topic, topic, streams) as consumer:
        ((first, second),) = [batch.messages for batch in consumer.poll()]
    assert first[4:] == (b"\x01", b"\x00\xff", (("h", b"\xfe"), ("h", None)))
    assert first.timestamp_ms > 1_700_000_000_000
    assert second[4:] == (None, None, ())


def test_uncommitted_messages_are_delivered_again_with_the_same_hash(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    ensure_topic(broker.config, topic, 1)
    broker.send(topic, numbered(100))
    hashes = []
    for _ in range(2):
        with BatchConsumer(broker.config, topic, topic, streams) as consumer:
            hashes.append([batch.sha256 for batch in consumer.poll()])
    assert hashes[0] == hashes[1]
    assert len(hashes[0]) == 1


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [
        ({"batch_messages": 40}, [40, 40, 20]),
        ({"batch_bytes": 300}, [30, 30, 30, 10]),
    ],
    ids=["messages", "bytes"],
)
def test_batches_keep_to_their_limits(
    broker: Broker, topic: str, streams: StreamSettings, limits: dict[str, int], sizes: list[int]
) -> None:
    ensure_topic(broker.config, topic, 1)
    broker.send(topic, [b"0123456789"] * 100)
    with BatchConsumer(broker.config, topic, topic, streams.model_copy(update=limits)) as consumer:
        consumed = consume_all(consumer)
    assert [len(batch) for batch in consumed] == sizes
    assert [message.offset for batch in consumed for message in batch.messages] == list(range(100))


def test_a_partition_that_runs_far_ahead_is_paused_and_loses_nothing(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    ensure_topic(broker.config, topic, 2)
    broker.send(topic, numbered(30_000), b"a")
    broker.send(topic, numbered(1000), b"d")
    with BatchConsumer(broker.config, topic, topic, streams.model_copy(update={"batch_messages": 900})) as consumer:
        consumed = consume_all(consumer)
    by_partition = [
        [m for batch in consumed if batch.partition == number for m in values([batch])] for number in (0, 1)
    ]
    assert sorted(by_partition, key=len) == [numbered(1000), numbered(30_000)]


def test_a_callers_limit_holds_for_its_batch_alone(broker: Broker, topic: str, streams: StreamSettings) -> None:
    ensure_topic(broker.config, topic, 1)
    broker.send(topic, numbered(100))
    limits = {(0, 0): 10, (0, 10): 0, (0, 11): 1000}
    with BatchConsumer(broker.config, topic, topic, streams.model_copy(update={"batch_messages": 50})) as consumer:
        sizes = []
        while batches := consumer.poll(lambda partition, offset: limits.get((partition, offset), 50)):
            sizes += [len(batch) for batch in batches]
    assert sizes == [10, 1, 50, 39]


def test_return_batch_makes_poll_read_it_again_in_halves(broker: Broker, topic: str, streams: StreamSettings) -> None:
    ensure_topic(broker.config, topic, 1)
    broker.send(topic, numbered(100))
    with BatchConsumer(broker.config, topic, topic, streams.model_copy(update={"batch_messages": 80})) as consumer:
        (first,) = consumer.poll()
        consumer.return_batch(first)
        (half,) = consumer.poll(lambda _partition, _offset: 40)
        assert values([half]) == numbered(40)
        assert consumer.commit(half)
        assert values(consume_all(consumer)) == numbered(60, start=40)


def test_commit_and_return_batch_refuse_the_wrong_order(broker: Broker, topic: str, streams: StreamSettings) -> None:
    ensure_topic(broker.config, topic, 1)
    broker.send(topic, numbered(20))
    with BatchConsumer(broker.config, topic, topic, streams.model_copy(update={"batch_messages": 10})) as consumer:
        (first,), (second,) = consumer.poll(), consumer.poll()
        with pytest.raises(ValueError, match="before 10"):
            consumer.commit(second)
        with pytest.raises(ValueError, match="after 9"):
            consumer.return_batch(first)
        consumer.return_batch(second)
        consumer.return_batch(first)
        assert values(consume_all(consumer)) == numbered(20)


def test_later_messages_are_polled_by_the_same_consumer(broker: Broker, topic: str, streams: StreamSettings) -> None:
    ensure_topic(broker.config, topic, 2)
    with BatchConsumer(broker.config, topic, topic, streams) as consumer:
        for start in (0, 10, 20):
            assert consumer.poll() == []
            broker.send(topic, numbered(10, start), b"k")
            assert values(consume_all(consumer)) == numbered(10, start)


def test_a_missing_topic_is_empty_and_not_created_and_found_once_it_exists(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    with BatchConsumer(broker.config, topic, topic, streams) as consumer:
        assert consumer.poll() == []
        assert topic not in broker.topics()
        ensure_topic(broker.config, topic, 1)
        broker.send(topic, numbered(3))
        while not (batches := consumer.poll()):
            pass
        assert values(batches) == numbered(3)


def test_a_killed_consumers_messages_go_to_the_next_one(broker: Broker, topic: str, streams: StreamSettings) -> None:
    ensure_topic(broker.config, topic, 2)
    broker.send(topic, numbered(100))
    victim = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("holding_consumer.py")), broker.config.bootstrap_servers, topic,
         topic],
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, text=True,
    )  # fmt: skip
    try:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "100\n"
    finally:
        victim.kill()
        victim.wait()
    with BatchConsumer(broker.config, topic, topic, streams) as consumer:
        consumed = consume_all(consumer)
    assert sorted(values(consumed), key=int) == numbered(100)


def test_a_second_consumer_gets_its_share_and_uncommitted_messages_are_delivered_again(
    broker: Broker, topic: str, streams: StreamSettings, caplog: pytest.LogCaptureFixture
) -> None:
    ensure_topic(broker.config, topic, 2)
    broker.send(topic, numbered(100))
    halves = streams.model_copy(update={"batch_messages": 10})
    with ExitStack() as stack:
        one = stack.enter_context(BatchConsumer(broker.config, topic, topic, halves))
        old = one.poll()
        assert one.partitions == {0, 1}
        pool = stack.enter_context(ThreadPoolExecutor(1))
        two = stack.enter_context(BatchConsumer(broker.config, topic, topic, streams))
        second = pool.submit(two.poll)
        while not second.done() or one.partitions == {0, 1}:
            mine = one.poll()
            for batch in mine:
                one.return_batch(batch)
        assert len(one.partitions) == len(two.partitions) == 1
        assert one.partitions != two.partitions
        with caplog.at_level(logging.WARNING):
            assert [one.commit(batch) for batch in old] == [False] * len(old)
        assert "will be delivered again" in caplog.text
        consumed = second.result() + consume_all(one)
        assert sorted(values(consumed), key=int) == numbered(100)


def test_a_group_that_cannot_be_joined_any_more_is_recreated_with_its_offsets(
    broker: Broker, topic: str, streams: StreamSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The embedded broker leaves such a group behind when a member leaves and then the leader."""
    monkeypatch.setattr(batch_consumer, "_JOIN_SECONDS", 0)
    ensure_topic(broker.config, topic, 1)
    broker.send(topic, numbered(10))
    commit(broker.config, topic, TopicPartition(topic, 0, 4))
    with BatchConsumer(broker.config, topic, topic, streams) as leader:
        leader.poll()
        with ThreadPoolExecutor(1) as pool, BatchConsumer(broker.config, topic, topic, streams) as member:
            second = pool.submit(member.poll)
            while not second.done():
                leader.poll()
    with BatchConsumer(broker.config, topic, topic, streams) as consumer:
        assert values(consumer.poll()) == numbered(6, start=4)


def test_after_a_restart_of_the_broker_a_live_consumer_starts_again(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    ensure_topic(broker.config, topic, 1)
    broker.send(topic, numbered(100))
    with BatchConsumer(broker.config, topic, topic, streams) as consumer:
        (open_batch,) = consumer.poll()
        broker.restart()
        ensure_topic(broker.config, topic, 1)
        broker.send(topic, numbered(5, start=1000))
        while not (batches := consumer.poll()):
            pass
        assert values(batches) == numbered(5, start=1000)
        assert not consumer.commit(open_batch)
        assert consumer.commit(batches[0])
    assert group_lag(broker.config, topic, topic) == 0


def test_offsets_beyond_the_end_start_at_the_beginning_with_a_warning(
    broker: Broker, topic: str, streams: StreamSettings, caplog: pytest.LogCaptureFixture
) -> None:
    ensure_topic(broker.config, topic, 1)
    broker.send(topic, numbered(10))
    commit(broker.config, topic, TopicPartition(topic, 0, 11))
    assert group_lag(broker.config, topic, topic) == 10
    with caplog.at_level(logging.WARNING), BatchConsumer(broker.config, topic, topic, streams) as consumer:
        assert values(consumer.poll()) == numbered(10)
    assert "11 was committed and the topic ends at 10" in caplog.text


def test_a_commit_fails_while_the_broker_hangs_and_consuming_continues_after_it(
    broker: Broker, topic: str, streams: StreamSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits_module, "_COMMIT_SECONDS", 0.5)
    config = KafkaConfig(bootstrap_servers=broker.config.bootstrap_servers, options={"socket.timeout.ms": 1000})
    ensure_topic(config, topic, 1)
    broker.send(topic, numbered(10))
    with BatchConsumer(config, topic, topic, streams) as consumer:
        (batch,) = consumer.poll()
        with broker.hanging(), pytest.raises(RetryableError) as caught:
            consumer.commit(batch)
        assert caught.value.code is Code.BROKER_UNAVAILABLE
        broker.send(topic, numbered(5, start=10))
        # The broker may have stored the commit, and only its answer was late: a second commit decides.
        consumed = values([batch]) if consumer.commit(batch) else []
        while len(consumed) < 15:
            consumed += values(consume_all(consumer))
        assert consumed == numbered(15)


@pytest.mark.parametrize(
    "options",
    [{}, {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "u",
          "sasl.password": "geheim"}],
    ids=["no broker", "login refused"],
)  # fmt: skip
def test_an_unusable_broker_is_an_error_that_says_whether_to_retry(
    broker: Broker, topic: str, streams: StreamSettings, monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    monkeypatch.setattr(broker_module, "METADATA_SECONDS", 0.5)
    address = broker.config.bootstrap_servers if options else "127.0.0.1:1"
    config = KafkaConfig(bootstrap_servers=address, options=options)
    for call in (
        lambda: BatchConsumer(config, topic, topic, streams).__enter__(),
        lambda: group_lag(config, topic, topic),
    ):
        with pytest.raises(PermanentError if options else RetryableError) as caught:
            call()
        assert "geheim" not in str(caught.value)

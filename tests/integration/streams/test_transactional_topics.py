"""Offsets without a readable message: markers of transactions, and messages of open transactions."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from real_broker import values

from include.streams.batch_consumer import BatchConsumer
from include.streams.broker import ensure_topic
from include.streams.offsets import group_lag, partition_offsets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from real_broker import Broker

    from include.settings import StreamSettings

pytestmark = pytest.mark.integration

GROUP = "tests"


@contextmanager
def transaction(broker: Broker, topic: str, sent: Sequence[bytes], *, end: str = "commit") -> Iterator[None]:
    """Inside the block the transaction is open, with its messages in the topic."""
    producer = Producer(
        {"bootstrap.servers": broker.config.bootstrap_servers, "transactional.id": topic, "log_level": 0}
    )
    producer.init_transactions(10)
    producer.begin_transaction()
    for value in sent:
        producer.produce(topic, value, partition=0)
    producer.flush(10)
    yield
    (producer.commit_transaction if end == "commit" else producer.abort_transaction)(10)


def consume_all(broker: Broker, topic: str, streams: StreamSettings) -> list[bytes | None]:
    """Poll and commit until the topic is drained."""
    found: list[bytes | None] = []
    with BatchConsumer(broker.config, topic, GROUP, streams) as consumer:
        while batches := consumer.poll():
            found += values(batches)
            assert all(consumer.commit(batch) for batch in batches)
    return found


def test_marker_as_the_last_offset_is_no_lag_once_it_was_read(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    ensure_topic(broker.config, topic, 1)
    with transaction(broker, topic, [b"1", b"2", b"3"]):
        pass
    assert consume_all(broker, topic, streams) == [b"1", b"2", b"3"]
    assert group_lag(broker.config, topic, GROUP) == 0
    (offsets,) = partition_offsets(broker.config, topic, GROUP)
    assert (offsets.committed, offsets.last_stable) == (4, 4)


def test_marker_at_the_position_of_a_group_is_committed_by_one_empty_run(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    ensure_topic(broker.config, topic, 1)
    with transaction(broker, topic, [b"1"]), BatchConsumer(broker.config, topic, GROUP, streams) as consumer:
        assert consumer.poll() == []
    with BatchConsumer(broker.config, topic, GROUP, streams) as consumer:
        (batch,) = consumer.poll()
        assert consumer.commit(batch)
    assert group_lag(broker.config, topic, GROUP) == 1
    assert consume_all(broker, topic, streams) == []
    assert group_lag(broker.config, topic, GROUP) == 0


@pytest.mark.parametrize("before", [0, 1, 7], ids=["empty topic", "one message", "messages of one batch"])
def test_open_transaction_is_no_lag_and_is_not_read(
    broker: Broker, topic: str, streams: StreamSettings, before: int
) -> None:
    ensure_topic(broker.config, topic, 1)
    earlier = [b"%d" % number for number in range(before)]
    broker.send(topic, earlier)
    with transaction(broker, topic, [b"open"] * 3):
        assert group_lag(broker.config, topic, GROUP) == before
        assert consume_all(broker, topic, streams) == earlier
        assert group_lag(broker.config, topic, GROUP) == 0
    assert group_lag(broker.config, topic, GROUP) == 4
    assert consume_all(broker, topic, streams) == [b"open"] * 3
    assert group_lag(broker.config, topic, GROUP) == 0


def test_aborted_transaction_leaves_no_lag(broker: Broker, topic: str, streams: StreamSettings) -> None:
    """The embedded broker does not say which messages were aborted, so they are read; see docs/transactions.md."""
    ensure_topic(broker.config, topic, 1)
    with transaction(broker, topic, [b"aborted"], end="abort"):
        assert group_lag(broker.config, topic, GROUP) == 0
    assert consume_all(broker, topic, streams) in ([], [b"aborted"])
    assert group_lag(broker.config, topic, GROUP) == 0


def test_position_is_not_committed_while_a_batch_is_open(broker: Broker, topic: str, streams: StreamSettings) -> None:
    ensure_topic(broker.config, topic, 1)
    with transaction(broker, topic, [b"1"]):
        pass
    with BatchConsumer(broker.config, topic, GROUP, streams) as consumer:
        (batch,) = consumer.poll()
        assert consumer.poll() == []
        assert group_lag(broker.config, topic, GROUP) == 2
        consumer.return_batch(batch)
        assert values(consumer.poll()) == [b"1"]


def test_empty_partition_of_a_new_group_is_not_committed(broker: Broker, topic: str, streams: StreamSettings) -> None:
    ensure_topic(broker.config, topic, 2)
    assert consume_all(broker, topic, streams) == []
    assert [offsets.committed for offsets in partition_offsets(broker.config, topic, GROUP)] == [None, None]

"""A group's lag, read without joining the group; and creating topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.streams.batch_consumer import BatchConsumer
from include.streams.broker import ensure_topic
from include.streams.offsets import group_lag, partition_offsets

if TYPE_CHECKING:
    from real_broker import Broker

    from include.settings import StreamSettings

pytestmark = pytest.mark.integration


def test_a_missing_topic_has_no_lag_and_is_not_created(broker: Broker, topic: str) -> None:
    assert group_lag(broker.config, topic, "tests") == 0
    assert topic not in broker.topics()


def test_a_topic_is_created_once(broker: Broker, topic: str) -> None:
    assert ensure_topic(broker.config, topic, 3)
    assert not ensure_topic(broker.config, topic, 5)
    assert [offsets.partition for offsets in partition_offsets(broker.config, topic, "tests")] == [0, 1, 2]


def test_each_message_is_lag_until_its_batch_is_committed(broker: Broker, topic: str, streams: StreamSettings) -> None:
    """Also for messages that were sent as one batch, where the broker's answer about the latest offset is too small."""
    ensure_topic(broker.config, topic, 2)
    assert group_lag(broker.config, topic, "tests") == 0
    broker.send(topic, [b"x"] * 100, b"k")
    assert group_lag(broker.config, topic, "tests") == 100
    with BatchConsumer(broker.config, topic, "tests", streams.model_copy(update={"batch_messages": 90})) as consumer:
        (batch,) = consumer.poll()
        assert group_lag(broker.config, topic, "tests") == 100
        assert consumer.commit(batch)
        assert group_lag(broker.config, topic, "tests") == 10
        (last,) = consumer.poll()
        assert consumer.commit(last)
    assert group_lag(broker.config, topic, "tests") == 0
    assert group_lag(broker.config, topic, "others") == 100

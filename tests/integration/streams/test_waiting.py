"""How many messages are waiting, asked without joining the group; and topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.streams.broker import ensure_topic, spans, waiting
from include.streams.intake import Intake

if TYPE_CHECKING:
    from real_broker import Broker

    from include.settings import StreamSettings

pytestmark = pytest.mark.integration


def test_a_topic_that_does_not_exist_has_nothing_waiting_and_is_not_made(broker: Broker, topic: str) -> None:
    assert waiting(broker.config, topic, "tests") == 0
    assert topic not in broker.topics()


def test_a_topic_is_made_once(broker: Broker, topic: str) -> None:
    assert ensure_topic(broker.config, topic, 3)
    assert not ensure_topic(broker.config, topic, 5)
    assert [span.partition for span in spans(broker.config, topic, "tests")] == [0, 1, 2]


def test_each_message_is_waiting_until_its_batch_is_committed(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    """Also inside what was sent as one: there the broker's answer about the latest offset is too small."""
    ensure_topic(broker.config, topic, 2)
    assert waiting(broker.config, topic, "tests") == 0
    broker.send(topic, [b"x"] * 100, b"k")
    assert waiting(broker.config, topic, "tests") == 100
    with Intake(broker.config, topic, "tests", streams.model_copy(update={"batch_messages": 90})) as intake:
        (batch,) = intake.take()
        assert waiting(broker.config, topic, "tests") == 100
        assert intake.commit(batch)
        assert waiting(broker.config, topic, "tests") == 10
        (rest,) = intake.take()
        assert intake.commit(rest)
    assert waiting(broker.config, topic, "tests") == 0
    assert waiting(broker.config, topic, "others") == 100

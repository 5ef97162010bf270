"""Offsets that hold no message: markers of transactions, and what a transaction has sent and not committed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from real_broker import values

from include.streams.broker import ensure_topic, spans, waiting
from include.streams.intake import Intake

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from real_broker import Broker

    from include.settings import StreamSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

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


def take_all(broker: Broker, topic: str, streams: StreamSettings) -> list[bytes | None]:
    """What a run takes and commits until there is no more."""
    found: list[bytes | None] = []
    with Intake(broker.config, topic, GROUP, streams) as intake:
        while batches := intake.take():
            found += values(batches)
            assert all(intake.commit(batch) for batch in batches)
    return found


def test_marker_as_the_last_offset_is_no_lag_once_it_was_read(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    ensure_topic(broker.config, topic, 1)
    with transaction(broker, topic, [b"1", b"2", b"3"]):
        pass
    assert take_all(broker, topic, streams) == [b"1", b"2", b"3"]
    assert waiting(broker.config, topic, GROUP) == 0
    (span,) = spans(broker.config, topic, GROUP)
    assert (span.committed, span.end) == (4, 4)


def test_marker_that_a_group_stands_before_ends_with_one_empty_run(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    ensure_topic(broker.config, topic, 1)
    with transaction(broker, topic, [b"1"]), Intake(broker.config, topic, GROUP, streams) as intake:
        assert intake.take() == []
    with Intake(broker.config, topic, GROUP, streams) as intake:
        (batch,) = intake.take()
        assert intake.commit(batch)
    assert waiting(broker.config, topic, GROUP) == 1
    assert take_all(broker, topic, streams) == []
    assert waiting(broker.config, topic, GROUP) == 0


@pytest.mark.parametrize("before", [0, 1, 7], ids=["empty topic", "one message", "messages of one batch"])
def test_open_transaction_is_no_lag_and_is_not_read(
    broker: Broker, topic: str, streams: StreamSettings, before: int
) -> None:
    ensure_topic(broker.config, topic, 1)
    earlier = [b"%d" % number for number in range(before)]
    broker.send(topic, earlier)
    with transaction(broker, topic, [b"open"] * 3):
        assert waiting(broker.config, topic, GROUP) == before
        assert take_all(broker, topic, streams) == earlier
        assert waiting(broker.config, topic, GROUP) == 0
    assert waiting(broker.config, topic, GROUP) == 4
    assert take_all(broker, topic, streams) == [b"open"] * 3
    assert waiting(broker.config, topic, GROUP) == 0


def test_aborted_transaction_leaves_no_lag(broker: Broker, topic: str, streams: StreamSettings) -> None:
    """The embedded broker does not say which messages were aborted, so they come; see docs/transactions.md."""
    ensure_topic(broker.config, topic, 1)
    with transaction(broker, topic, [b"aborted"], end="abort"):
        assert waiting(broker.config, topic, GROUP) == 0
    assert take_all(broker, topic, streams) in ([], [b"aborted"])
    assert waiting(broker.config, topic, GROUP) == 0


def test_position_is_not_committed_while_a_batch_is_under_way(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    ensure_topic(broker.config, topic, 1)
    with transaction(broker, topic, [b"1"]):
        pass
    with Intake(broker.config, topic, GROUP, streams) as intake:
        (batch,) = intake.take()
        assert intake.take() == []
        assert waiting(broker.config, topic, GROUP) == 2
        intake.rewind(batch)
        assert values(intake.take()) == [b"1"]


def test_empty_partition_of_a_new_group_is_not_committed(broker: Broker, topic: str, streams: StreamSettings) -> None:
    ensure_topic(broker.config, topic, 2)
    assert take_all(broker, topic, streams) == []
    assert [span.committed for span in spans(broker.config, topic, GROUP)] == [None, None]

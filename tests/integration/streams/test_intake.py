"""Taking batches from the real broker: limits, commits, deaths, rebalances, restarts."""

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
from include.streams import broker as broker_module
from include.streams import commits as commits_module
from include.streams import intake as intake_module
from include.streams.broker import commit, ensure_topic, waiting
from include.streams.intake import Intake

if TYPE_CHECKING:
    from real_broker import Broker

    from include.streams.messages import MessageBatch

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[3]


def numbered(count: int, start: int = 0) -> list[bytes]:
    return [f"{number}".encode() for number in range(start, start + count)]


def take_all(intake: Intake) -> list[MessageBatch]:
    """Every batch until the topic is drained; each is committed."""
    taken: list[MessageBatch] = []
    while batches := intake.take():
        taken += batches
        assert [intake.commit(batch) for batch in batches] == [True] * len(batches)
    return taken


def test_batches_hold_one_partition_each_in_order_and_what_is_committed_is_done(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    ensure_topic(broker.config, topic, 2)
    broker.send(topic, numbered(1000), b"a")
    broker.send(topic, numbered(500), b"d")
    with Intake(broker.config, topic, topic, streams) as intake:
        batches = intake.take()
        assert intake.partitions == {0, 1}
        assert sorted(len(batch) for batch in batches) == [500, 1000]
        for batch in batches:
            assert values([batch]) == numbered(len(batch))
            assert [message.offset for message in batch.messages] == list(range(len(batch)))
            assert {(message.topic, message.partition) for message in batch.messages} == {(topic, batch.partition)}
            assert intake.commit(batch)
        assert intake.take() == []
    assert waiting(broker.config, topic, topic) == 0


def test_a_message_arrives_as_it_was_sent(broker: Broker, topic: str, streams: StreamSettings) -> None:
    from include.streams.publish import publisher

    ensure_topic(broker.config, topic, 1)
    with publisher(broker.config, topic) as publishing:
        publishing.send(b"\x00\xff", b"\x01", [("h", b"\xfe"), ("h", None)])
        publishing.send(None)
        publishing.flush()
    with Intake(broker.config, topic, topic, streams) as intake:
        ((first, second),) = [batch.messages for batch in intake.take()]
    assert first[4:] == (b"\x01", b"\x00\xff", (("h", b"\xfe"), ("h", None)))
    assert first.timestamp_ms > 1_700_000_000_000
    assert second[4:] == (None, None, ())


def test_what_is_not_committed_comes_again_with_the_same_hash(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    ensure_topic(broker.config, topic, 1)
    broker.send(topic, numbered(100))
    hashes = []
    for _ in range(2):
        with Intake(broker.config, topic, topic, streams) as intake:
            hashes.append([batch.sha256 for batch in intake.take()])
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
    with Intake(broker.config, topic, topic, streams.model_copy(update=limits)) as intake:
        taken = take_all(intake)
    assert [len(batch) for batch in taken] == sizes
    assert [message.offset for batch in taken for message in batch.messages] == list(range(100))


def test_a_partition_that_runs_far_ahead_is_paused_and_loses_nothing(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    ensure_topic(broker.config, topic, 2)
    broker.send(topic, numbered(30_000), b"a")
    broker.send(topic, numbered(1000), b"d")
    with Intake(broker.config, topic, topic, streams.model_copy(update={"batch_messages": 900})) as intake:
        taken = take_all(intake)
    by_partition = [[m for batch in taken if batch.partition == number for m in values([batch])] for number in (0, 1)]
    assert sorted(by_partition, key=len) == [numbered(1000), numbered(30_000)]


def test_a_callers_limit_holds_for_its_batch_alone(broker: Broker, topic: str, streams: StreamSettings) -> None:
    ensure_topic(broker.config, topic, 1)
    broker.send(topic, numbered(100))
    limits = {(0, 0): 10, (0, 10): 0, (0, 11): 1000}
    with Intake(broker.config, topic, topic, streams.model_copy(update={"batch_messages": 50})) as intake:
        sizes = []
        while batches := intake.take(lambda partition, offset: limits.get((partition, offset), 50)):
            sizes += [len(batch) for batch in batches]
    assert sizes == [10, 1, 50, 39]


def test_a_rewound_batch_is_taken_again_in_halves_if_asked(broker: Broker, topic: str, streams: StreamSettings) -> None:
    ensure_topic(broker.config, topic, 1)
    broker.send(topic, numbered(100))
    with Intake(broker.config, topic, topic, streams.model_copy(update={"batch_messages": 80})) as intake:
        (first,) = intake.take()
        intake.rewind(first)
        (half,) = intake.take(lambda _partition, _offset: 40)
        assert values([half]) == numbered(40)
        assert intake.commit(half)
        assert values(take_all(intake)) == numbered(60, start=40)


def test_a_batch_cannot_be_committed_or_rewound_over_an_open_one(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    ensure_topic(broker.config, topic, 1)
    broker.send(topic, numbered(20))
    with Intake(broker.config, topic, topic, streams.model_copy(update={"batch_messages": 10})) as intake:
        (first,), (second,) = intake.take(), intake.take()
        with pytest.raises(ValueError, match="before 10"):
            intake.commit(second)
        with pytest.raises(ValueError, match="after 9"):
            intake.rewind(first)
        intake.rewind(second)
        intake.rewind(first)
        assert values(take_all(intake)) == numbered(20)


def test_messages_that_come_later_are_taken_by_the_same_consumer(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    ensure_topic(broker.config, topic, 2)
    with Intake(broker.config, topic, topic, streams) as intake:
        for start in (0, 10, 20):
            assert intake.take() == []
            broker.send(topic, numbered(10, start), b"k")
            assert values(take_all(intake)) == numbered(10, start)


def test_a_topic_that_does_not_exist_is_empty_is_not_made_and_is_found_when_it_is(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    with Intake(broker.config, topic, topic, streams) as intake:
        assert intake.take() == []
        assert topic not in broker.topics()
        ensure_topic(broker.config, topic, 1)
        broker.send(topic, numbered(3))
        while not (batches := intake.take()):
            pass
        assert values(batches) == numbered(3)


def test_a_killed_consumers_messages_go_to_the_next_one(broker: Broker, topic: str, streams: StreamSettings) -> None:
    ensure_topic(broker.config, topic, 2)
    broker.send(topic, numbered(100))
    victim = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("taking_consumer.py")), broker.config.bootstrap_servers, topic,
         topic],
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, text=True,
    )  # fmt: skip
    try:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "100\n"
    finally:
        victim.kill()
        victim.wait()
    with Intake(broker.config, topic, topic, streams) as intake:
        taken = take_all(intake)
    assert sorted(values(taken), key=int) == numbered(100)


def test_a_second_consumer_takes_its_share_and_what_the_first_had_is_delivered_again(
    broker: Broker, topic: str, streams: StreamSettings, caplog: pytest.LogCaptureFixture
) -> None:
    ensure_topic(broker.config, topic, 2)
    broker.send(topic, numbered(100))
    halves = streams.model_copy(update={"batch_messages": 10})
    with ExitStack() as stack:
        one = stack.enter_context(Intake(broker.config, topic, topic, halves))
        old = one.take()
        assert one.partitions == {0, 1}
        pool = stack.enter_context(ThreadPoolExecutor(1))
        two = stack.enter_context(Intake(broker.config, topic, topic, streams))
        second = pool.submit(two.take)
        while not second.done() or one.partitions == {0, 1}:
            mine = one.take()
            for batch in mine:
                one.rewind(batch)
        assert len(one.partitions) == len(two.partitions) == 1
        assert one.partitions != two.partitions
        with caplog.at_level(logging.WARNING):
            assert [one.commit(batch) for batch in old] == [False] * len(old)
        assert "will be delivered again" in caplog.text
        taken = second.result() + take_all(one)
        assert sorted(values(taken), key=int) == numbered(100)


def test_a_group_that_nobody_can_join_any_more_is_made_anew_with_its_offsets(
    broker: Broker, topic: str, streams: StreamSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The embedded broker leaves such a group behind when a member and after it the leader leaves."""
    monkeypatch.setattr(intake_module, "_JOIN_SECONDS", 0)
    ensure_topic(broker.config, topic, 1)
    broker.send(topic, numbered(10))
    commit(broker.config, topic, TopicPartition(topic, 0, 4))
    with Intake(broker.config, topic, topic, streams) as leader:
        leader.take()
        with ThreadPoolExecutor(1) as pool, Intake(broker.config, topic, topic, streams) as member:
            second = pool.submit(member.take)
            while not second.done():
                leader.take()
    with Intake(broker.config, topic, topic, streams) as intake:
        assert values(intake.take()) == numbered(6, start=4)


def test_after_a_restart_of_the_broker_a_live_consumer_begins_anew(
    broker: Broker, topic: str, streams: StreamSettings
) -> None:
    ensure_topic(broker.config, topic, 1)
    broker.send(topic, numbered(100))
    with Intake(broker.config, topic, topic, streams) as intake:
        (open_batch,) = intake.take()
        broker.restart()
        ensure_topic(broker.config, topic, 1)
        broker.send(topic, numbered(5, start=1000))
        while not (batches := intake.take()):
            pass
        assert values(batches) == numbered(5, start=1000)
        assert not intake.commit(open_batch)
        assert intake.commit(batches[0])
    assert waiting(broker.config, topic, topic) == 0


def test_offsets_beyond_the_end_start_at_the_beginning_and_say_so(
    broker: Broker, topic: str, streams: StreamSettings, caplog: pytest.LogCaptureFixture
) -> None:
    ensure_topic(broker.config, topic, 1)
    broker.send(topic, numbered(10))
    commit(broker.config, topic, TopicPartition(topic, 0, 11))
    assert waiting(broker.config, topic, topic) == 10
    with caplog.at_level(logging.WARNING), Intake(broker.config, topic, topic, streams) as intake:
        assert values(intake.take()) == numbered(10)
    assert "11 was committed and the topic ends at 10" in caplog.text


def test_a_broker_that_hangs_stops_a_commit_and_a_take_and_then_they_go_on(
    broker: Broker, topic: str, streams: StreamSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits_module, "_COMMIT_SECONDS", 0.5)
    config = KafkaConfig(bootstrap_servers=broker.config.bootstrap_servers, options={"socket.timeout.ms": 1000})
    ensure_topic(config, topic, 1)
    broker.send(topic, numbered(10))
    with Intake(config, topic, topic, streams) as intake:
        (batch,) = intake.take()
        with broker.hanging(), pytest.raises(RetryableError) as caught:
            intake.commit(batch)
        assert caught.value.code is Code.BROKER_UNAVAILABLE
        broker.send(topic, numbered(5, start=10))
        # The broker may have got the commit, and only its answer was late: then asking again settles it.
        taken = values([batch]) if intake.commit(batch) else []
        while len(taken) < 15:
            taken += values(take_all(intake))
        assert taken == numbered(15)


@pytest.mark.parametrize(
    ("options", "kind"),
    [({}, RetryableError), ({"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN",
                             "sasl.username": "u", "sasl.password": "geheim"}, PermanentError)],
    ids=["nobody there", "login refused"],
)  # fmt: skip
def test_a_broker_that_cannot_be_used_says_whether_to_try_again(
    broker: Broker, topic: str, streams: StreamSettings, monkeypatch: pytest.MonkeyPatch, options, kind: type
) -> None:
    monkeypatch.setattr(broker_module, "METADATA_SECONDS", 0.5)
    address = broker.config.bootstrap_servers if options else "127.0.0.1:1"
    config = KafkaConfig(bootstrap_servers=address, options=options)
    for call in (lambda: Intake(config, topic, topic, streams).__enter__(), lambda: waiting(config, topic, topic)):
        with pytest.raises(kind) as caught:
            call()
        assert "geheim" not in str(caught.value)

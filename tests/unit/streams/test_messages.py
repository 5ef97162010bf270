"""Messages, batches of them, and the backlog that batches are cut from."""

from __future__ import annotations

import pytest

from include.streams.backlog import Backlog
from include.streams.messages import Message, MessageBatch

pytestmark = pytest.mark.unit


def message(offset: int, value: bytes | None = b"0123456789", key: bytes | None = None, topic: str = "t") -> Message:
    return Message(topic, 0, offset, 0, key, value)


def batch(*messages: Message, topic: str = "t", partition: int = 0) -> MessageBatch:
    return MessageBatch(topic, partition, messages)


def backlog(count: int) -> Backlog:
    made = Backlog()
    for offset in range(count):
        made.add(message(offset))
    return made


def offsets(messages: tuple[Message, ...] | list[Message]) -> list[int]:
    return [one.offset for one in messages]


def test_batch_has_its_offsets_also_with_gaps() -> None:
    one = batch(message(3), message(7))
    assert (one.first_offset, one.last_offset, len(one), one.size) == (3, 7, 2, 20)


def test_hash_does_not_depend_on_key_and_headers() -> None:
    again = [Message("t", 0, 3, 0, b"k", b"x", (("h", b"1"),)), Message("t", 0, 4, 0, None, None)]
    assert batch(message(3, b"x"), message(4, None)).sha256 == batch(*again).sha256


@pytest.mark.parametrize(
    "other",
    [
        batch(message(3, b"a"), message(4, b"c")),
        batch(message(3, b"a"), message(5, b"b")),
        batch(message(3, b"ab"), message(4, b"")),
        batch(message(3, b"a"), message(4, b"b"), message(5, b"")),
        batch(message(3, b"a"), message(4, b"b"), partition=1),
        batch(message(3, b"a"), message(4, b"b"), topic="u"),
        batch(message(3, b"a"), message(4, b"b")._replace(timestamp_ms=1)),
    ],
    ids=[
        "value",
        "offset",
        "border between values",
        "one more",
        "partition",
        "topic",
        "time, as in a topic made again",
    ],
)
def test_hash_differs(other: MessageBatch) -> None:
    assert other.sha256 != batch(message(3, b"a"), message(4, b"b")).sha256


def test_hash_differs_for_an_empty_value_and_none() -> None:
    assert batch(message(0, b"")).sha256 != batch(message(0, None)).sha256


def test_size_counts_key_value_and_headers() -> None:
    assert Message("t", 0, 0, 0, b"key", b"value", (("name", b"held"), ("b", None))).size == 17
    assert Message("t", 0, 0, 0, None, None).size == 0


def test_header_gives_the_last_of_several() -> None:
    one = Message("t", 0, 0, 0, None, None, (("a", b"1"), ("b", None), ("a", b"2")))
    assert (one.header("a"), one.header("b"), one.header("c")) == (b"2", None, None)


@pytest.mark.parametrize(
    ("most_messages", "most_bytes", "cut"),
    [(10, 1000, 5), (5, 50, 5), (3, 1000, 3), (10, 30, 3), (10, 39, 3), (2, 39, 2), (10, 1, 1), (1, 1, 1)],
    ids=["all", "exactly all", "messages", "bytes", "bytes between", "both", "larger than allowed", "one"],
)
def test_backlog_cuts_by_messages_and_bytes(most_messages: int, most_bytes: int, cut: int) -> None:
    five = backlog(5)
    assert offsets(five.cut(most_messages, most_bytes)) == list(range(cut))
    assert offsets(five.messages) == list(range(cut, 5))
    assert five.size == 10 * (5 - cut)


def test_backlog_counts_keys_and_accepts_tombstones() -> None:
    made = Backlog()
    made.add(message(0, None, b"key"))
    made.add(message(1, None, None))
    assert made.size == 3
    assert made.holds(2, 100)
    assert made.holds(100, 3)
    assert not made.holds(3, 4)


def test_requeued_messages_come_first() -> None:
    five = backlog(5)
    head = five.cut(2, 1000)
    five.requeue(head)
    assert offsets(five.messages) == [0, 1, 2, 3, 4]
    assert five.size == 50


def test_a_message_ends_the_state_of_being_drained() -> None:
    made = Backlog(drained=True)
    made.add(message(0))
    assert not made.drained

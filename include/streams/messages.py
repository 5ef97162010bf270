"""A message and a batch of messages.

What belongs here: their fields, and what follows from them alone. What does not: where they come from
(`batch_consumer`) and what their bytes mean (`decode`).
"""

from __future__ import annotations

import hashlib
import logging
import operator
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from confluent_kafka import Message as RawMessage

log = logging.getLogger(__name__)

Headers = tuple[tuple[str, bytes | None], ...]

_NO_VALUE = -1
# Called by name and not as raw.headers(): when the client fails, it returns half a list and leaves its error pending.
# The interpreter raises the error for this kind of call, but not for a method call that it has specialised.
_headers = operator.methodcaller("headers")


def headers_of(raw: RawMessage) -> Headers:
    """The headers of a message that the client has read. Call it once for each message.

    Header names are bytes in Kafka, and text in the client, which fails at names that are not UTF-8. The headers of
    such a message are left out; its value is not affected.
    """
    try:
        return tuple(_headers(raw) or ())
    except SystemError:
        log.warning("%s [%s] at %s: its headers' names are not UTF-8", raw.topic(), raw.partition(), raw.offset())
        return ()


class Message(NamedTuple):
    """One message as the broker stores it. A tuple and not a dataclass, for speed: half a million a second.

    `timestamp_ms` is since 1970 in UTC, -1 where the broker has none; `value` is None for a tombstone.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    def header(self, name: str) -> bytes | None:
        """The last header of that name, None where there is none."""
        return next((value for header, value in reversed(self.headers) if header == name), None)

    @property
    def size(self) -> int:
        """Bytes of key, value and headers: what a batch of such messages takes in memory."""
        size = len(self.key or b"") + len(self.value or b"")
        return size + sum(len(name) + len(held or b"") for name, held in self.headers) if self.headers else size


@dataclass(frozen=True)
class MessageBatch:
    """Messages of one partition in the order of their offsets; at least one. Compaction may leave gaps."""

    topic: str
    partition: int
    messages: tuple[Message, ...]

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def first_offset(self) -> int:
        """The first message's offset."""
        return self.messages[0].offset

    @property
    def last_offset(self) -> int:
        """The last message's offset; the next batch begins after it."""
        return self.messages[-1].offset

    @cached_property
    def records(self) -> tuple[Message, ...]:
        """The messages with a value. A message without one is a delete (a tombstone) and has nothing to load."""
        return tuple(message for message in self.messages if message.value is not None)

    @property
    def deletes(self) -> int:
        """How many messages are deletes."""
        return len(self.messages) - len(self.records)

    @cached_property
    def size(self) -> int:
        """Bytes of all keys, values and headers."""
        return sum(message.size for message in self.messages)

    @cached_property
    def sha256(self) -> str:
        """Hash of topic, partition, offsets, timestamps and values: the same for messages that are delivered again.

        Timestamps are those that the broker stores. In a topic that was deleted and created again they distinguish a
        message from an earlier one at the same offset with the same value.
        """
        digest = hashlib.sha256(f"{self.topic}\0{self.partition}\0".encode())
        frame = struct.Struct("<qqq").pack
        for message in self.messages:
            value = message.value
            size = _NO_VALUE if value is None else len(value)
            digest.update(frame(message.offset, message.timestamp_ms, size) + (value or b""))
        return digest.hexdigest()

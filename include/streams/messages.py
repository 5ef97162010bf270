"""A message and a batch of them, as they are handed around.

What belongs here: their shape, and what follows from it alone. What does not: where they come from (`intake`) and
what their bytes mean (`decode`).
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
# Called so, and not as raw.headers(): where the client fails it returns half a list and leaves its error pending. The
# interpreter notices that in a call like this one, and not in one it has optimised because it came a few times before.
_headers = operator.methodcaller("headers")


def headers_of(raw: RawMessage) -> Headers:
    """The headers of what a client has read. To be called once for each message.

    Names are bytes to Kafka, and text to the client: it fails at one that is not UTF-8. Such a message is read without
    its headers, which say nothing about its value.
    """
    try:
        return tuple(_headers(raw) or ())
    except SystemError:
        log.warning("%s [%s] at %s: its headers' names are not UTF-8", raw.topic(), raw.partition(), raw.offset())
        return ()


class Message(NamedTuple):
    """One message as the broker keeps it. A tuple and not a dataclass: half a million are made in a second.

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
    """Messages of one partition in the order of their offsets; at least one. Compaction may leave holes."""

    topic: str
    partition: int
    messages: tuple[Message, ...]

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def first_offset(self) -> int:
        """Where it begins."""
        return self.messages[0].offset

    @property
    def last_offset(self) -> int:
        """The last message's place; the next batch begins behind it."""
        return self.messages[-1].offset

    @cached_property
    def records(self) -> tuple[Message, ...]:
        """The messages with a value. One without is a delete (a tombstone): it has nothing to load."""
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

        Timestamps are the broker's, which keeps them with the messages. In a topic that was deleted and made again
        they tell a message from an earlier one at the same offset with the same value.
        """
        digest = hashlib.sha256(f"{self.topic}\0{self.partition}\0".encode())
        frame = struct.Struct("<qqq").pack
        for message in self.messages:
            value = message.value
            size = _NO_VALUE if value is None else len(value)
            digest.update(frame(message.offset, message.timestamp_ms, size) + (value or b""))
        return digest.hexdigest()

"""A message and a batch of them, as they are handed around.

What belongs here: their shape, and what follows from it alone. What does not: where they come from (`intake`) and
what their bytes mean (`decode`).
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

_NO_VALUE = -1


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
    headers: tuple[tuple[str, bytes | None], ...] = ()

    def header(self, name: str) -> bytes | None:
        """The last header of that name, None where there is none."""
        return next((value for header, value in reversed(self.headers) if header == name), None)

    @property
    def size(self) -> int:
        """Bytes of key and value."""
        return len(self.key or b"") + len(self.value or b"")


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
    def size(self) -> int:
        """Bytes of all keys and values."""
        return sum(message.size for message in self.messages)

    @cached_property
    def sha256(self) -> str:
        """Hash of topic, partition, offsets and values: the same messages delivered again have the same one."""
        digest = hashlib.sha256(f"{self.topic}\0{self.partition}\0".encode())
        frame = struct.Struct("<qq").pack
        for message in self.messages:
            value = message.value
            digest.update(frame(message.offset, _NO_VALUE if value is None else len(value)) + (value or b""))
        return digest.hexdigest()

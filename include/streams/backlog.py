"""The messages of a partition that were read and are in no batch yet, and how a batch is cut from them.

What belongs here: counting messages and bytes. What does not: the consumer that reads them (`batch_consumer`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.streams.messages import Message


@dataclass
class Backlog:
    """The backlog of one partition, in the order of offsets. `size` is in bytes, headers included.

    `drained`: the partition's end was reached, at the offset `end`. `paused`: the consumer reads no more until a batch
    is cut.
    """

    messages: list[Message] = field(default_factory=list)
    size: int = 0
    drained: bool = False
    paused: bool = False
    end: int = 0

    def add(self, message: Message) -> None:
        """Append a message."""
        self.messages.append(message)
        self.size += message.size
        self.drained = False

    def reached(self, end: int) -> None:
        """Note that the partition has no more messages before this offset."""
        self.drained, self.end = True, end

    def requeue(self, messages: Sequence[Message]) -> None:
        """Put the messages of the last batch in front again."""
        self.messages[:0] = messages
        self.size += sum(message.size for message in messages)

    def holds(self, messages: int, size: int) -> bool:
        """Whether the backlog has so many messages or so many bytes."""
        return len(self.messages) >= messages or self.size >= size

    def cut(self, most_messages: int, most_bytes: int) -> tuple[Message, ...]:
        """Remove and return the first messages: as many as both limits allow, and at least one."""
        count, size = self._prefix(most_messages, most_bytes)
        head = tuple(self.messages[:count])
        del self.messages[:count]
        self.size -= size
        return head

    def _prefix(self, most_messages: int, most_bytes: int) -> tuple[int, int]:
        """Count the messages that fit, and their bytes."""
        if len(self.messages) <= most_messages and self.size <= most_bytes:
            return len(self.messages), self.size
        total = 0
        for count, message in enumerate(self.messages[:most_messages]):
            if count and total + message.size > most_bytes:
                return count, total
            total += message.size
        return min(most_messages, len(self.messages)), total

"""What has been read of a partition and not been handed out yet, and how a batch is cut from it.

What belongs here: counting messages and bytes. What does not: the consumer that reads them (`intake`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.streams.messages import Message


@dataclass
class Backlog:
    """The backlog of one partition, in the order of offsets. `size` is in bytes, headers and all.

    `drained` says that the partition's end was reached, at the offset `end`; `paused` that no more is read until some
    is handed out.
    """

    messages: list[Message] = field(default_factory=list)
    size: int = 0
    drained: bool = False
    paused: bool = False
    end: int = 0

    def add(self, message: Message) -> None:
        """Append one that was read."""
        self.messages.append(message)
        self.size += message.size
        self.drained = False

    def reached(self, end: int) -> None:
        """Note that there is nothing more to read before this offset."""
        self.drained, self.end = True, end

    def put_back(self, messages: Sequence[Message]) -> None:
        """Put what was handed out last in front again."""
        self.messages[:0] = messages
        self.size += sum(message.size for message in messages)

    def holds(self, messages: int, size: int) -> bool:
        """Whether there is that much of one or the other."""
        return len(self.messages) >= messages or self.size >= size

    def cut(self, most_messages: int, most_bytes: int) -> tuple[Message, ...]:
        """Hand out the first ones: as many as both limits allow, and one in any case."""
        count, size = self._prefix(most_messages, most_bytes)
        head = tuple(self.messages[:count])
        del self.messages[:count]
        self.size -= size
        return head

    def _prefix(self, most_messages: int, most_bytes: int) -> tuple[int, int]:
        """How many messages fit, and their bytes."""
        if len(self.messages) <= most_messages and self.size <= most_bytes:
            return len(self.messages), self.size
        total = 0
        for count, message in enumerate(self.messages[:most_messages]):
            if count and total + message.size > most_bytes:
                return count, total
            total += message.size
        return min(most_messages, len(self.messages)), total

"""The search for a poison message: one that makes its whole batch fail.

A batch fails because of one message when it is refused as a whole, or when its workers die. The offsets of such a batch
are read again in smaller batches until one message is left, which `consume` publishes as a dead letter.

What belongs here: which failures one message may cause, and the batch sizes of the search. What does not: reading
batches (`batch_consumer`), publishing dead letters (`dead_letters`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.errors import Code

if TYPE_CHECKING:
    from include.errors import PermanentError
    from include.streams.message_ledger import MessageLedger, UnfinishedMessages
    from include.streams.messages import MessageBatch

# Codes of a whole batch that one message may cause.
BATCH_CODES = frozenset({Code.UNKNOWN_COLUMNS, Code.TOO_MANY_COLUMNS, Code.DUPLICATE_COLUMNS})
_UNPROCESSABLE = 422
_DATA_EXCEPTION = "22"  # the class of PostgreSQL's errors about a value
# A batch whose worker died is read again in batches of this share of its messages.
_SHARE_AFTER_DEATH = 16


@dataclass(frozen=True)
class Bisection:
    """Offsets, both included, among which a poison message is searched, in batches of `batch_messages`."""

    first_offset: int
    last_offset: int
    batch_messages: int


class PoisonSearch:
    """Searches for poison messages in the partitions of one topic, during one run.

    Args:
        ledger: knows the batches that earlier workers began and did not finish.
        topic: the topic.
        batch_messages: the largest number of messages of a batch without a search.
        max_attempts: a message alone in its batch is poison after so many deaths of its workers.
    """

    def __init__(self, ledger: MessageLedger, topic: str, batch_messages: int, max_attempts: int) -> None:
        self._ledger, self._topic = ledger, topic
        self._batch_messages, self._max_attempts = batch_messages, max_attempts
        self._unfinished: dict[tuple[int, int], UnfinishedMessages | None] = {}
        self._bisections: dict[int, Bisection] = {}
        self._found = 0

    def batch_limit(self, partition: int, first_offset: int) -> int:
        """The largest number of messages of the batch that starts at this offset: smaller during a search."""
        start = (partition, first_offset)
        if start not in self._unfinished:
            unfinished = self._ledger.unfinished(self._topic, partition, first_offset)
            self._unfinished[start] = unfinished
            if unfinished is not None:
                last_offset = first_offset + unfinished.messages - 1
                limit = max(1, unfinished.messages // _SHARE_AFTER_DEATH)
                self._bisections[partition] = Bisection(first_offset, last_offset, limit)
        bisection = self._bisections.get(partition)
        if bisection is None or not bisection.first_offset <= first_offset <= bisection.last_offset:
            return self._batch_messages
        return bisection.batch_messages

    def has_killed_workers(self, batch: MessageBatch) -> bool:
        """Whether workers died too often with this batch, and the last one with its first message alone."""
        unfinished = self._unfinished.get((batch.partition, batch.first_offset))
        return (
            unfinished is not None
            and unfinished.died
            and unfinished.attempts >= self._max_attempts
            and (unfinished.messages, len(batch)) == (1, 1)
        )

    def may_bisect(self, batch: MessageBatch, most: int) -> bool:
        """Whether the search goes on with this batch: it has several messages, or fewer than `most` were found."""
        return len(batch) > 1 or self._found < most

    def bisect(self, batch: MessageBatch) -> bool:
        """Read the batch again in halves. False when it has one message, which is the poison message."""
        if len(batch) == 1:
            self._found += 1
            return False
        self._bisections[batch.partition] = Bisection(batch.first_offset, batch.last_offset, len(batch) // 2)
        return True

    def end(self, partition: int) -> None:
        """End the search in a partition: its message is found."""
        self._bisections.pop(partition, None)


def may_be_one_message(error: PermanentError) -> bool:
    """Whether one message may be the cause: a defect, or a value that a service or the table refuses."""
    if error.code is Code.SERVICE_REFUSED:
        return error.details.get("status") == _UNPROCESSABLE
    return error.code is Code.INTERNAL or str(error.details.get("sqlstate")).startswith(_DATA_EXCEPTION)

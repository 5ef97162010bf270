"""A consumer's commits: sending them, waiting for the broker's answer, and the committed position of each partition.

What belongs here: offsets. What does not: which batches there are and when one may be committed
(`batch_consumer`, `consume`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, TopicPartition

from include.streams.broker import raise_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from confluent_kafka import Consumer

    from include.streams.offsets import PartitionOffsets

_COMMIT_SECONDS = 10.0
_ANSWER_POLL_SECONDS = 0.005
_FENCED_CODES = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError._ASSIGNMENT_LOST,  # noqa: SLF001 - librdkafka's own errors are named so
    KafkaError._FENCED,  # noqa: SLF001
}


class Commits:
    """Committed positions of the partitions that are this consumer's.

    Args:
        topic: the consumer's.
        poll: polls the consumer for so many seconds; answers to commits arrive meanwhile.
    """

    def __init__(self, topic: str, poll: Callable[[float], None]) -> None:
        self._topic, self._poll = topic, poll
        self._answers: dict[tuple[int, int], KafkaError | None] = {}
        self._positions: dict[int, int] = {}

    def begin(self, offsets: PartitionOffsets) -> None:
        """Note a newly assigned partition with the group's committed offset."""
        position = offsets.position if offsets.committed is None else offsets.committed
        self._positions[offsets.partition] = -1 if offsets.is_beyond else position

    def forget(self, partitions: Iterable[int]) -> None:
        """Drop partitions that were revoked."""
        for partition in partitions:
            self._positions.pop(partition, None)

    def is_behind(self, partition: int, position: int) -> bool:
        """Whether this position of an assigned partition is not committed yet."""
        return position > self._positions.get(partition, position)

    def commit(self, consumer: Consumer, partition: int, position: int) -> KafkaError | None:
        """Commit and wait for the answer. The client's synchronous commit has no timeout if the broker is silent.

        Returns:
            None when the broker has stored it; the error when the partition is another consumer's by now.

        Raises:
            KafkaException: the broker does not answer, or refuses.
        """
        wanted = (partition, position)
        self._answers.pop(wanted, None)
        consumer.commit(offsets=[TopicPartition(self._topic, *wanted)], asynchronous=True)
        deadline = time.monotonic() + _COMMIT_SECONDS
        while wanted not in self._answers:
            if time.monotonic() > deadline:
                raise_for(KafkaError(KafkaError._TIMED_OUT, "the commit"))  # noqa: SLF001
            self._poll(_ANSWER_POLL_SECONDS)
        error = self._answers.pop(wanted)
        if error is not None and error.code() in _FENCED_CODES:
            return error
        raise_for(error)
        self._positions[partition] = position
        return None

    def on_commit(self, error: KafkaError | None, committed: list[TopicPartition]) -> None:
        """Keep the answers; the client's callback."""
        for one in committed:
            self._answers[one.partition, one.offset] = error or one.error

"""A consumer group's offsets in each partition, and its lag.

What belongs here: reading offsets from the broker. What does not: committing them (`commits`), the lag as metrics
(`lag_metrics`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from include.streams.broker import TIMEOUT_SECONDS, known_topics, raise_for, reader

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from confluent_kafka import Consumer

    from include.settings import KafkaConfig

_LOOK_SECONDS = 0.02
# A busy partition may have no reachable end: after so many messages the high watermark is used instead.
_MOST_SCANNED = 100_000


@dataclass(frozen=True)
class PartitionOffsets:
    """A partition's offsets as a consumer group sees them.

    `low` is the low watermark, `last_stable` the last stable offset: messages of an open transaction come after it.
    `committed` is the offset that the group committed, None before the first commit.
    """

    partition: int
    low: int
    last_stable: int
    committed: int | None

    @property
    def is_beyond(self) -> bool:
        """Whether the group committed more than the broker has: the topic was recreated, and offsets start again."""
        return self.committed is not None and self.committed > self.last_stable

    @property
    def removed(self) -> tuple[int, int] | None:
        """First and last of the offsets that were removed before the group had read them; None if none were."""
        if self.committed is None or self.is_beyond or self.committed >= self.low:
            return None
        return self.committed, self.low - 1

    @property
    def position(self) -> int:
        """The offset from which the group reads next."""
        if self.committed is None or self.is_beyond:
            return self.low
        return max(self.low, self.committed)

    @property
    def lag(self) -> int:
        """Offsets that the group has not committed. Compaction and transactions leave offsets without messages."""
        return self.last_stable - self.position


def group_lag(config: KafkaConfig, topic: str, group: str) -> int:
    """The group's lag over all partitions of the topic; 0 where there is no such topic.

    It does not join the group, so it disturbs no consumer.

    Raises:
        RetryableError: the broker does not answer.
        PermanentError: the broker refuses.
    """
    return sum(offsets.lag for offsets in partition_offsets(config, topic, group))


def partition_offsets(
    config: KafkaConfig, topic: str, group: str, partitions: Collection[int] | None = None
) -> list[PartitionOffsets]:
    """The group's offsets in each partition, without joining the group; none where there is no such topic.

    Args:
        config: where the broker is.
        topic: the topic.
        group: the consumer group.
        partitions: only these.

    Raises:
        RetryableError: the broker does not answer.
        PermanentError: the broker refuses.
    """
    with reader(config, topic, group, {"fetch.wait.max.ms": int(_LOOK_SECONDS * 1000)}) as consumer:
        found = known_topics(consumer).get(topic)
        if found is None:
            return []
        raise_for(found.error)
        wanted = [
            TopicPartition(topic, number) for number in sorted(found.partitions if partitions is None else partitions)
        ]
        committed = consumer.committed(wanted, timeout=TIMEOUT_SECONDS)
        for one in committed:
            raise_for(one.error)
        watermarks = [consumer.get_watermark_offsets(one, timeout=TIMEOUT_SECONDS) for one in wanted]
        high = {one.partition: marks[1] for one, marks in zip(wanted, watermarks, strict=True)}
        last_stable = _last_stable_offsets(consumer, topic, high)
        return [
            PartitionOffsets(
                partition=one.partition,
                low=marks[0],
                last_stable=last_stable[one.partition],
                committed=one.offset if one.offset >= 0 else None,
            )
            for one, marks in zip(committed, watermarks, strict=True)
        ]


def _last_stable_offsets(consumer: Consumer, topic: str, high: Mapping[int, int]) -> dict[int, int]:
    """The last stable offset of each partition, read from its high watermark to the end.

    The partition is read because no request gives this offset: a transaction's marker takes an offset without a
    message, and the embedded broker reports as the latest offset the one after the FIRST message of the last batch.
    """
    consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in high.items()])
    ends: dict[int, int] = {}
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while len(ends) < len(high):
        if time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the partitions' ends"))  # noqa: SLF001
        for raw in consumer.consume(1000, _LOOK_SECONDS):
            error, partition, offset = raw.error(), raw.partition(), raw.offset() or 0
            is_end = error is not None and error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001
            if partition is None or not is_end:
                raise_for(error)
            if partition is None or partition in ends:
                continue
            if is_end:
                ends[partition] = offset
            elif offset - high[partition] >= _MOST_SCANNED:
                marks = consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
                ends[partition] = max(offset + 1, marks[1])
    return ends

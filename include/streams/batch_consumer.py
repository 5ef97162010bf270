"""A member of a consumer group that returns bounded batches and commits each batch on request.

What belongs here: joining, fetching, cutting batches, rebalances, commits. What does not: the content of messages, and
when a batch may be committed (`consume` decides: after the warehouse's transaction).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Self, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from include.errors import Code, RetryableError
from include.streams.backlog import Backlog
from include.streams.broker import (
    ClientErrors,
    client_options,
    group_options,
    is_refusal,
    known_topics,
    recreate_group,
    translated,
)
from include.streams.commits import Commits
from include.streams.messages import Message, MessageBatch, headers_of
from include.streams.offsets import partition_offsets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from confluent_kafka import Message as RawMessage

    from include.settings import KafkaConfig, StreamSettings

    LimitOf = Callable[[int, int], int]

log = logging.getLogger(__name__)

_JOIN_SECONDS = 10.0
_ANSWER_SECONDS = 2.0
_CHUNK = 5_000
_POLL_SECONDS = 0.05
# The broker answers a fetch without messages after this: then the end of the partition is known.
_FETCH_WAIT_MS = 50
# Longer than one fetch takes: the wait for messages of a topic that was drained before.
_LOOK_SECONDS = 0.3
# Batches read ahead of one partition while others have none; then it is paused.
_AHEAD = 2
_PREFERRED: dict[str, Any] = {
    "fetch.wait.max.ms": _FETCH_WAIT_MS,
    "fetch.error.backoff.ms": 100,
    "fetch.queue.backoff.ms": 10,
    "topic.metadata.refresh.interval.ms": 2_000,  # a topic that was recreated is found soon
}
_TOPIC_MISSING = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}  # noqa: SLF001


class BatchConsumer:
    """A consumer of one topic, for one thread. Use it in a `with`. Uncommitted messages are delivered again."""

    def __init__(self, config: KafkaConfig, topic: str, group: str, settings: StreamSettings) -> None:
        self._config, self._topic, self._group, self._settings = config, topic, group, settings
        self._backlogs: dict[int, Backlog] = {}
        self._handed_out: set[tuple[int, int, int]] = set()
        self._commits = Commits(topic, self._poll)
        self._removed: dict[int, tuple[int, int]] = {}
        self._joined = self._missing = False
        self._client_errors = ClientErrors(maxlen=20)
        self._details: dict[str, Any] = {"topic": topic, "group": group}

    def __enter__(self) -> Self:
        with translated(self._config, self._client_errors, **self._details):
            self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that are assigned to this consumer."""
        return frozenset(self._backlogs)

    def take_removed(self) -> dict[int, tuple[int, int]]:
        """First and last offset, by partition, of messages that the broker removed unread; each range once.

        Call it after `join` and after each `poll`: no position after such a range is committed before.
        """
        removed, self._removed = self._removed, {}
        return removed

    def join(self) -> bool:
        """Wait for the group to assign partitions, as the first `poll` does. False: no such topic.

        Raises:
            RetryableError: the broker does not answer.
            PermanentError: the broker refuses.
        """
        with translated(self._config, self._client_errors, **self._details):
            return self._wait_for_partitions()

    def poll(self, limit_of: LimitOf | None = None) -> list[MessageBatch]:
        """The next batch of each partition, at most one each, in the order of partitions; none when all are drained.

        A batch is closed when it is full (`batch_messages`, `batch_bytes`), when the topic has no more messages, or
        after `batch_seconds`. Further messages stay for the next call. The first call waits for the assignment of
        partitions, about half of `session_timeout_ms` with the embedded broker. A message larger than `batch_bytes` is
        a batch of its own.

        Args:
            limit_of: the largest number of messages of a batch, by partition and first offset: smaller where a batch
                has killed its worker. `batch_messages` is the upper limit and the default.

        Raises:
            RetryableError: the broker does not answer and no message was read.
            PermanentError: the broker refuses.
        """
        with translated(self._config, self._client_errors, **self._details):
            return self._next_batches(limit_of or (lambda _partition, _offset: self._settings.batch_messages))

    def commit(self, batch: MessageBatch) -> bool:
        """Commit the position after the batch, and wait until the broker has stored it.

        Returns:
            False when the partition was revoked since (also if it was assigned again): the messages are delivered
            again, and the upsert changes nothing.

        Raises:
            ValueError: an earlier batch of this partition is neither committed nor returned; it would be lost.
            RetryableError: the broker does not answer.
            PermanentError: the broker refuses.
        """
        handed = _identity(batch)
        if handed not in self._handed_out:
            return self._not_committed(batch, "the partition was revoked since")
        if any(number == batch.partition and first < handed[1] for number, first, _ in self._handed_out):
            message = f"partition {batch.partition}: commit or return the batches before {batch.first_offset} first"
            raise ValueError(message)
        with translated(self._config, self._client_errors, **self._details, partition=batch.partition):
            error = self._commits.commit(self._consumer, batch.partition, batch.last_offset + 1)
            if error is not None:
                return self._not_committed(batch, error.name())
        self._handed_out.discard(handed)
        return True

    def return_batch(self, batch: MessageBatch) -> None:
        """Return the batch to the backlog: the next `poll` begins with its first message again.

        Of several batches of a partition return the last one first. For a revoked partition this does nothing: the
        partition's next owner gets the messages.

        Raises:
            ValueError: a later batch of this partition is neither committed nor returned.
        """
        handed = _identity(batch)
        if handed not in self._handed_out:
            return
        if any(number == batch.partition and first > handed[1] for number, first, _ in self._handed_out):
            message = f"partition {batch.partition}: return the batches after {batch.last_offset} first"
            raise ValueError(message)
        self._handed_out.discard(handed)
        self._backlogs[batch.partition].requeue(batch.messages)

    # --- batches

    def _next_batches(self, limit_of: LimitOf) -> list[MessageBatch]:
        if not self._wait_for_partitions():
            return []
        self._resume()
        begun = time.monotonic()
        while True:
            self._poll(0 if self._is_complete(limit_of) else _POLL_SECONDS)
            if not self._joined:  # a rebalance: the messages read so far belong to the partitions' next owners
                if not self._wait_for_partitions():
                    return []
                begun = time.monotonic()
            elapsed = time.monotonic() - begun
            has_messages = any(backlog.messages for backlog in self._backlogs.values())
            if elapsed >= self._settings.batch_seconds:
                break
            if self._is_complete(limit_of) and (has_messages or elapsed >= _LOOK_SECONDS):
                break
        if not has_messages:
            self._check_that_it_answers()
        batches = self._cut(limit_of)
        self._commit_ends()
        return batches

    def _commit_ends(self) -> None:
        """Commit the end of each partition that was read to its end and has no batch under way.

        Markers of transactions and compacted messages take offsets without a message: uncommitted, they stay in the lag
        and the sensor starts run after run.
        """
        for number, backlog in list(self._backlogs.items()):
            has_open_batch = backlog.messages or any(handed[0] == number for handed in self._handed_out)
            done = backlog.drained and not has_open_batch and number not in self._removed
            if done and self._commits.is_behind(number, backlog.end):
                self._commits.commit(self._consumer, number, backlog.end)

    def _is_complete(self, limit_of: LimitOf) -> bool:
        """Whether each partition has a full batch or is drained."""
        most_bytes = self._settings.batch_bytes
        return all(
            backlog.drained or (backlog.messages and backlog.holds(self._limit(number, backlog, limit_of), most_bytes))
            for number, backlog in self._backlogs.items()
        )

    def _limit(self, number: int, backlog: Backlog, limit_of: LimitOf) -> int:
        return max(1, min(limit_of(number, backlog.messages[0].offset), self._settings.batch_messages))

    def _cut(self, limit_of: LimitOf) -> list[MessageBatch]:
        batches = []
        for number, backlog in sorted(self._backlogs.items()):
            if backlog.messages:
                head = backlog.cut(self._limit(number, backlog, limit_of), self._settings.batch_bytes)
                batches.append(MessageBatch(self._topic, number, head))
        self._handed_out.update(map(_identity, batches))
        return batches

    # --- the consumer

    def _options(self) -> dict[str, Any]:
        settings = self._settings
        required = {
            **group_options(self._group),
            # Reading starts at an offset that exists. If it is removed later, the run ends instead of skipping
            # messages, and the next run notes the removed offsets.
            "auto.offset.reset": "error",
            "partition.assignment.strategy": "range",
            "session.timeout.ms": settings.session_timeout_ms,
            "heartbeat.interval.ms": max(200, settings.session_timeout_ms // 6),
            "max.poll.interval.ms": max(settings.max_poll_interval_ms, settings.session_timeout_ms),
            "error_cb": self._client_errors.append,
            "on_commit": self._commits.on_commit,
        }
        return client_options(self._config, _PREFERRED, required)

    def _open(self) -> None:
        self._consumer = Consumer(self._options())
        try:
            known_topics(self._consumer)
            self._consumer.subscribe([self._topic], self._on_assign, self._on_revoke, self._on_removal)
        except BaseException:
            self._consumer.close()
            raise

    def _wait_for_partitions(self) -> bool:
        """Wait for the assignment of partitions. False where the topic does not exist."""
        if self._is_assigned() or self._missing:
            return self._joined
        log.warning("%s: the group %s assigns no partitions; recreating it", self._topic, self._group)
        self._consumer.close()  # offsets cannot be restored while a consumer joins the group
        recreated = recreate_group(self._config, self._group)
        self._open()
        if recreated and self._is_assigned():
            return True
        raise RetryableError(Code.BROKER_UNAVAILABLE, "The group assigned no partitions in time.", **self._details)

    def _is_assigned(self) -> bool:
        """Whether the group assigns partitions to this consumer in time. A missing topic ends the wait early."""
        begun = time.monotonic()
        while not self._joined:
            self._poll(_POLL_SECONDS)
            waited = time.monotonic() - begun
            if self._missing and waited > _LOOK_SECONDS:
                log.info("%s does not exist (yet)", self._topic)
                break
            if self._client_errors and waited > _ANSWER_SECONDS:
                self._check_that_it_answers()
            if waited > _JOIN_SECONDS + 3 * self._settings.session_timeout_ms / 1000:
                break
        return self._joined

    def _poll(self, seconds: float) -> None:
        """Read messages for at most this long. Rebalances happen during the call."""
        raws = self._consumer.consume(_CHUNK, seconds)
        for refusal in filter(is_refusal, self._client_errors):
            raise KafkaException(refusal)
        if raws:
            self._absorb(raws)

    def _absorb(self, raws: Sequence[RawMessage]) -> None:
        topic, backlogs = self._topic, self._backlogs
        if not raws[-1].error():
            self._client_errors.clear()
        for raw in raws:
            error, number = raw.error(), cast("int", raw.partition())
            if error is not None:
                self._note(error, number, raw.offset())
            elif number in backlogs:  # else it was revoked meanwhile
                offset, stamp = cast("int", raw.offset()), raw.timestamp()[1]
                backlogs[number].add(Message(topic, number, offset, stamp, raw.key(), raw.value(), headers_of(raw)))
        self._pause()

    def _note(self, error: KafkaError, number: int, offset: int | None) -> None:
        """Handle an error or an end of partition that the client returns instead of a message."""
        code = error.code()
        if code == KafkaError._PARTITION_EOF:  # noqa: SLF001
            self._client_errors.clear()
            if number in self._backlogs:
                self._backlogs[number].reached(offset or 0)
        elif code in _TOPIC_MISSING:
            self._missing = True
        elif is_refusal(error) or code == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            raise KafkaException(error)
        else:
            log.warning("%s: %s", self._topic, error.str())

    def _pause(self) -> None:
        """Pause each partition that has two full batches in its backlog."""
        settings = self._settings
        for number, backlog in self._backlogs.items():
            if not backlog.paused and backlog.holds(_AHEAD * settings.batch_messages, _AHEAD * settings.batch_bytes):
                self._consumer.pause([TopicPartition(self._topic, number)])
                backlog.paused = True

    def _resume(self) -> None:
        """Resume each paused partition whose backlog is below one batch."""
        for number, backlog in self._backlogs.items():
            if backlog.paused and not backlog.holds(self._settings.batch_messages, self._settings.batch_bytes):
                self._consumer.resume([TopicPartition(self._topic, number)])
                backlog.paused = False

    def _check_that_it_answers(self) -> None:
        """Ask the broker for its topics if the client reported errors: the topic may be empty or the broker away."""
        if self._client_errors:
            known_topics(self._consumer, seconds=_ANSWER_SECONDS)
            self._client_errors.clear()

    # --- rebalances

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        """Start at the group's position, or at the low watermark if the committed offset is beyond the end.

        A broker that lost its topics, as the embedded one does at every restart, counts from 0 again. The old offsets
        would skip messages, and the embedded broker does not report them as out of range.
        """
        positions = {}
        if assigned:
            numbers = [one.partition for one in assigned]
            for offsets in partition_offsets(self._config, self._topic, self._group, numbers):
                positions[offsets.partition] = offsets.position
                self._commits.begin(offsets)
                if offsets.removed:
                    self._removed[offsets.partition] = offsets.removed
                if offsets.is_beyond:
                    log.warning(
                        "%s, partition %s: %s was committed and the topic ends at %s, so it was recreated; "
                        "starting at the low watermark, %s",
                        self._topic, offsets.partition, offsets.committed, offsets.last_stable, offsets.position,
                    )  # fmt: skip
        for one in assigned:
            one.offset = positions.get(one.partition, one.offset)
            self._backlogs[one.partition] = Backlog()
        consumer.assign(assigned)
        consumer.resume(assigned)  # a partition that was paused when it was revoked would stay paused
        self._joined = True
        self._client_errors.clear()
        self._missing = self._missing and not assigned
        log.info("%s: partitions %s are assigned", self._topic, sorted(self._backlogs))

    def _on_revoke(self, _consumer: Consumer, revoked: list[TopicPartition]) -> None:
        self._forget(revoked)

    def _on_removal(self, _consumer: Consumer, revoked: list[TopicPartition]) -> None:
        self._forget(revoked)
        log.warning("%s: the group has removed this consumer, which joins it again", self._topic)

    def _forget(self, revoked: list[TopicPartition]) -> None:
        """Drop the messages that were read of revoked partitions."""
        gone = {one.partition for one in revoked}
        dropped = sum(len(self._backlogs.pop(number, Backlog()).messages) for number in gone)
        self._commits.forget(gone)
        self._removed = {number: offsets for number, offsets in self._removed.items() if number not in gone}
        self._handed_out = {handed for handed in self._handed_out if handed[0] not in gone}
        self._joined = False
        log.info("%s: partitions %s are revoked; %s messages dropped", self._topic, sorted(gone), dropped)

    def _not_committed(self, batch: MessageBatch, reason: str) -> bool:
        self._handed_out.discard(_identity(batch))
        log.warning(
            "%s, partition %s: offsets %s to %s are not committed (%s); they will be delivered again",
            self._topic, batch.partition, batch.first_offset, batch.last_offset, reason,
        )  # fmt: skip
        return False


def _identity(batch: MessageBatch) -> tuple[int, int, int]:
    return batch.partition, batch.first_offset, batch.last_offset

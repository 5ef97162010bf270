"""Taking messages: a member of a consumer group that hands out bounded batches and commits them when it is told to.

What belongs here: joining, fetching, cutting batches, rebalances, commits. What does not: what the messages mean, and
when a batch may be committed (`consume` decides: after the warehouse's transaction).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Self, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from include.errors import Code, RetryableError, Stage
from include.streams.backlog import Backlog
from include.streams.broker import (
    Complaints,
    client_options,
    group_options,
    is_refusal,
    known_topics,
    remake_group,
    spans,
    translated,
)
from include.streams.commits import Commits
from include.streams.messages import Message, MessageBatch, headers_of

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
# So long may the broker wait with its answer when there is nothing: then the end of a partition is known.
_FETCH_WAIT_MS = 50
# A look at a topic that was drained before: longer than one fetch takes.
_LOOK_SECONDS = 0.3
# Batches read of one partition while the others are waited for; then it is paused.
_AHEAD = 2
_PREFERRED: dict[str, Any] = {
    "fetch.wait.max.ms": _FETCH_WAIT_MS,
    "fetch.error.backoff.ms": 100,
    "fetch.queue.backoff.ms": 10,
    "topic.metadata.refresh.interval.ms": 2_000,  # a topic that is made anew is found soon
}
_TOPIC_MISSING = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}  # noqa: SLF001


class Intake:
    """A consumer of one topic. Use it in a `with`; it is for one thread.

    Messages that were handed out and are never committed are delivered again, to this consumer's successor.
    """

    def __init__(self, config: KafkaConfig, topic: str, group: str, settings: StreamSettings) -> None:
        self._config, self._topic, self._group, self._settings = config, topic, group, settings
        self._backlogs: dict[int, Backlog] = {}
        self._handed_out: set[tuple[int, int, int]] = set()
        self._commits = Commits(topic, self._poll)
        self._removed: dict[int, tuple[int, int]] = {}
        self._joined = self._missing = False
        self._complaints = Complaints(maxlen=20)
        self._facts: dict[str, Any] = {"topic": topic, "group": group}

    def __enter__(self) -> Self:
        with translated(self._config, self._complaints, **self._facts):
            self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that are this consumer's at the moment."""
        return frozenset(self._backlogs)

    def take_removed(self) -> dict[int, tuple[int, int]]:
        """First and last offset, by partition, of what the broker removed before the group had read it; each once.

        To be asked after `join` and after each `take`: no position behind such a range is committed before.
        """
        removed, self._removed = self._removed, {}
        return removed

    def join(self) -> bool:
        """Wait for the group to give partitions to this consumer, as the first `take` does. False: no such topic.

        Raises:
            RetryableError: the broker does not answer.
            PermanentError: the broker refuses.
        """
        with translated(self._config, self._complaints, **self._facts):
            return self._wait_for_partitions()

    def take(self, limit_of: LimitOf | None = None) -> list[MessageBatch]:
        """The next batch of each partition, at most one each, in the order of partitions; none when all are drained.

        A batch is closed when it is full (`batch_messages`, `batch_bytes`), when the topic has no more, or after
        `batch_seconds`. What is beyond a limit stays for the next call. The first call waits for the group to give
        partitions to this consumer, about half of `session_timeout_ms` with the embedded broker. One message that is
        larger than `batch_bytes` is a batch of its own.

        Args:
            limit_of: a smaller number of messages, from partition and first offset: where a batch has killed its
                worker, say. Without it, and where it says more than that, `batch_messages` holds.

        Raises:
            RetryableError: the broker does not answer and nothing had been read.
            PermanentError: the broker refuses.
        """
        with translated(self._config, self._complaints, **self._facts):
            return self._take(limit_of or (lambda _partition, _offset: self._settings.batch_messages))

    def commit(self, batch: MessageBatch) -> bool:
        """Say that the batch is done, and wait until the broker has it.

        Returns:
            False when the partition is somebody else's by now (or was taken away and given back): the messages will be
            delivered again, and the upsert makes nothing of it.

        Raises:
            ValueError: a batch of this partition before it is neither committed nor rewound; it would be lost.
            RetryableError: the broker does not answer.
            PermanentError: the broker refuses.
        """
        handed = _identity(batch)
        if handed not in self._handed_out:
            return self._not_committed(batch, "the partition was taken away since")
        if any(number == batch.partition and first < handed[1] for number, first, _ in self._handed_out):
            message = f"partition {batch.partition}: commit or rewind the batches before {batch.first_offset} first"
            raise ValueError(message)
        with translated(self._config, self._complaints, **self._facts, partition=batch.partition):
            error = self._commits.commit(self._consumer, batch.partition, batch.last_offset + 1)
            if error is not None:
                return self._not_committed(batch, error.name())
        self._handed_out.discard(handed)
        return True

    def rewind(self, batch: MessageBatch) -> None:
        """Take the batch back: the next `take` begins with its first message again.

        Of several batches of a partition the last goes back first. Where the partition has been taken away, this does
        nothing: its next owner gets the messages.

        Raises:
            ValueError: a later batch of this partition has been handed out and is neither committed nor rewound.
        """
        handed = _identity(batch)
        if handed not in self._handed_out:
            return
        if any(number == batch.partition and first > handed[1] for number, first, _ in self._handed_out):
            message = f"partition {batch.partition}: rewind the batches after {batch.last_offset} first"
            raise ValueError(message)
        self._handed_out.discard(handed)
        self._backlogs[batch.partition].put_back(batch.messages)

    # --- taking

    def _take(self, limit_of: LimitOf) -> list[MessageBatch]:
        if not self._wait_for_partitions():
            return []
        self._resume()
        begun = time.monotonic()
        while True:
            self._poll(0 if self._is_complete(limit_of) else _POLL_SECONDS)
            if not self._joined:  # a rebalance came in between: what had been read is its next owner's
                if not self._wait_for_partitions():
                    return []
                begun = time.monotonic()
            elapsed = time.monotonic() - begun
            something = any(backlog.messages for backlog in self._backlogs.values())
            if elapsed >= self._settings.batch_seconds:
                break
            if self._is_complete(limit_of) and (something or elapsed >= _LOOK_SECONDS):
                break
        if not something:
            self._check_that_it_answers()
        batches = self._cut(limit_of)
        self._commit_ends()
        return batches

    def _commit_ends(self) -> None:
        """Commit the position of each partition that was read to its end with nothing left to hand out.

        Markers of transactions, and what compaction removed, take offsets that are in no batch. Without this they stay
        in the group's lag, and the sensor starts run after run for them.
        """
        for number, backlog in list(self._backlogs.items()):
            under_way = backlog.messages or any(handed[0] == number for handed in self._handed_out)
            done = backlog.drained and not under_way and number not in self._removed
            if done and self._commits.is_behind(number, backlog.end):
                self._commits.commit(self._consumer, number, backlog.end)

    def _is_complete(self, limit_of: LimitOf) -> bool:
        """Whether each partition has a full batch, or nothing more to give."""
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
            # Each partition is begun at an offset that is there. One that is removed later is never passed over in
            # silence: the run ends, and the next one says which offsets are gone.
            "auto.offset.reset": "error",
            "partition.assignment.strategy": "range",
            "session.timeout.ms": settings.session_timeout_ms,
            "heartbeat.interval.ms": max(200, settings.session_timeout_ms // 6),
            "max.poll.interval.ms": max(settings.max_poll_interval_ms, settings.session_timeout_ms),
            "error_cb": self._complaints.append,
            "on_commit": self._commits.on_commit,
        }
        return client_options(self._config, _PREFERRED, required)

    def _open(self) -> None:
        self._consumer = Consumer(self._options())
        try:
            known_topics(self._consumer)
            self._consumer.subscribe([self._topic], self._on_assign, self._on_revoke, self._on_lost)
        except BaseException:
            self._consumer.close()
            raise

    def _wait_for_partitions(self) -> bool:
        """Wait until the group has said which partitions are ours. False where the topic does not exist."""
        if self._is_assigned() or self._missing:
            return self._joined
        log.warning("%s: the group %s gives no partitions to anybody; making it anew", self._topic, self._group)
        self._consumer.close()  # a group that is being joined cannot have its offsets back
        remade = remake_group(self._config, self._group)
        self._open()
        if remade and self._is_assigned():
            return True
        raise RetryableError(
            Stage.CLAIM, Code.BROKER_UNAVAILABLE, "The group has given no partitions in time.", **self._facts
        )

    def _is_assigned(self) -> bool:
        """Whether the group gives partitions to this consumer in time. A missing topic ends the wait early."""
        begun = time.monotonic()
        while not self._joined:
            self._poll(_POLL_SECONDS)
            waited = time.monotonic() - begun
            if self._missing and waited > _LOOK_SECONDS:
                log.info("%s does not exist (yet)", self._topic)
                break
            if self._complaints and waited > _ANSWER_SECONDS:
                self._check_that_it_answers()
            if waited > _JOIN_SECONDS + 3 * self._settings.session_timeout_ms / 1000:
                break
        return self._joined

    def _poll(self, seconds: float) -> None:
        """Read what is there, waiting for it for at most this long. Rebalances happen in here."""
        raws = self._consumer.consume(_CHUNK, seconds)
        for refusal in filter(is_refusal, self._complaints):
            raise KafkaException(refusal)
        if raws:
            self._absorb(raws)

    def _absorb(self, raws: Sequence[RawMessage]) -> None:
        topic, backlogs = self._topic, self._backlogs
        if not raws[-1].error():
            self._complaints.clear()
        for raw in raws:
            error, number = raw.error(), cast("int", raw.partition())
            if error is not None:
                self._note(error, number, raw.offset())
            elif number in backlogs:  # else it was taken away while this was under way
                offset, stamp = cast("int", raw.offset()), raw.timestamp()[1]
                backlogs[number].add(Message(topic, number, offset, stamp, raw.key(), raw.value(), headers_of(raw)))
        self._pause()

    def _note(self, error: KafkaError, number: int, offset: int | None) -> None:
        """What comes in place of a message."""
        code = error.code()
        if code == KafkaError._PARTITION_EOF:  # noqa: SLF001
            self._complaints.clear()
            if number in self._backlogs:
                self._backlogs[number].reached(offset or 0)
        elif code in _TOPIC_MISSING:
            self._missing = True
        elif is_refusal(error) or code == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            raise KafkaException(error)
        else:
            log.warning("%s: %s", self._topic, error.str())

    def _pause(self) -> None:
        """Read no further where two batches lie ready, while other partitions are still waited for."""
        settings = self._settings
        for number, backlog in self._backlogs.items():
            if not backlog.paused and backlog.holds(_AHEAD * settings.batch_messages, _AHEAD * settings.batch_bytes):
                self._consumer.pause([TopicPartition(self._topic, number)])
                backlog.paused = True

    def _resume(self) -> None:
        """Read on where a batch has been handed out since."""
        for number, backlog in self._backlogs.items():
            if backlog.paused and not backlog.holds(self._settings.batch_messages, self._settings.batch_bytes):
                self._consumer.resume([TopicPartition(self._topic, number)])
                backlog.paused = False

    def _check_that_it_answers(self) -> None:
        """Tell a topic without messages from a broker that is away."""
        if self._complaints:
            known_topics(self._consumer, seconds=_ANSWER_SECONDS)
            self._complaints.clear()

    # --- what the group decides

    def _on_assign(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """Begin where the group stopped, or at the beginning where that is beyond the end.

        A broker that lost its topics, as the embedded one does at every restart, counts from 0 again. Offsets of before
        would skip messages, and the embedded broker does not call them out of range either.
        """
        starts = {}
        if places:
            ours = [place.partition for place in places]
            for span in spans(self._config, self._topic, self._group, ours):
                starts[span.partition] = span.start
                self._commits.begin(span)
                if span.removed:
                    self._removed[span.partition] = span.removed
                if span.is_beyond:
                    log.warning(
                        "%s, partition %s: %s was committed and the topic ends at %s, so it was made anew; "
                        "starting at its beginning, %s",
                        self._topic, span.partition, span.committed, span.end, span.start,
                    )  # fmt: skip
        for place in places:
            place.offset = starts.get(place.partition, place.offset)
            self._backlogs[place.partition] = Backlog()
        consumer.assign(places)
        consumer.resume(places)  # one that was paused when it was taken away would stay so
        self._joined = True
        self._complaints.clear()
        self._missing = self._missing and not places
        log.info("%s: partitions %s are ours", self._topic, sorted(self._backlogs))

    def _on_revoke(self, _consumer: Consumer, places: list[TopicPartition]) -> None:
        self._forget(places)

    def _on_lost(self, _consumer: Consumer, places: list[TopicPartition]) -> None:
        self._forget(places)
        log.warning("%s: the group has gone on without this consumer, which joins it again", self._topic)

    def _forget(self, places: list[TopicPartition]) -> None:
        """Drop what has been read of partitions that are not ours any more."""
        gone = {place.partition for place in places}
        dropped = sum(len(self._backlogs.pop(number, Backlog()).messages) for number in gone)
        self._commits.forget(gone)
        self._removed = {number: span for number, span in self._removed.items() if number not in gone}
        self._handed_out = {handed for handed in self._handed_out if handed[0] not in gone}
        self._joined = False
        log.info("%s: partitions %s are ours no more; %s messages dropped", self._topic, sorted(gone), dropped)

    def _not_committed(self, batch: MessageBatch, reason: str) -> bool:
        self._handed_out.discard(_identity(batch))
        log.warning(
            "%s, partition %s: offsets %s to %s are not committed (%s); they will be delivered again",
            self._topic, batch.partition, batch.first_offset, batch.last_offset, reason,
        )  # fmt: skip
        return False


def _identity(batch: MessageBatch) -> tuple[int, int, int]:
    return batch.partition, batch.first_offset, batch.last_offset

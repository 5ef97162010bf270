"""The stream of messages, good and bad, and the broker's final state.

What belongs here: published messages, dead letters, offsets. The broker keeps messages in memory and gets no faults.
"""

from __future__ import annotations

import json
import random
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, TopicPartition

from include.settings import StreamSettings
from include.streams.broker import ensure_topic, raise_for, reader
from include.streams.dead_letters import OFFSET, PARTITION, dead_letter_topic
from include.streams.messages import headers_of
from include.streams.offsets import partition_offsets
from include.streams.publish import publisher
from proof.torture.proxied_platform import TOPIC

if TYPE_CHECKING:
    from include.settings import KafkaConfig

MARK = "torture-number"
_AT_ONCE = (5, 40)
_PAUSE = (0.5, 2.5)
_KEYS = 400
_BAD_EVERY = 43  # fewer than one in twenty, which would stop a batch of a hundred or more
_JOIN_SECONDS = 120
_BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
_GROUP = "torture"


@dataclass
class Messages:
    """A thread that publishes messages. `good` are the bodies in order, `bad` the numbers of the bad messages."""

    kafka: KafkaConfig
    seed: int
    good: list[bytes] = field(default_factory=list)
    bad: set[int] = field(default_factory=set)
    error: Exception | None = None

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._chance = random.Random(f"messages {self.seed}")  # noqa: S311 - repeatable, not secret
        self._thread = threading.Thread(target=self._run, name="messages", daemon=True)

    @property
    def published(self) -> int:
        """The number of published messages."""
        return len(self.good) + len(self.bad)

    def start(self) -> None:
        """Create the topic and start the thread."""
        ensure_topic(self.kafka, TOPIC, StreamSettings().partitions)
        self._thread.start()

    def stop(self) -> None:
        """Stop publishing.

        Raises:
            Exception: the error that ended the thread, such as a refused message.
        """
        self._stop.set()
        self._thread.join(_JOIN_SECONDS)
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            with publisher(self.kafka, TOPIC) as publishing:
                while not self._stop.is_set():
                    for _ in range(self._chance.randint(*_AT_ONCE)):
                        number = self.published + 1
                        key, body = self._message(number)
                        publishing.send(body, key, [(MARK, str(number).encode())])
                    publishing.flush()
                    self._stop.wait(self._chance.uniform(*_PAUSE))
        except Exception as error:
            self.error = error

    def _message(self, number: int) -> tuple[bytes, bytes]:
        key = f"M{self._chance.randrange(_KEYS):06}"
        # Each number has a unique time; neighbours are swapped, so that older messages also follow newer ones.
        fetched = _BEGIN + timedelta(seconds=number + 1 if number % 2 else number - 1)
        row: dict[str, object] = {
            "id": key,
            "repository": self._chance.choice(["harbour/ledger", "harbour/beacon"]),
            "type": self._chance.choice(["PushEvent", "IssueCommentEvent"]),
            "actor_login": self._chance.choice(["ada", "grace", None]),
            "issue_number": self._chance.randint(1, 900),
            "is_public": self._chance.random() < 0.5,
            "created_at": "2026-02-28T09:31:12Z",
            "fetched_at": fetched.isoformat().replace("+00:00", "Z"),
        }
        if number % _BAD_EVERY:
            body = json.dumps(row).encode()
            self.good.append(body)
            return key.encode(), body
        self.bad.add(number)
        wrong = number // _BAD_EVERY % 4
        if wrong == 0:
            return key.encode(), json.dumps(row).encode()[:-9]
        bad: object = [row] if wrong == 1 else row | {"id": None} if wrong == 2 else row | {"fetched_at": "yesterday"}
        return key.encode(), json.dumps(bad).encode()


@dataclass(frozen=True)
class DeadLetters:
    """Content of the dead letter topic: distinct message numbers and distinct positions (partition, offset)."""

    letters: int = 0
    numbers: frozenset[int] = frozenset()
    positions: frozenset[tuple[int, int]] = frozenset()


def consumer_lag(kafka: KafkaConfig) -> int:
    """Return the consumer group's lag, all partitions together."""
    return sum(offsets.lag for offsets in partition_offsets(kafka, TOPIC, StreamSettings().group_of(TOPIC)))


def last_stable_total(kafka: KafkaConfig) -> int:
    """Return the sum of the last stable offsets, which is the number of published messages."""
    return sum(offsets.last_stable for offsets in partition_offsets(kafka, TOPIC, StreamSettings().group_of(TOPIC)))


def dead_letters(kafka: KafkaConfig) -> DeadLetters:
    """Read the dead letter topic from its beginning to its end."""
    topic = dead_letter_topic(TOPIC)
    found = partition_offsets(kafka, topic, _GROUP)
    if not found:
        return DeadLetters()
    numbers, positions, letters = set(), set(), 0
    with reader(kafka, topic, _GROUP, {"fetch.wait.max.ms": 50}) as consumer:
        for offsets in found:
            consumer.assign([TopicPartition(topic, offsets.partition, offsets.low)])
            at_end = offsets.low >= offsets.last_stable
            while not at_end:
                for raw in consumer.consume(1000, 1.0):
                    error = raw.error()
                    if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                        at_end = True
                        continue
                    raise_for(error)
                    headers = dict(headers_of(raw))
                    letters += 1
                    numbers.add(int(headers[MARK] or b""))
                    positions.add((int(headers[PARTITION] or b""), int(headers[OFFSET] or b"")))
    return DeadLetters(letters, frozenset(numbers), frozenset(positions))

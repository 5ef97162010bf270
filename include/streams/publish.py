"""Publishing messages so that none is lost unnoticed: the count of those that the broker has acknowledged.

What belongs here: the producer and its accounts. What does not: what is published (`produce`, `dead_letters`).
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Producer

from include.streams.broker import Complaints, client_options, is_refusal, known_topics, most_telling, pipeline_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from confluent_kafka import Message as RawMessage

    from include.settings import KafkaConfig

    Headers = Sequence[tuple[str, bytes | None]]

FLUSH_SECONDS = 60.0
# Nothing of ours limits a message: the broker says what is too large.
_LARGEST_MESSAGE_BYTES = 64 * 1024**2
_SERVE_EVERY = 500
_PREFERRED: dict[str, Any] = {
    "linger.ms": 20,
    "partitioner": "murmur2_random",  # as Java's clients do: a key's messages meet in one partition, whoever sends
    "queue.buffering.max.messages": 200_000,
    "queue.buffering.max.kbytes": 256 * 1024,
    "message.max.bytes": _LARGEST_MESSAGE_BYTES,
    "delivery.timeout.ms": 30_000,
}


@contextmanager
def publisher(config: KafkaConfig, topic: str) -> Iterator[Publisher]:
    """A producer that writes each message once (idempotent, all replicas). What was sent counts after `flush` only.

    Raises:
        RetryableError: not every message was acknowledged.
        PermanentError: the broker refused one, as too large for instance.
    """
    complaints = Complaints(maxlen=20)
    required = {"enable.idempotence": True, "acks": "all", "error_cb": complaints.append}
    publishing = None
    try:
        producer = Producer(client_options(config, _PREFERRED, required))
        known_topics(producer)  # without it, an idempotent producer waits half a second before it begins
        publishing = Publisher(producer, topic)
        yield publishing
    except KafkaException as error:
        told = most_telling(error.args[0], complaints)
        counts = {"sent": publishing.sent, "acknowledged": publishing.acknowledged} if publishing else {}
        raise pipeline_error(told, config, topic=topic, **counts) from error
    finally:
        if publishing:
            publishing.give_up()


class Publisher:
    """A producer of one topic that counts. Use it through `publisher`; it is for one thread."""

    def __init__(self, producer: Producer, topic: str) -> None:
        self._producer, self._topic = producer, topic
        self.sent = 0
        self.acknowledged = 0
        self.failures: list[KafkaError] = []

    def send(self, value: bytes | None, key: bytes | None = None, headers: Headers = ()) -> None:
        """Queue a message. Where the queue is full this waits for the broker to take some."""
        deadline = time.monotonic() + FLUSH_SECONDS
        while True:
            try:
                self._producer.produce(
                    self._topic, value, key, on_delivery=self._delivered, headers=list(headers) or None
                )
            except BufferError:
                self._producer.poll(0.05)
                if time.monotonic() > deadline:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the queue is full")) from None  # noqa: SLF001
            else:
                break
        self.sent += 1
        if self.sent % _SERVE_EVERY == 0:
            self.serve(0)

    def serve(self, seconds: float) -> None:
        """Hear what the broker has acknowledged, for this long; raise where it refused something."""
        self._producer.poll(seconds)
        if self.failures:
            raise KafkaException(self._worst())

    def flush(self) -> int:
        """Wait until the broker has acknowledged everything.

        Returns:
            How many it has acknowledged, of all that were sent.
        """
        self._producer.flush(FLUSH_SECONDS)
        if self.failures:
            raise KafkaException(self._worst())
        if self.acknowledged < self.sent:
            raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT, "not every message was acknowledged"))  # noqa: SLF001
        return self.acknowledged

    def give_up(self) -> None:
        """Forget what has not been sent yet. After a flush there is nothing."""
        self._producer.purge()
        self._producer.poll(0)

    def _delivered(self, error: KafkaError | None, _message: RawMessage) -> None:
        if error is None:
            self.acknowledged += 1
        else:
            self.failures.append(error)

    def _worst(self) -> KafkaError:
        """A refusal says more than what timed out behind it."""
        return next(filter(is_refusal, self.failures), self.failures[0])

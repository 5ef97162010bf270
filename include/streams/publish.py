"""Publishing messages and counting the broker's acknowledgements: a missing one is an error.

What belongs here: the producer and its counts. What does not: what is published (`produce`, `dead_letters`).
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Producer

from include.streams.broker import ClientErrors, client_options, is_refusal, known_topics, pipeline_error, root_cause

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from confluent_kafka import Message as RawMessage

    from include.settings import KafkaConfig

    Headers = Sequence[tuple[str, bytes | None]]

FLUSH_SECONDS = 60.0
# The client limits no message: the broker decides what is too large.
_LARGEST_MESSAGE_BYTES = 64 * 1024**2
_SERVE_EVERY = 500
_PREFERRED: dict[str, Any] = {
    "linger.ms": 20,
    "partitioner": "murmur2_random",  # as Java's clients: messages of one key go to one partition, from any client
    "queue.buffering.max.messages": 200_000,
    "queue.buffering.max.kbytes": 256 * 1024,
    "message.max.bytes": _LARGEST_MESSAGE_BYTES,
    "delivery.timeout.ms": 30_000,
}


@contextmanager
def publisher(config: KafkaConfig, topic: str) -> Iterator[Publisher]:
    """A producer that writes each message once (idempotent, all replicas). Call `flush` to be sure of that.

    Raises:
        RetryableError: not every message was acknowledged.
        PermanentError: the broker refused one, for example because it is too large.
    """
    client_errors = ClientErrors(maxlen=20)
    required = {"enable.idempotence": True, "acks": "all", "error_cb": client_errors.append}
    publishing = None
    try:
        producer = Producer(client_options(config, _PREFERRED, required))
        known_topics(producer)  # without it, an idempotent producer waits half a second before it begins
        publishing = Publisher(producer, topic)
        yield publishing
    except KafkaException as error:
        cause = root_cause(error.args[0], client_errors)
        counts = {"sent": publishing.sent, "acknowledged": publishing.acknowledged} if publishing else {}
        raise pipeline_error(cause, config, topic=topic, **counts) from error
    finally:
        if publishing:
            publishing.purge()


class Publisher:
    """A producer of one topic that counts. Use it through `publisher`; it is for one thread."""

    def __init__(self, producer: Producer, topic: str) -> None:
        self._producer, self._topic = producer, topic
        self.sent = 0
        self.acknowledged = 0
        self.failures: list[KafkaError] = []

    def send(self, value: bytes | None, key: bytes | None = None, headers: Headers = ()) -> None:
        """Queue a message. If the queue is full, wait until the broker has taken some messages."""
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
        """Handle the broker's acknowledgements for this long. Raises Kafka's error for a refused message."""
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

    def purge(self) -> None:
        """Drop messages that were not sent yet. After a flush there are none."""
        self._producer.purge()
        self._producer.poll(0)

    def _delivered(self, error: KafkaError | None, _message: RawMessage) -> None:
        if error is None:
            self.acknowledged += 1
        else:
            self.failures.append(error)

    def _worst(self) -> KafkaError:
        """The first refusal, else the first error: messages after a refused one time out."""
        return next(filter(is_refusal, self.failures), self.failures[0])

"""The broker under test: restarting and suspending it, and reading its topics."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from include.streams.broker import reader
from include.streams.messages import Message, headers_of
from include.streams.publish import publisher
from local.supervisor.platform import KAFKA, Platform

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from include.settings import KafkaConfig
    from include.streams.messages import MessageBatch


@dataclass
class Broker:
    """The broker under test, with ways to publish, restart and suspend."""

    platform: Platform
    config: KafkaConfig

    def send(self, topic: str, values: Iterable[bytes | None], key: bytes | None = None) -> int:
        """Publish messages and wait for the acknowledgements. With a key they are all in one partition."""
        with publisher(self.config, topic) as publishing:
            for value in values:
                publishing.send(value, key)
            return publishing.flush()

    def topics(self) -> set[str]:
        """The topics that exist. Asking creates none."""
        return set(self._admin().list_topics(timeout=5).topics)

    def restart(self) -> None:
        """Kill the broker; the supervisor starts it again, without any topic."""
        killed = self._process()
        killed.kill()
        killed.wait(10)
        deadline = time.monotonic() + 30
        while True:
            try:
                self._admin().list_topics(timeout=0.5)
                return
            except KafkaException:
                assert time.monotonic() < deadline
                time.sleep(0.1)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Suspend the broker: it accepts connections and does not answer."""
        process = self._process()
        process.suspend()
        while any(_state(process.pid, thread.id) != "T" for thread in process.threads()):
            time.sleep(0.01)
        try:
            yield
        finally:
            process.resume()

    def _process(self) -> psutil.Process:
        status = next(service for service in self.platform.status() if service.name == KAFKA)
        assert status.pid is not None
        return psutil.Process(status.pid)

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.config.bootstrap_servers, "log_level": 0})


def _state(process: int, thread: int) -> str:
    """The kernel's state of a thread: threads are stopped one by one."""
    return Path(f"/proc/{process}/task/{thread}/stat").read_text().rpartition(") ")[2][0]


def values(batches: Iterable[MessageBatch]) -> list[bytes | None]:
    """The messages' values, in the order of delivery."""
    return [message.value for batch in batches for message in batch.messages]


def contents(broker: Broker, topic: str) -> list[Message]:
    """Every message of the topic, by partition and offset, read without a group."""
    found = []
    with reader(broker.config, topic, "looks-on", {"fetch.wait.max.ms": 20}) as consumer:
        partitions = list(consumer.list_topics(timeout=5).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        ends: set[int] = set()
        while len(ends) < len(partitions):
            for raw in consumer.consume(1000, 0.02):
                number = raw.partition()
                if raw.error():
                    assert raw.error().code() == KafkaError._PARTITION_EOF, raw.error()
                    ends.add(number)
                else:
                    found.append(Message(topic, number, raw.offset(), 0, raw.key(), raw.value(), headers_of(raw)))
    return sorted(found, key=lambda message: (message.partition, message.offset))

"""Headers that no Python client would write, on the real broker: names are bytes in Kafka, and text in the client."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING

import confluent_kafka
import pytest
from real_broker import contents

from include.errors import Code
from include.streams.batch_consumer import BatchConsumer
from include.streams.broker import ensure_topic
from include.streams.dead_letters import DeadLetter, publish, replay

if TYPE_CHECKING:
    from real_broker import Broker

    from include.settings import StreamSettings

pytestmark = pytest.mark.integration

# Of rdkafka.h: what an argument of rd_kafka_producev is, and that it copies the value.
_TOPIC, _VALUE, _FLAGS, _HEADER, _END = 1, 4, 7, 9, 0
_COPY = 2


def send(broker: Broker, topic: str, value: bytes, name: bytes, held: bytes) -> None:
    """Publish through librdkafka itself, which checks no header's name."""
    (found,) = (Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs").glob("librdkafka*")
    library = ctypes.CDLL(str(found))
    library.rd_kafka_conf_new.restype = ctypes.c_void_p
    library.rd_kafka_new.restype = ctypes.c_void_p
    error_text = ctypes.create_string_buffer(512)
    conf = ctypes.c_void_p(library.rd_kafka_conf_new())
    servers = broker.config.bootstrap_servers.encode()
    library.rd_kafka_conf_set(conf, b"bootstrap.servers", servers, error_text, ctypes.c_size_t(512))
    client = ctypes.c_void_p(library.rd_kafka_new(0, conf, error_text, ctypes.c_size_t(512)))
    size = ctypes.c_size_t
    error = library.rd_kafka_producev(
        client, _TOPIC, topic.encode(), _VALUE, value, size(len(value)), _FLAGS, _COPY,
        _HEADER, name, held, ctypes.c_ssize_t(len(held)), _END,
    )  # fmt: skip
    assert not error
    assert not library.rd_kafka_flush(client, 30_000)
    library.rd_kafka_destroy(client)


def test_a_header_name_that_is_not_utf8_stops_no_message(
    broker: Broker, topic: str, streams: StreamSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Also after a hundred good messages, when the interpreter has specialised the call."""
    ensure_topic(broker.config, topic, 1)
    broker.send(topic, [b"good"] * 100)
    send(broker, topic, b"one", b"trace", b"1")
    send(broker, topic, b"two", b"tr\xff\xfe", b"2")
    send(broker, topic, b"three", "spür".encode(), b"3")
    with BatchConsumer(broker.config, topic, topic, streams) as consumer:
        (batch,) = consumer.poll()
    last = batch.messages[100:]
    assert [message.value for message in last] == [b"one", b"two", b"three"]
    assert [message.headers for message in last] == [(("trace", b"1"),), (), (("spür", b"3"),)]
    assert f"{topic} [0] at 101: its headers' names are not UTF-8" in caplog.text


def test_a_dead_letter_with_such_a_header_name_is_replayed(broker: Broker, topic: str) -> None:
    ensure_topic(broker.config, f"{topic}.dlq", 1)
    send(broker, f"{topic}.dlq", b"two", b"tr\xff\xfe", b"2")
    assert replay(broker.config, topic) == 1
    (replayed,) = contents(broker, topic)
    assert (replayed.value, replayed.headers) == (b"two", (("dlq-attempt", b"0"),))


def test_headers_of_almost_a_megabyte_are_kept_in_the_dead_letter(broker: Broker, topic: str) -> None:
    ensure_topic(broker.config, topic, 1)
    name, held = b"n" * 100_000, b"h" * 850_000
    send(broker, topic, b"{", name, held)
    (bad,) = contents(broker, topic)
    assert bad.size > len(name) + len(held)
    assert publish(broker.config, [DeadLetter(bad, Code.BAD_ROW_JSON, "Not JSON.", "validate")]) == 1
    (dead,) = contents(broker, f"{topic}.dlq")
    assert (dead.value, dead.header(name.decode())) == (b"{", held)

"""Dead letters on the real broker: what they keep, and how they are replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from real_broker import contents

from include.errors import Code, PermanentError, RetryableError
from include.settings import KafkaConfig
from include.streams import broker as broker_module
from include.streams import dead_letters
from include.streams.broker import ensure_topic
from include.streams.dead_letters import DeadLetter, publish, replay
from include.streams.messages import Message
from include.streams.offsets import group_lag
from include.streams.topics import topic_options

if TYPE_CHECKING:
    from real_broker import Broker


pytestmark = pytest.mark.integration


def letter(topic: str, value: bytes | None, key: bytes | None = None, offset: int = 0) -> DeadLetter:
    message = Message(topic, 0, offset, 1_700_000_000_000, key, value, (("trace", b"\xff"),))
    return DeadLetter(message, Code.BAD_ROW_JSON, "Not JSON.", "validate")


@pytest.mark.parametrize(
    ("value", "key"),
    [(b"{", b"k"), (b"", None), (bytes(range(256)), b"\x00\xff"), (b"x" * 900_000, b"k"),
     (b"x" * 1_048_576, None)],
    ids=["text", "empty", "binary", "900 KB", "1 MB"],
)  # fmt: skip
def test_a_dead_letter_and_its_replay_keep_bytes_key_and_headers(
    broker: Broker, topic: str, value: bytes | None, key: bytes | None
) -> None:
    assert publish(broker.config, [letter(topic, value, key)]) == 1
    (dead,) = contents(broker, f"{topic}.dlq")
    assert (dead.key, dead.value) == (key, value)
    assert dead.header("trace") == b"\xff"
    assert dead.header("dlq-error-code") == b"bad-row-json"
    assert dead.header("dlq-source-topic") == topic.encode()
    assert replay(broker.config, topic) == 1
    (replayed,) = contents(broker, topic)
    assert (replayed.key, replayed.value) == (key, value)
    assert replayed.headers == (("trace", b"\xff"), ("dlq-attempt", b"1"))


def test_each_letter_is_replayed_once_and_in_order(broker: Broker, topic: str) -> None:
    ensure_topic(broker.config, topic, 1)
    publish(broker.config, [letter(topic, b"%d" % number) for number in range(25)])
    progress: list[int] = []
    assert replay(broker.config, topic, limit=10, on_progress=progress.append) == 10
    assert replay(broker.config, topic) == 15
    assert replay(broker.config, topic) == 0
    assert progress == [10]
    assert [message.value for message in contents(broker, topic)] == [b"%d" % number for number in range(25)]
    assert group_lag(broker.config, f"{topic}.dlq", "filegate.replay") == 0


@pytest.mark.parametrize("chunk", [2, 10_000], ids=["two at a time", "all at once"])
def test_a_delete_is_never_replayed(broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """A=null after A=v2 would delete v2, in compacted topics and in tables of other consumers."""
    monkeypatch.setattr(dead_letters, "_REPLAY_CHUNK", chunk)
    ensure_topic(broker.config, topic, 1)
    publish(broker.config, [letter(topic, value, b"A") for value in (None, b"1", None, None, b"2", None)])
    broker.send(topic, [b"v2"], b"A")
    assert replay(broker.config, topic) == 2
    assert [message.value for message in contents(broker, topic)] == [b"v2", b"1", b"2"]
    assert group_lag(broker.config, f"{topic}.dlq", "filegate.replay") == 0
    assert replay(broker.config, topic) == 0


def test_deletes_alone_are_skipped(broker: Broker, topic: str) -> None:
    ensure_topic(broker.config, topic, 1)
    publish(broker.config, [letter(topic, None, b"A")] * 3)
    assert replay(broker.config, topic) == 0
    assert contents(broker, topic) == []
    assert group_lag(broker.config, f"{topic}.dlq", "filegate.replay") == 0


def test_replay_of_a_topic_that_does_not_exist_is_refused(broker: Broker, topic: str) -> None:
    with pytest.raises(PermanentError, match=f"There is no topic {topic} and no {topic}.dlq"):
        replay(broker.config, topic)


def test_dead_letter_topic_with_the_brokers_defaults_is_corrected(broker: Broker, topic: str) -> None:
    ensure_topic(broker.config, f"{topic}.dlq", 1)
    assert topic_options(broker.config, f"{topic}.dlq") == {}
    publish(broker.config, [letter(topic, b"x")])
    assert topic_options(broker.config, f"{topic}.dlq") == {"retention.ms": "-1", "max.message.bytes": "67108864"}


def test_dead_letter_topic_that_may_not_be_corrected_is_a_warning_with_the_remedy(
    broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise PermanentError(Code.BROKER_REFUSED, "The broker or its client refuses: no right.")

    monkeypatch.setattr(dead_letters, "set_topic_options", refuse)
    ensure_topic(broker.config, f"{topic}.dlq", 1)
    assert publish(broker.config, [letter(topic, b"x")]) == 1
    assert "DEAD LETTERS MAY BE LOST" in caplog.text
    assert f"kafka-configs.sh --bootstrap-server {broker.config.bootstrap_servers}" in caplog.text
    assert "--add-config max.message.bytes=67108864,retention.ms=-1" in caplog.text


def test_a_letter_that_fails_again_waits_for_the_next_replay(
    broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "_REPLAY_CHUNK", 2)
    ensure_topic(broker.config, topic, 1)
    publish(broker.config, [letter(topic, b"%d" % number) for number in range(4)])

    def fail_again(count: int) -> None:
        for message in contents(broker, topic)[:1]:
            publish(broker.config, [DeadLetter(message, Code.BAD_ROW_JSON, "Again.", "validate")])

    assert replay(broker.config, topic, on_progress=fail_again) == 4
    assert replay(broker.config, topic) == 2
    assert [message.header("dlq-attempt") for message in contents(broker, topic)] == [b"1"] * 4 + [b"2"] * 2


def test_a_replay_that_dies_before_its_commit_is_repeated_and_loses_nothing(
    broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_topic(broker.config, topic, 1)
    publish(broker.config, [letter(topic, b"%d" % number) for number in range(3)])

    def die(*_: object) -> None:
        raise RetryableError(Code.BROKER_UNAVAILABLE, "killed")

    with monkeypatch.context() as patched:
        patched.setattr(dead_letters, "commit", die)
        with pytest.raises(RetryableError, match="killed"):
            replay(broker.config, topic)
    assert replay(broker.config, topic) == 3
    assert [message.value for message in contents(broker, topic)] == [b"0", b"1", b"2"] * 2


def test_a_letter_that_is_too_large_is_refused_with_the_remedy(broker: Broker, topic: str) -> None:
    small = KafkaConfig(bootstrap_servers=broker.config.bootstrap_servers, options={"message.max.bytes": 2000})
    with pytest.raises(PermanentError, match=r"max\.message\.bytes") as caught:
        publish(small, [letter(topic, b"small"), letter(topic, b"x" * 3000)])
    assert caught.value.code is Code.BROKER_REFUSED


@pytest.mark.parametrize("step", [publish, replay], ids=["publish", "replay"])
def test_without_a_broker_the_error_is_retryable(topic: str, monkeypatch: pytest.MonkeyPatch, step: Any) -> None:
    monkeypatch.setattr(broker_module, "METADATA_SECONDS", 0.5)
    no_broker = KafkaConfig(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(RetryableError, match="Connection refused"):
        step(no_broker, [letter(topic, b"x")] if step is publish else topic)


def test_letters_that_are_not_acknowledged_are_an_error(
    broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_topic(broker.config, f"{topic}.dlq", 1)
    impatient = KafkaConfig(
        bootstrap_servers=broker.config.bootstrap_servers,
        options={"delivery.timeout.ms": 3000, "socket.timeout.ms": 3000, "request.timeout.ms": 2500},
    )

    def send_to_a_hanging_broker() -> None:
        with dead_letters.publisher(impatient, f"{topic}.dlq") as publishing:
            publishing.send(b"here")
            publishing.flush()
            with broker.hanging():
                publishing.send(b"not here")
                publishing.flush()

    with pytest.raises(RetryableError) as caught:
        send_to_a_hanging_broker()
    assert caught.value.details["sent"] == 2
    assert caught.value.details["acknowledged"] == 1


def test_no_letters_create_no_topic(broker: Broker, topic: str) -> None:
    ensure_topic(broker.config, topic, 1)
    assert publish(broker.config, []) == 0
    assert replay(broker.config, topic) == 0
    assert f"{topic}.dlq" not in broker.topics()

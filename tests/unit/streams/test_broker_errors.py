"""Kafka's errors as pipeline errors, options of clients, and offsets of a group. No broker is needed."""

from __future__ import annotations

import pickle

import pytest
from confluent_kafka import KafkaError, KafkaException

from include.errors import Code, PermanentError, RetryableError
from include.settings import KafkaConfig, StreamSettings
from include.streams.batch_consumer import BatchConsumer
from include.streams.broker import client_options, ensure_topic, pipeline_error, translated
from include.streams.offsets import PartitionOffsets, group_lag

pytestmark = pytest.mark.unit

CONFIG = KafkaConfig(bootstrap_servers="broker:9092", options={"sasl.password": "geheim"})


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (KafkaError._TRANSPORT, RetryableError, Code.BROKER_UNAVAILABLE),
        (KafkaError._TIMED_OUT, RetryableError, Code.BROKER_UNAVAILABLE),
        (KafkaError._WAIT_COORD, RetryableError, Code.BROKER_UNAVAILABLE),
        (KafkaError.NOT_LEADER_FOR_PARTITION, RetryableError, Code.BROKER_UNAVAILABLE),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, PermanentError, Code.BROKER_REFUSED),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, PermanentError, Code.BROKER_REFUSED),
        (KafkaError._AUTHENTICATION, PermanentError, Code.BROKER_REFUSED),
        (KafkaError.MSG_SIZE_TOO_LARGE, PermanentError, Code.BROKER_REFUSED),
    ],
    ids=lambda value: KafkaError(value).name() if isinstance(value, int) else "",
)
def test_errors_say_whether_a_retry_can_help(code: int, kind: type, reason: Code) -> None:
    with pytest.raises(kind) as caught, translated(CONFIG, topic="t"):
        raise KafkaException(KafkaError(code, "reason"))
    assert (caught.value.stage, caught.value.code) == ("", reason)
    assert caught.value.details["topic"] == "t"
    assert "geheim" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_wrong_password_in_the_error_callback_is_the_cause() -> None:
    client_errors = [KafkaError(KafkaError._AUTHENTICATION, "wrong password"), KafkaError(KafkaError._ALL_BROKERS_DOWN)]
    with pytest.raises(PermanentError, match="wrong password"), translated(CONFIG, client_errors):
        raise KafkaException(KafkaError(KafkaError._TRANSPORT, "timed out"))


def test_errors_of_the_callback_do_not_hide_a_refusal() -> None:
    client_errors = [KafkaError(KafkaError._TRANSPORT, "connection refused")]
    with pytest.raises(PermanentError, match="no such topic"), translated(CONFIG, client_errors):
        raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "no such topic"))


@pytest.mark.parametrize("call", [lambda c: ensure_topic(c, "t", 1), lambda c: group_lag(c, "t", "g")])
def test_an_option_that_the_client_does_not_know_is_refused_at_once(call) -> None:
    with pytest.raises(PermanentError, match="nonsense"):
        call(KafkaConfig(bootstrap_servers="127.0.0.1:1", options={"nonsense": 1}))


def test_options_of_the_settings_override_defaults_and_not_required_options() -> None:
    config = KafkaConfig(bootstrap_servers="b:1", options={"a": "set", "b": "set", "bootstrap.servers": "no"})
    options = client_options(config, preferred={"a": "default", "c": "default"}, required={"b": "must"})
    assert {name: options[name] for name in ("a", "b", "c")} == {"a": "set", "b": "must", "c": "default"}
    assert options["bootstrap.servers"] == "b:1"


@pytest.mark.parametrize(
    ("low", "last_stable", "committed", "position", "lag"),
    [
        (0, 10, None, 0, 10),
        (0, 10, 4, 4, 6),
        (0, 10, 10, 10, 0),
        (5, 10, 2, 5, 5),
        (0, 10, 11, 0, 10),
        (0, 0, None, 0, 0),
        (0, 0, 7, 0, 0),
    ],
    ids=["never", "in the middle", "all", "deleted since", "beyond the end", "empty", "emptied"],
)
def test_position_and_lag_of_a_group(
    low: int, last_stable: int, committed: int | None, position: int, lag: int
) -> None:
    offsets = PartitionOffsets(0, low, last_stable, committed)
    assert (offsets.position, offsets.lag) == (position, lag)


@pytest.mark.parametrize(
    ("low", "last_stable", "committed", "removed"),
    [
        (15, 20, 10, (10, 14)),
        (15, 15, 10, (10, 14)),
        (11, 20, 10, (10, 10)),
        (10, 20, 10, None),
        (0, 20, 10, None),
        (15, 20, None, None),
        (0, 5, 10, None),
        (2, 5, 10, None),
    ],
    ids=["some", "all", "one", "none", "nothing", "group is new", "topic is new", "topic is new and was cleaned"],
)
def test_removed_names_the_offsets_that_were_removed_unread(
    low: int, last_stable: int, committed: int | None, removed: tuple[int, int] | None
) -> None:
    assert PartitionOffsets(0, low, last_stable, committed).removed == removed


def test_offsets_that_are_removed_while_they_are_read_end_the_run_with_a_retryable_error() -> None:
    """By default librdkafka would continue at the low watermark without an error."""
    config = KafkaConfig(bootstrap_servers="b:1")
    consumer = BatchConsumer(config, "sales", "filegate.sales", StreamSettings())
    assert consumer._options()["auto.offset.reset"] == "error"
    assert consumer._options()["isolation.level"] == "read_committed"
    removed = KafkaError(KafkaError._AUTO_OFFSET_RESET, "Offset out of range")
    with pytest.raises(KafkaException):
        consumer._note(removed, 0, 5)
    error = pipeline_error(removed, config)
    assert isinstance(error, RetryableError)
    assert "the ledger names the removed ones" in error.message

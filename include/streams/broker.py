"""The broker: options of clients, topics, offsets of consumer groups, and its errors as the pipeline's errors.

What belongs here: what every client of the broker needs. What does not: consuming messages (`batch_consumer`) and
publishing them (`publish`).
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from include.errors import Code, PermanentError, PipelineError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from include.settings import KafkaConfig

TIMEOUT_SECONDS = 10.0
METADATA_SECONDS = 5.0

_ATTEMPTS, _PAUSE_SECONDS = 5, 0.2
_DEFAULTS: dict[str, Any] = {
    "log_level": 0,  # librdkafka writes twenty lines a second to stderr while a broker is away; the errors say the same
    "socket.timeout.ms": 10_000,
    "socket.connection.setup.timeout.ms": 5_000,
    "reconnect.backoff.max.ms": 1_000,
}
_REFUSED = {
    KafkaError._AUTHENTICATION,  # noqa: SLF001 - librdkafka's own errors are named so
    KafkaError._SSL,  # noqa: SLF001
    KafkaError._INVALID_ARG,  # noqa: SLF001
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.ILLEGAL_SASL_STATE,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.SECURITY_DISABLED,
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.INVALID_MSG,
    KafkaError.INVALID_RECORD,
    KafkaError.INVALID_GROUP_ID,
    KafkaError.INVALID_SESSION_TIMEOUT,
    KafkaError.INVALID_CONFIG,
    KafkaError.INVALID_PARTITIONS,
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.INVALID_REQUEST,
    KafkaError.POLICY_VIOLATION,
    KafkaError.UNSUPPORTED_VERSION,
    KafkaError.INCONSISTENT_GROUP_PROTOCOL,
}
_UNSPECIFIC = {KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN}  # noqa: SLF001
_UNSPECIFIC_CLIENT_ERRORS = {KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN}  # noqa: SLF001
_REMEDIES = {
    KafkaError.MSG_SIZE_TOO_LARGE: " Raise the topic's max.message.bytes.",
    KafkaError._TRANSPORT: " Is it running, and is KAFKA_BOOTSTRAP its address?",  # noqa: SLF001
    KafkaError._RESOLVE: " Is KAFKA_BOOTSTRAP its address?",  # noqa: SLF001
    KafkaError._AUTO_OFFSET_RESET: " Offsets were removed while they were read. The next try starts at the low "  # noqa: SLF001
    "watermark, and the ledger names the removed ones.",
}

# The errors that a client reports to its `error_cb`: several a second while a broker is away.
ClientErrors = deque[KafkaError]


def client_options(
    config: KafkaConfig, preferred: Mapping[str, Any] | None = None, required: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The options of a client: FileGate's defaults, overridden by the setting's options, then by required ones."""
    address = {"bootstrap.servers": config.bootstrap_servers}
    return {**_DEFAULTS, **(preferred or {}), **config.options, **address, **(required or {})}


def group_options(group: str) -> dict[str, Any]:
    """The options of every consumer: it commits explicitly, and creates no topic by asking for it."""
    return {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",  # messages of open and aborted transactions are not read
    }


def ensure_topic(config: KafkaConfig, name: str, partitions: int, options: Mapping[str, str] | None = None) -> bool:
    """Create the topic if it is missing. An existing one is not changed.

    Args:
        config: where the broker is.
        name: the topic.
        partitions: of a new one.
        options: of a new one, in the broker's names, such as `retention.ms`.

    Returns:
        Whether it was created.

    Raises:
        RetryableError: the broker does not answer.
        PermanentError: the broker refuses.
    """
    with admin_client(config, topic=name) as admin:
        if name in known_topics(admin):
            return False
        new = NewTopic(name, num_partitions=partitions, replication_factor=-1, config=dict(options or {}))
        try:
            admin.create_topics([new], request_timeout=TIMEOUT_SECONDS)[name].result(2 * TIMEOUT_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            return False
    return True


def commit(config: KafkaConfig, group: str, position: TopicPartition) -> None:
    """Commit a position for a group without members; a member commits with `BatchConsumer.commit`.

    Raises:
        RetryableError: the broker does not answer.
        PermanentError: the broker refuses.
    """
    with admin_client(config, topic=position.topic, group=group) as admin:
        request = ConsumerGroupTopicPartitions(group, [position])
        answers = admin.alter_consumer_group_offsets([request], request_timeout=TIMEOUT_SECONDS)
        for answer in answers[group].result(2 * TIMEOUT_SECONDS).topic_partitions:
            raise_for(answer.error)


def recreate_group(config: KafkaConfig, group: str) -> bool:
    """Delete a group that no consumer can join any more, and commit its offsets again.

    The embedded broker blocks a group when two members leave, the group's leader last: it waits for that leader for
    ever. Apache Kafka refuses to delete a group with members, also while one joins. A kill between the two steps
    makes the group start at the beginning: messages are delivered twice, none is lost.

    Returns:
        Whether it was recreated; False where the broker says that the group has members or does not exist.

    Raises:
        RetryableError: the broker does not answer.
        PermanentError: the broker refuses.
    """
    with admin_client(config, group=group) as admin:
        request = ConsumerGroupTopicPartitions(group)
        asked = admin.list_consumer_group_offsets([request], request_timeout=TIMEOUT_SECONDS)
        committed = asked[group].result(2 * TIMEOUT_SECONDS).topic_partitions or []
        try:
            admin.delete_consumer_groups([group], request_timeout=TIMEOUT_SECONDS)[group].result(2 * TIMEOUT_SECONDS)
        except KafkaException as error:
            if error.args[0].code() in {KafkaError.NON_EMPTY_GROUP, KafkaError.GROUP_ID_NOT_FOUND}:
                return False
            raise
        if committed:
            _restore_offsets(admin, ConsumerGroupTopicPartitions(group, committed))
    return True


def _restore_offsets(admin: AdminClient, offsets: ConsumerGroupTopicPartitions) -> None:
    """Commit the offsets, with retries: the embedded broker closes the first connection that names a deleted group."""
    for left in reversed(range(_ATTEMPTS)):
        try:
            answers = admin.alter_consumer_group_offsets([offsets], request_timeout=TIMEOUT_SECONDS)
            for answer in answers[offsets.group_id].result(2 * TIMEOUT_SECONDS).topic_partitions:
                raise_for(answer.error)
        except KafkaException as error:
            if not left or is_refusal(error.args[0]):
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


@contextmanager
def admin_client(config: KafkaConfig, **details: object) -> Iterator[AdminClient]:
    """A client for topics and groups. Kafka's errors in the block become pipeline errors."""
    client_errors = ClientErrors(maxlen=20)
    with translated(config, client_errors, **details):
        yield AdminClient(client_options(config, required={"error_cb": client_errors.append}))


@contextmanager
def reader(config: KafkaConfig, topic: str, group: str, preferred: Mapping[str, Any]) -> Iterator[Consumer]:
    """A consumer that reads for the group without being a member. Kafka's errors become pipeline errors."""
    client_errors = ClientErrors(maxlen=20)
    required = {**group_options(group), "error_cb": client_errors.append}
    with translated(config, client_errors, topic=topic, group=group):
        consumer = Consumer(client_options(config, preferred, required))
        try:
            yield consumer
        finally:
            consumer.close()


def known_topics(client: AdminClient | Consumer | Producer, seconds: float | None = None) -> Mapping[str, Any]:
    """The broker's topics, each with its partitions. Raises Kafka's error when the broker does not answer.

    It asks for all topics, not for one by its name: some brokers create a topic that a client asks for.
    """
    try:
        topics: dict[str, Any] = client.list_topics(timeout=METADATA_SECONDS if seconds is None else seconds).topics
    except KafkaException:
        client.poll(0)  # calls `error_cb` with the errors that the client has collected
        raise
    return topics


def raise_for(error: KafkaError | None) -> None:
    """Raise the error of an answer, if it has one."""
    if error is not None:
        raise KafkaException(error)


def is_refusal(error: KafkaError) -> bool:
    """Whether a retry cannot help until a setting, a right or a topic is fixed."""
    return error.code() in _REFUSED


@contextmanager
def translated(config: KafkaConfig, client_errors: Iterable[KafkaError] = (), **details: object) -> Iterator[None]:
    """Translate Kafka's errors into pipeline errors.

    Args:
        config: where the broker is.
        client_errors: the errors of the client's `error_cb`. A wrong password is only there: the call itself times out.
        details: of the pipeline error.
    """
    try:
        yield
    except KafkaException as error:
        raise pipeline_error(root_cause(error.args[0], client_errors), config, **details) from error


def root_cause(error: KafkaError, client_errors: Iterable[KafkaError]) -> KafkaError:
    """The client's more specific error, such as `connection refused` or `wrong password`, instead of `timed out`."""
    if error.code() not in _UNSPECIFIC:
        return error
    specific = [one for one in client_errors if one.code() not in _UNSPECIFIC_CLIENT_ERRORS]
    return next(filter(is_refusal, specific), specific[-1] if specific else error)


def pipeline_error(error: KafkaError, config: KafkaConfig, **details: object) -> PipelineError:
    """The pipeline error for one of Kafka's errors."""
    details = {"bootstrap_servers": config.bootstrap_servers, "answer": error.name(), **details}
    reason, remedy = error.str().rstrip("."), _REMEDIES.get(error.code(), "")
    if is_refusal(error):
        message = f"The broker or its client refuses: {reason}.{remedy}"
        return PermanentError(Code.BROKER_REFUSED, message, **details)
    message = f"The broker does not answer as it should: {reason}.{remedy}"
    return RetryableError(Code.BROKER_UNAVAILABLE, message, **details)

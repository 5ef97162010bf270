"""The broker itself: clients' options, topics, how far a group has come, and what its errors mean to us.

What belongs here: what every client of the broker needs. What does not: taking messages (`intake`) and publishing
them (`produce`, `dead_letters`).
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from include.errors import Code, PermanentError, PipelineError, RetryableError, Stage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from include.settings import KafkaConfig

TIMEOUT_SECONDS = 10.0
METADATA_SECONDS = 5.0

_LOOK_SECONDS = 0.02
_ATTEMPTS, _PAUSE_SECONDS = 5, 0.2
# A busy partition may have no end to be met: so many messages are read before its high watermark is taken instead.
_MOST_LOOKED_THROUGH = 100_000
_DEFAULTS: dict[str, Any] = {
    "log_level": 0,  # librdkafka writes to stderr, twenty lines a second while a broker is away; errors say it too
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
_UNSPECIFIC_COMPLAINTS = {KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN}  # noqa: SLF001
_REMEDIES = {
    KafkaError.MSG_SIZE_TOO_LARGE: " Raise the topic's max.message.bytes.",
    KafkaError._TRANSPORT: " Is it running, and is KAFKA_BOOTSTRAP its address?",  # noqa: SLF001
    KafkaError._RESOLVE: " Is KAFKA_BOOTSTRAP its address?",  # noqa: SLF001
    KafkaError._AUTO_OFFSET_RESET: " Offsets were removed while they were read. The next try starts at the first "  # noqa: SLF001
    "offset that is left, and the ledger names the removed ones.",
}

# What a client is told on the side, by its `error_cb`: several a second while a broker is away.
Complaints = deque[KafkaError]


@dataclass(frozen=True)
class Span:
    """A partition as a group sees it: what it may read, `begin` to before `end`, and what it committed.

    `begin` is the low watermark. `end` is the last stable offset: messages of a transaction that is open are behind it.
    """

    partition: int
    begin: int
    end: int
    committed: int | None

    @property
    def is_beyond(self) -> bool:
        """The group committed more than the broker has: the topic was made anew, and offsets start again."""
        return self.committed is not None and self.committed > self.end

    @property
    def removed(self) -> tuple[int, int] | None:
        """First and last of the offsets that were removed before the group had read them; None where none were."""
        if self.committed is None or self.is_beyond or self.committed >= self.begin:
            return None
        return self.committed, self.begin - 1

    @property
    def start(self) -> int:
        """Where the group goes on reading."""
        if self.committed is None or self.is_beyond:
            return self.begin
        return max(self.begin, self.committed)

    @property
    def waiting(self) -> int:
        """How many offsets the group has not committed: its lag. Compaction and transactions use some up."""
        return self.end - self.start


def client_options(
    config: KafkaConfig, preferred: Mapping[str, Any] | None = None, required: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What a client is made with: our defaults, then the setting's options, then what the work cannot do without."""
    address = {"bootstrap.servers": config.bootstrap_servers}
    return {**_DEFAULTS, **(preferred or {}), **config.options, **address, **(required or {})}


def group_options(group: str) -> dict[str, Any]:
    """What every consumer of ours needs: it commits what it is told to, and makes no topics by asking for them."""
    return {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",  # messages of open and aborted transactions are not there
    }


def ensure_topic(config: KafkaConfig, name: str, partitions: int, options: Mapping[str, str] | None = None) -> bool:
    """Make the topic where it is missing. One that exists is left as it is.

    Args:
        config: where the broker is.
        name: the topic.
        partitions: of a new one.
        options: of a new one, in the broker's names, such as `retention.ms`.

    Returns:
        Whether it was made.

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


def waiting(config: KafkaConfig, topic: str, group: str) -> int:
    """How many messages of the topic the group has not committed yet; 0 where there is no such topic.

    It does not join the group, so it disturbs no consumer.

    Raises:
        RetryableError: the broker does not answer.
        PermanentError: the broker refuses.
    """
    return sum(span.waiting for span in spans(config, topic, group))


def spans(config: KafkaConfig, topic: str, group: str, partitions: Collection[int] | None = None) -> list[Span]:
    """How far the group has come in each partition, without joining it; none where there is no such topic.

    Args:
        config: where the broker is.
        topic: the topic.
        group: the consumer group.
        partitions: only these.

    Raises:
        RetryableError: the broker does not answer.
        PermanentError: the broker refuses.
    """
    with reader(config, topic, group, {"fetch.wait.max.ms": int(_LOOK_SECONDS * 1000)}) as consumer:
        found = known_topics(consumer).get(topic)
        if found is None:
            return []
        raise_for(found.error)
        places = [
            TopicPartition(topic, number) for number in sorted(found.partitions if partitions is None else partitions)
        ]
        committed = consumer.committed(places, timeout=TIMEOUT_SECONDS)
        for place in committed:
            raise_for(place.error)
        marks = [consumer.get_watermark_offsets(place, timeout=TIMEOUT_SECONDS) for place in places]
        ends = _ends(consumer, topic, {place.partition: mark[1] for place, mark in zip(places, marks, strict=True)})
        return [
            Span(
                partition=place.partition,
                begin=mark[0],
                end=ends[place.partition],
                committed=place.offset if place.offset >= 0 else None,
            )
            for place, mark in zip(committed, marks, strict=True)
        ]


def commit(config: KafkaConfig, group: str, place: TopicPartition) -> None:
    """Say how far a group has come that has no members; a member's commits are `Intake.commit`.

    Raises:
        RetryableError: the broker does not answer.
        PermanentError: the broker refuses.
    """
    with admin_client(config, topic=place.topic, group=group) as admin:
        request = ConsumerGroupTopicPartitions(group, [place])
        answers = admin.alter_consumer_group_offsets([request], request_timeout=TIMEOUT_SECONDS)
        for answer in answers[group].result(2 * TIMEOUT_SECONDS).topic_partitions:
            raise_for(answer.error)


def remake_group(config: KafkaConfig, group: str) -> bool:
    """Delete a group that nobody can join any more, and give it its offsets back.

    The embedded broker comes to that when two members leave, the group's leader last: it waits for a leader that is
    gone, for ever. A broker of the Apache kind refuses to delete a group with members, also one that is being joined.
    A kill between deletion and return of the offsets makes the group begin anew: messages come twice, none is lost.

    Returns:
        Whether it was made anew; False where the broker says that somebody is in it.

    Raises:
        RetryableError: the broker does not answer.
        PermanentError: the broker refuses.
    """
    with admin_client(config, group=group) as admin:
        request = ConsumerGroupTopicPartitions(group)
        asked = admin.list_consumer_group_offsets([request], request_timeout=TIMEOUT_SECONDS)
        places = asked[group].result(2 * TIMEOUT_SECONDS).topic_partitions or []
        try:
            admin.delete_consumer_groups([group], request_timeout=TIMEOUT_SECONDS)[group].result(2 * TIMEOUT_SECONDS)
        except KafkaException as error:
            if error.args[0].code() in {KafkaError.NON_EMPTY_GROUP, KafkaError.GROUP_ID_NOT_FOUND}:
                return False
            raise
        if places:
            _return_offsets(admin, ConsumerGroupTopicPartitions(group, places))
    return True


def _return_offsets(admin: AdminClient, offsets: ConsumerGroupTopicPartitions) -> None:
    """The embedded broker hangs up on the first one to speak of a group that was deleted."""
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
def admin_client(config: KafkaConfig, **facts: object) -> Iterator[AdminClient]:
    """A client for topics and groups. Kafka's errors in it become ours."""
    complaints = Complaints(maxlen=20)
    with translated(config, complaints, **facts):
        yield AdminClient(client_options(config, required={"error_cb": complaints.append}))


@contextmanager
def reader(config: KafkaConfig, topic: str, group: str, preferred: Mapping[str, Any]) -> Iterator[Consumer]:
    """A consumer that reads for the group without being a member. Kafka's errors in it become ours."""
    complaints = Complaints(maxlen=20)
    required = {**group_options(group), "error_cb": complaints.append}
    with translated(config, complaints, topic=topic, group=group):
        consumer = Consumer(client_options(config, preferred, required))
        try:
            yield consumer
        finally:
            consumer.close()


def _ends(consumer: Consumer, topic: str, latest: Mapping[int, int]) -> dict[int, int]:
    """The last stable offset of each partition: where a reader of committed messages meets the end.

    The end is met and not asked for. A transaction's marker takes an offset that no message has, and the embedded
    broker answers the question for the latest offset with the place behind the FIRST message of the last batch.
    """
    consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in latest.items()])
    ends: dict[int, int] = {}
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while len(ends) < len(latest):
        if time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the partitions' ends"))  # noqa: SLF001
        for raw in consumer.consume(1000, _LOOK_SECONDS):
            error, partition, offset = raw.error(), raw.partition(), raw.offset() or 0
            is_end = error is not None and error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001
            if partition is None or not is_end:
                raise_for(error)
            if partition is None or partition in ends:
                continue
            if is_end:
                ends[partition] = offset
            elif offset - latest[partition] >= _MOST_LOOKED_THROUGH:
                marks = consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
                ends[partition] = max(offset + 1, marks[1])
    return ends


def known_topics(client: AdminClient | Consumer | Producer, seconds: float | None = None) -> Mapping[str, Any]:
    """The broker's topics, each with its partitions. Raises Kafka's error when the broker does not answer.

    All topics and not one by its name: some brokers make a topic that is asked for.
    """
    try:
        topics: dict[str, Any] = client.list_topics(timeout=METADATA_SECONDS if seconds is None else seconds).topics
    except KafkaException:
        client.poll(0)  # what the client was told on the way reaches its `error_cb` here
        raise
    return topics


def raise_for(error: KafkaError | None) -> None:
    """Raise what an answer carries in place of an exception."""
    if error is not None:
        raise KafkaException(error)


def is_refusal(error: KafkaError) -> bool:
    """Whether trying again changes nothing until somebody mends a setting, a right or a topic."""
    return error.code() in _REFUSED


@contextmanager
def translated(config: KafkaConfig, complaints: Iterable[KafkaError] = (), **facts: object) -> Iterator[None]:
    """Kafka's errors become ours.

    Args:
        config: where the broker is.
        complaints: what a client was told on the side. A wrong password shows only there; the call just times out.
        facts: the circumstances.
    """
    try:
        yield
    except KafkaException as error:
        raise pipeline_error(most_telling(error.args[0], complaints), config, **facts) from error


def most_telling(error: KafkaError, complaints: Iterable[KafkaError]) -> KafkaError:
    """`Connection refused` or `wrong password` says more than `timed out`."""
    if error.code() not in _UNSPECIFIC:
        return error
    told = [complaint for complaint in complaints if complaint.code() not in _UNSPECIFIC_COMPLAINTS]
    return next(filter(is_refusal, told), told[-1] if told else error)


def pipeline_error(error: KafkaError, config: KafkaConfig, **facts: object) -> PipelineError:
    """What one of Kafka's errors means to us."""
    facts = {"bootstrap_servers": config.bootstrap_servers, "answer": error.name(), **facts}
    said, remedy = error.str().rstrip("."), _REMEDIES.get(error.code(), "")
    if is_refusal(error):
        message = f"The broker or its client refuses: {said}.{remedy}"
        return PermanentError(Stage.CLAIM, Code.BROKER_REFUSED, message, **facts)
    message = f"The broker does not answer as it should: {said}.{remedy}"
    return RetryableError(Stage.CLAIM, Code.BROKER_UNAVAILABLE, message, **facts)

"""Dead letters: refused messages are published to `<topic>.dlq` with the reason, and replayed on demand.

What belongs here: the dead letter topic, its headers, publishing and replaying. What does not: which messages are bad
(`decode`, validation and `poison` decide that).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, TopicPartition

from include.errors import Code, PermanentError, RetryableError
from include.errors.nearest import did_you_mean
from include.settings import stream_settings
from include.streams.broker import commit, ensure_topic, raise_for, reader
from include.streams.messages import headers_of
from include.streams.offsets import partition_offsets
from include.streams.publish import publisher
from include.streams.topics import set_topic_options, topic_names, topic_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from confluent_kafka import Consumer
    from confluent_kafka import Message as RawMessage

    from include.settings import KafkaConfig
    from include.streams.messages import Message
    from include.streams.publish import Publisher

    Header = tuple[str, bytes | None]

log = logging.getLogger(__name__)

SUFFIX = ".dlq"
CODE = "dlq-error-code"
TEXT = "dlq-error-message"
STAGE = "dlq-stage"
COLUMN = "dlq-error-column"
TOPIC = "dlq-source-topic"
PARTITION = "dlq-source-partition"
OFFSET = "dlq-source-offset"
TIMESTAMP = "dlq-source-timestamp"
FAILED_AT = "dlq-failed-at"
ATTEMPT = "dlq-attempt"
HEADERS = frozenset({CODE, TEXT, STAGE, COLUMN, TOPIC, PARTITION, OFFSET, TIMESTAMP, FAILED_AT, ATTEMPT})

_LONGEST_TEXT = 2_000
_MOST_DIGITS = 9
_REPLAY_CHUNK = 10_000
_SILENCE_SECONDS = 30.0
# A dead letter is larger than its message, for it also holds the reason. It stays until a user replays it.
_TOPIC_OPTIONS = {"max.message.bytes": str(64 * 1024**2), "retention.ms": "-1"}
# Options that remove dead letters from a topic that another program created. Only checked where they are set.
_REMOVING_OPTIONS = {"retention.bytes": "-1", "cleanup.policy": "delete"}


@dataclass(frozen=True)
class DeadLetter:
    """A message that cannot be loaded, and why. `column` is None where the reason is not about one value."""

    message: Message
    code: Code
    text: str
    stage: str
    column: str | None = None


def dead_letter_topic(topic: str) -> str:
    """The name of a topic's dead letter topic."""
    return topic + SUFFIX


def replay_group() -> str:
    """The consumer group whose offsets say how far dead letters were replayed, for every topic."""
    return f"{stream_settings().group}.replay"


def correct_topic(config: KafkaConfig, topic: str) -> None:
    """Set the options of a dead letter topic that another program created, for example with the broker's defaults.

    With the defaults, dead letters are deleted after seven days and large ones do not fit. If the broker refuses the
    change, a warning names the remedy, and consuming continues.

    Raises:
        RetryableError: the broker does not answer.
    """
    name = dead_letter_topic(topic)
    try:
        found = topic_options(config, name)
        wrong = _wrong_options(found) if found is not None else {}
        if wrong:
            set_topic_options(config, name, wrong)
            log.info("%s: set %s", name, _listed(wrong))
    except PermanentError as error:
        log.warning(
            "%s: DEAD LETTERS MAY BE LOST. The topic needs %s, and the broker refuses to show or set these options: %s "
            "Run: kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config %s",
            name, _listed({**_TOPIC_OPTIONS, **_REMOVING_OPTIONS}), error.message, config.bootstrap_servers, name,
            _listed({**_TOPIC_OPTIONS, **_REMOVING_OPTIONS}).replace(" ", ""),
        )  # fmt: skip


def _wrong_options(found: Mapping[str, str]) -> dict[str, str]:
    """The options to change, with their correct values."""
    wrong = {name: value for name, value in _TOPIC_OPTIONS.items() if not _is_enough(name, found.get(name, "0"))}
    return wrong | {name: value for name, value in _REMOVING_OPTIONS.items() if found.get(name, value) != value}


def _is_enough(name: str, found: str) -> bool:
    wanted = _TOPIC_OPTIONS[name]
    return found == wanted or (name == "max.message.bytes" and found.isdecimal() and int(found) >= int(wanted))


def _listed(options: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())


def dead_letter_headers(letter: DeadLetter, now: datetime) -> list[Header]:
    """The message's own headers, then why, where and when it failed, and the number of failures."""
    message = letter.message
    added = {
        CODE: str(letter.code),
        TEXT: letter.text[:_LONGEST_TEXT],
        STAGE: letter.stage,
        **({COLUMN: letter.column} if letter.column is not None else {}),
        TOPIC: message.topic,
        PARTITION: str(message.partition),
        OFFSET: str(message.offset),
        TIMESTAMP: _moment(message.timestamp_ms),
        FAILED_AT: _iso(now),
        ATTEMPT: str(attempts(message.headers) + 1),
    }
    return [*own_headers(message.headers), *((name, text.encode()) for name, text in added.items())]


def own_headers(headers: Sequence[Header]) -> list[Header]:
    """The headers without those that this module adds."""
    return [header for header in headers if header[0] not in HEADERS]


def attempts(headers: Sequence[Header]) -> int:
    """How often the message has been a dead letter before; 0 where the header is no number."""
    count = next((value for name, value in reversed(headers) if name == ATTEMPT), None) or b"0"
    return int(count) if count.isdigit() and len(count) <= _MOST_DIGITS else 0


def publish(config: KafkaConfig, letters: Sequence[DeadLetter]) -> int:
    """Publish messages to their dead letter topics, each with its original key, bytes and headers.

    Returns:
        How many the broker has acknowledged: all of them.

    Raises:
        RetryableError: it has not acknowledged all. Some may be there; publishing all again writes those twice.
        PermanentError: it refuses one, for example because it is too large. Then commit none of these messages.
    """
    now = datetime.now(UTC)
    topics = {letter.message.topic for letter in letters}
    for topic in sorted(topics):
        target = dead_letter_topic(topic)
        if not ensure_topic(config, target, 1, _TOPIC_OPTIONS):
            correct_topic(config, topic)
        with publisher(config, target) as publishing:
            for letter in letters:
                if letter.message.topic == topic:
                    headers = dead_letter_headers(letter, now)
                    publishing.send(letter.message.value, letter.message.key, headers)
            publishing.flush()
    return len(letters)


def replay(
    config: KafkaConfig,
    topic: str,
    *,
    group: str = "",
    limit: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> int:
    """Publish the dead letters of a topic to it again, once each: original key, bytes and headers, and `dlq-attempt`.

    A delete (a message without a value) is skipped: after a newer message of its key it would delete that one, in the
    table of every consumer that applies deletes and, by compaction, in the topic itself.

    Only dead letters that are there at the start are replayed: one that fails again waits for the next call. Their
    offsets are committed after the topic has them, so a kill in between replays some twice and loses none. Do not run
    two replays of a topic at the same time.

    Args:
        config: where the broker is.
        topic: the topic, without `.dlq`.
        group: the consumer group whose offsets say how far dead letters were replayed; `replay_group` if empty.
        limit: the largest number to replay; None for all.
        on_progress: is called after each step with the number of dead letters replayed in it.

    Returns:
        How many were replayed.

    Raises:
        RetryableError: the broker does not answer as it should.
        PermanentError: the broker refuses, or there is no such topic.
    """
    source, group = dead_letter_topic(topic), group or replay_group()
    found = partition_offsets(config, source, group)
    if not found and topic not in (names := topic_names(config)):
        known = sorted(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))
        near = did_you_mean(topic, {*known, *names}).replace("did", "Did", 1)
        listed = ", ".join(known) or "none"
        message = f"There is no topic {topic} and no {source}. {near}Topics with dead letters: {listed}."
        raise PermanentError(Code.BROKER_REFUSED, message)
    todo = [offsets for offsets in found if offsets.lag]
    if not todo or limit == 0:
        return 0
    ensure_topic(config, topic, stream_settings().partitions)
    done = 0
    with reader(config, source, group, {"fetch.wait.max.ms": 50}) as consumer:
        for offsets in todo:
            consumer.assign([TopicPartition(source, offsets.partition, offsets.position)])
            letters = _letters(consumer, source, offsets.last_stable)
            while limit is None or done < limit:
                most = _REPLAY_CHUNK if limit is None else min(_REPLAY_CHUNK, limit - done)
                with publisher(config, topic) as publishing:
                    position = _send_letters(letters, publishing, most)
                    count = publishing.flush()
                if not position:
                    break
                commit(config, group, TopicPartition(source, offsets.partition, position))
                done += count
                if on_progress:
                    on_progress(count)
    log.info("%s: %s dead letters replayed", topic, done)
    return done


def _send_letters(letters: Iterator[RawMessage], publishing: Publisher, most: int) -> int:
    """Send the next letters. Returns the position after the last one, 0 if there was none."""
    position = 0
    while publishing.sent < most and (raw := next(letters, None)) is not None:
        position = (raw.offset() or 0) + 1
        if raw.value() is None:
            log.warning("%s, offset %s: a delete is not replayed", raw.topic(), raw.offset())
            continue
        headers = headers_of(raw)
        attempt: Header = (ATTEMPT, str(attempts(headers)).encode())
        publishing.send(raw.value(), raw.key(), [*own_headers(headers), attempt])
    return position


def _letters(consumer: Consumer, source: str, end: int) -> Iterator[RawMessage]:
    """The messages of the assigned partition that are before `end`."""
    heard = time.monotonic()
    while True:
        for raw in consumer.consume(1000, 0.05):
            heard, error, offset = time.monotonic(), raw.error(), raw.offset() or 0
            is_end = error is not None and error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001
            if not is_end:
                raise_for(error)
                if offset < end:
                    yield raw
            if offset >= end - 1 + is_end:
                return
        if time.monotonic() > heard + _SILENCE_SECONDS:
            raise RetryableError(
                Code.BROKER_UNAVAILABLE, "The broker sends no more dead letters.", topic=source, end=end
            )


def _moment(timestamp_ms: int) -> str:
    """The message's timestamp in ISO 8601; the number where it is out of range, empty text where there is none."""
    if timestamp_ms < 0:
        return ""
    try:
        return _iso(datetime.fromtimestamp(timestamp_ms / 1000, UTC))
    except (ValueError, OverflowError, OSError):
        return str(timestamp_ms)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

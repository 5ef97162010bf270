"""Dead letters: messages set aside in `<topic>.dlq` with the reason, and put back into their topic on demand.

What belongs here: the topic, its headers, both ways. What does not: which messages are bad (`decode` and the
ingestion core say that).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, TopicPartition

from include.errors import Code, PermanentError, RetryableError, Stage
from include.settings import stream_settings
from include.streams.broker import (
    commit,
    ensure_topic,
    raise_for,
    reader,
    spans,
)
from include.streams.messages import headers_of
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
# A dead letter is its message and the reason: it must fit where the message did. And it waits for a person.
_TOPIC_OPTIONS = {"max.message.bytes": str(64 * 1024**2), "retention.ms": "-1"}
# What a topic that others made may have besides: each would remove dead letters too. Only looked at where it is set.
_REMOVING_OPTIONS = {"retention.bytes": "-1", "cleanup.policy": "delete"}


@dataclass(frozen=True)
class DeadLetter:
    """A message that cannot be loaded, and why. `column` is None where it is not about one value."""

    message: Message
    code: Code
    text: str
    stage: str
    column: str | None = None


def dead_letter_topic(topic: str) -> str:
    """Where the dead letters of a topic go."""
    return topic + SUFFIX


def replay_group() -> str:
    """Who remembers how far dead letters were put back, for every topic."""
    return f"{stream_settings().group}.replay"


def correct_topic(config: KafkaConfig, topic: str) -> None:
    """Set the options of a dead letter topic that another program made, for example with the broker's defaults.

    With those, dead letters are deleted after seven days, and large ones do not fit. Where the broker refuses the
    change, the log says so with the remedy, and consuming goes on.

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
            "%s: DEAD LETTERS MAY BE LOST. The topic needs %s, and the broker does not let us look or set that: %s "
            "Run: kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config %s",
            name, _listed({**_TOPIC_OPTIONS, **_REMOVING_OPTIONS}), error.message, config.bootstrap_servers, name,
            _listed({**_TOPIC_OPTIONS, **_REMOVING_OPTIONS}).replace(" ", ""),
        )  # fmt: skip


def _wrong_options(found: Mapping[str, str]) -> dict[str, str]:
    """What has to be set, with its right value."""
    wrong = {name: value for name, value in _TOPIC_OPTIONS.items() if not _is_enough(name, found.get(name, "0"))}
    return wrong | {name: value for name, value in _REMOVING_OPTIONS.items() if found.get(name, value) != value}


def _is_enough(name: str, found: str) -> bool:
    wanted = _TOPIC_OPTIONS[name]
    return found == wanted or (name == "max.message.bytes" and found.isdecimal() and int(found) >= int(wanted))


def _listed(options: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())


def dead_letter_headers(letter: DeadLetter, now: datetime) -> list[Header]:
    """The message's own headers, then why, where and when it failed, and for how many times now."""
    message = letter.message
    facts = {
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
    return [*own_headers(message.headers), *((name, text.encode()) for name, text in facts.items())]


def own_headers(headers: Sequence[Header]) -> list[Header]:
    """The headers without those that are written here."""
    return [header for header in headers if header[0] not in HEADERS]


def attempts(headers: Sequence[Header]) -> int:
    """How often the message has been a dead letter before."""
    told = next((value for name, value in reversed(headers) if name == ATTEMPT), None) or b"0"
    return int(told) if told.isdigit() and len(told) <= _MOST_DIGITS else 0


def publish(config: KafkaConfig, letters: Sequence[DeadLetter]) -> int:
    """Set messages aside, each with its original key, bytes and headers.

    Returns:
        How many the broker has acknowledged: all of them.

    Raises:
        RetryableError: it has not acknowledged all. Some may be there; publishing all of them again doubles those.
        PermanentError: it refuses one, as too large for instance. None of these messages may be committed then.
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
    """Put the dead letters of a topic back into it, once each: original key, bytes and headers, and `dlq-attempt`.

    A delete (a message without a value) is passed over: put back behind a newer message of its key it would delete
    that one, in the table of every consumer that applies deletes and, by compaction, in the topic itself.

    Only those that are there at the start: one that fails again and comes back waits for the next call. They are
    committed after the topic has them, so a kill in between puts some back twice and loses none. Not for two at once.

    Args:
        config: where the broker is.
        topic: the topic, without `.dlq`.
        group: who remembers how far the dead letters have been replayed; the consumers' group with `.replay` if empty.
        limit: at most so many; None for all.
        on_progress: is told after each step how many more have been put back.

    Returns:
        How many were put back.

    Raises:
        RetryableError: the broker does not answer as it should.
        PermanentError: the broker refuses, or there is no such topic.
    """
    source, group = dead_letter_topic(topic), group or replay_group()
    found = spans(config, source, group)
    if not found and topic not in (names := topic_names(config)):
        known = ", ".join(sorted(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))) or "none"
        message = f"There is no topic {topic} and no {source}. Topics with dead letters: {known}."
        raise PermanentError(Stage.CLAIM, Code.BROKER_REFUSED, message)
    todo = [span for span in found if span.waiting]
    if not todo or limit == 0:
        return 0
    ensure_topic(config, topic, stream_settings().partitions)
    done = 0
    with reader(config, source, group, {"fetch.wait.max.ms": 50}) as consumer:
        for span in todo:
            consumer.assign([TopicPartition(source, span.partition, span.start)])
            letters = _letters(consumer, source, span.end)
            while limit is None or done < limit:
                most = _REPLAY_CHUNK if limit is None else min(_REPLAY_CHUNK, limit - done)
                with publisher(config, topic) as publishing:
                    behind = _put_back(letters, publishing, most)
                    count = publishing.flush()
                if not behind:
                    break
                commit(config, group, TopicPartition(source, span.partition, behind))
                done += count
                if on_progress:
                    on_progress(count)
    log.info("%s: %s dead letters put back", topic, done)
    return done


def _put_back(letters: Iterator[RawMessage], publishing: Publisher, most: int) -> int:
    """Send the next letters; the offset behind the last one."""
    behind = 0
    while publishing.sent < most and (raw := next(letters, None)) is not None:
        behind = (raw.offset() or 0) + 1
        if raw.value() is None:
            log.warning("%s at %s is a delete, which is not put back", raw.topic(), raw.offset())
            continue
        headers = headers_of(raw)
        attempt: Header = (ATTEMPT, str(attempts(headers)).encode())
        publishing.send(raw.value(), raw.key(), [*own_headers(headers), attempt])
    return behind


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
                Stage.CLAIM, Code.BROKER_UNAVAILABLE, "The broker sends no more dead letters.", topic=source, end=end
            )


def _moment(timestamp_ms: int) -> str:
    """When the message was sent, as its producer says; the bare number where that is no time, and nothing for none."""
    if timestamp_ms < 0:
        return ""
    try:
        return _iso(datetime.fromtimestamp(timestamp_ms / 1000, UTC))
    except (ValueError, OverflowError, OSError):
        return str(timestamp_ms)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

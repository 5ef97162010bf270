"""kill -9 at every point of a batch: the next consumer finishes it, no row twice, none missing, nothing unfinished."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from dying_consumer import KilledError, deadly, deaths_until_consumed, die_at
from topic_pipeline import message, messages

if TYPE_CHECKING:
    from conftest import MakeTopic, Topics
    from topic_pipeline import Row, TopicPipeline

    from include.streams.consume import Consumed

pytestmark = pytest.mark.integration

BAD = message(7, side="sideways")
BEFORE_COMMIT = [
    "claimed",
    "begun",
    "validated",
    "processed",
    "dead letters published",
    "merged, not committed",
]
AFTER_COMMIT = [
    "committed, staging table not dropped",
    "committed in the warehouse, not in the broker",
    "committed in the broker, not settled",
]
LETTERS_TWICE = {"dead letters published", "merged, not committed"}


@dataclass
class Finished:
    """A batch whose worker was killed: the offsets and rows at that time, and the next consumer's result."""

    pipeline: TopicPipeline
    committed: dict[int, int]
    rows: dict[str, Row]
    next_consumer: Future[Consumed]


@pytest.fixture(scope="module")
def finished(module_topics: Topics) -> dict[str, Finished]:
    """A topic for each point. All in parallel: the broker takes time to remove killed consumers."""
    pipelines = {point: module_topics.make(point) for point in [*BEFORE_COMMIT, *AFTER_COMMIT]}
    values = messages(10)
    values[7] = BAD
    for pipeline in pipelines.values():
        pipeline.produce(values)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(die_at, pipelines, pipelines.values()))
        return {
            point: Finished(pipeline, pipeline.committed(), pipeline.rows(), pool.submit(pipeline.consume))
            for point, pipeline in pipelines.items()
        }


@pytest.mark.parametrize("point", [*BEFORE_COMMIT, *AFTER_COMMIT])
def test_next_consumer_finishes_a_batch_whose_worker_was_killed(finished: dict[str, Finished], point: str) -> None:
    killed = finished[point]
    assert killed.committed == {0: 10 if point == "committed in the broker, not settled" else 0}
    assert len(killed.rows) == (9 if point in AFTER_COMMIT else 0)

    killed.next_consumer.result()

    pipeline = killed.pipeline
    rows = pipeline.assert_rows(number for number in range(10) if number != 7)
    assert point in BEFORE_COMMIT or rows == killed.rows
    archived = pipeline.assert_settled()
    assert sum(entry["rows_inserted"] for entry in archived) == 9
    assert sum(entry["rows_rejected"] for entry in archived) == 1
    assert pipeline.committed() == {0: 10}
    assert [letter.value for letter in pipeline.letters()] == [BAD] * (2 if point in LETTERS_TWICE else 1)


def test_only_the_poison_message_becomes_a_dead_letter(make_topic: MakeTopic) -> None:
    """It is read in smaller and smaller batches, down to one. Messages before it die as often, and never alone."""
    pipeline = make_topic(settings={"max_attempts": 2})
    values = messages(400)
    pipeline.produce(values)

    with deadly(values[3]):
        assert deaths_until_consumed(pipeline) == [400, 25, 1, 1]

    pipeline.assert_rows(number for number in range(400) if number != 3)
    (letter,) = pipeline.letters()
    assert (letter.value, letter.code) == (values[3], "worker-died")
    assert (letter.headers["dlq-source-offset"], letter.headers["dlq-stage"]) == ("3", "validate")
    assert "died 2 times" in letter.headers["dlq-error-message"]
    pipeline.assert_settled()
    (entry,) = [entry for entry in pipeline.entries() if entry["status"] != "archived"]
    assert (entry["first_offset"], entry["last_offset"]) == (3, 3)
    assert (entry["status"], entry["error_code"]) == ("validation_failed", "worker-died")
    assert pipeline.committed() == {0: 400}

    assert pipeline.replay() == 1
    pipeline.consume()

    pipeline.assert_rows(range(400))


def test_worker_that_is_killed_before_it_notes_a_dead_letter_loses_nothing(make_topic: MakeTopic) -> None:
    pipeline = make_topic(settings={"max_attempts": 1})
    values = messages(6)
    pipeline.produce(values[:1])
    with deadly(values[0]), pytest.raises(KilledError):
        pipeline.consume()
    pipeline.produce(values[1:])

    die_at("poison message published, not noted", pipeline)
    pipeline.consume()

    pipeline.assert_rows(range(1, 6))
    assert {letter.headers["dlq-source-offset"] for letter in pipeline.letters()} == {"0"}
    assert pipeline.committed() == {0: 6}
    pipeline.assert_settled()

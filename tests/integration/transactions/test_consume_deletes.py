"""With `deletes: hard` or `soft` a message without a value deletes the row that its key names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from dying_consumer import die_at
from topic_pipeline import message, transaction

from include.contracts.model import Deletes

if TYPE_CHECKING:
    from conftest import MakeTopic
    from topic_pipeline import Row, TopicPipeline

pytestmark = pytest.mark.integration

BOTH = pytest.mark.parametrize("deletes", Deletes)
Sent = tuple[int, bytes | None]


def key(number: int) -> bytes:
    return str(transaction(number)["id"]).encode()


def produce(pipeline: TopicPipeline, *sent: Sent) -> None:
    """Publish these (number, value)."""
    pipeline.produce([value for _, value in sent], keys=[key(number) for number, _ in sent])


def upsert(number: int, **changes: Any) -> Sent:
    return number, message(number, **changes)


def delete(number: int) -> Sent:
    return number, None


def live(pipeline: TopicPipeline) -> set[int]:
    """The numbers of the rows that are not marked."""
    numbers = {transaction(number)["id"]: number for number in range(20)}
    return {numbers[one] for one, row in pipeline.rows().items() if row.get("_deleted_at") is None}


def counts(entry: Row) -> dict[str, int]:
    names = ("rows_read", "rows_inserted", "rows_updated", "rows_unchanged", "rows_deleted", "deletes_ignored")
    return {name: entry[name] for name in names if entry[name]}


@BOTH
def test_delete_of_a_row_of_an_earlier_batch(make_topic: MakeTopic, deletes: Deletes) -> None:
    pipeline = make_topic(deletes=deletes)
    produce(pipeline, upsert(1), upsert(2))
    pipeline.consume()
    produce(pipeline, delete(1), upsert(3))

    done = pipeline.consume()

    entry = pipeline.assert_settled()[-1]
    assert counts(entry) == {"rows_read": 1, "rows_inserted": 1, "rows_deleted": 1}
    assert entry["deletes"] == deletes
    assert (done.rows_deleted, done.deletes, done.deletes_ignored) == (1, 1, 0)
    assert live(pipeline) == {2, 3}
    assert len(pipeline.rows()) == (3 if deletes is Deletes.SOFT else 2)


@BOTH
def test_order_of_the_offsets_decides_within_a_batch(make_topic: MakeTopic, deletes: Deletes) -> None:
    pipeline = make_topic(deletes=deletes)
    produce(pipeline, upsert(1), delete(1), delete(2), upsert(2), upsert(3), delete(3), upsert(3))

    pipeline.consume()

    (entry,) = pipeline.assert_settled()
    assert counts(entry) == {"rows_read": 4, "rows_inserted": 3, "rows_deleted": 1}
    assert entry["rows_duplicate"] == 1
    assert live(pipeline) == {2, 3}


@BOTH
def test_batch_of_deletes_alone(make_topic: MakeTopic, deletes: Deletes) -> None:
    pipeline = make_topic(deletes=deletes)
    produce(pipeline, upsert(1), upsert(2))
    pipeline.consume()
    produce(pipeline, delete(1), delete(7))

    pipeline.consume()

    assert counts(pipeline.assert_settled()[-1]) == {"rows_deleted": 1}
    assert live(pipeline) == {2}


def test_deletes_before_the_first_row(make_topic: MakeTopic) -> None:
    pipeline = make_topic(deletes=Deletes.HARD)
    produce(pipeline, delete(1))

    pipeline.consume()

    assert counts(pipeline.assert_settled()[-1]) == {}
    produce(pipeline, upsert(1))
    pipeline.consume()
    assert live(pipeline) == {1}


def test_row_that_returns_loses_its_mark(make_topic: MakeTopic) -> None:
    pipeline = make_topic(deletes=Deletes.SOFT)
    for sent in (upsert(1), delete(1), upsert(1)):
        produce(pipeline, sent)
        pipeline.consume()

    assert [counts(entry) for entry in pipeline.assert_settled()] == [
        {"rows_read": 1, "rows_inserted": 1},
        {"rows_deleted": 1},
        {"rows_read": 1, "rows_updated": 1},
    ]
    assert live(pipeline) == {1}


def test_object_as_a_key_and_keys_that_name_no_row(make_topic: MakeTopic) -> None:
    pipeline = make_topic(deletes=Deletes.HARD)
    produce(pipeline, *map(upsert, range(4)))
    pipeline.consume()
    keys = [
        json.dumps({"id": transaction(0)["id"]}).encode(),
        key(1).upper(),
        b"no uuid",
        None,
        json.dumps({"id": transaction(2)["id"], "side": "debit"}).encode(),
    ]
    pipeline.produce([None] * len(keys), keys=keys)

    done = pipeline.consume()

    assert counts(pipeline.assert_settled()[-1]) == {"rows_deleted": 2, "deletes_ignored": 3}
    assert (done.rows_deleted, done.deletes, done.deletes_ignored) == (2, 5, 3)
    assert live(pipeline) == {2, 3}


def test_without_the_switch_deletes_are_counted_and_ignored(pipeline: TopicPipeline) -> None:
    produce(pipeline, upsert(1), delete(1))

    done = pipeline.consume()

    assert counts(pipeline.assert_settled()[-1]) == {"rows_read": 1, "rows_inserted": 1, "deletes_ignored": 1}
    assert (done.deletes, done.deletes_ignored) == (1, 1)
    assert live(pipeline) == {1}


def test_bad_message_beside_a_delete_is_a_dead_letter(make_topic: MakeTopic) -> None:
    pipeline = make_topic(deletes=Deletes.HARD)
    produce(pipeline, upsert(1), upsert(2))
    pipeline.consume()
    produce(pipeline, delete(1), upsert(2, side="sideways"))

    pipeline.consume()

    assert [letter.code for letter in pipeline.letters()] == ["not-in-list"]
    assert live(pipeline) == {2}


@pytest.mark.parametrize("point", ["processed", "merged, not committed"])
def test_killed_consumer_deletes_nothing_and_the_next_one_once(make_topic: MakeTopic, point: str) -> None:
    pipeline = make_topic(deletes=Deletes.HARD)
    produce(pipeline, upsert(1), upsert(2))
    pipeline.consume()
    produce(pipeline, delete(1), upsert(3))

    die_at(point, pipeline)

    assert live(pipeline) == {1, 2}
    pipeline.consume()
    # After a death the messages are read again in smaller batches, each with an entry.
    entries = pipeline.assert_settled()
    assert [sum(entry[name] or 0 for entry in entries) for name in ("rows_inserted", "rows_deleted")] == [3, 1]
    assert live(pipeline) == {2, 3}


@pytest.mark.parametrize("only_deletes", [False, True], ids=["with rows", "deletes alone"])
def test_messages_that_are_delivered_again_delete_nothing_twice(make_topic: MakeTopic, only_deletes: bool) -> None:
    pipeline = make_topic(deletes=Deletes.HARD)
    produce(pipeline, upsert(1), upsert(2))
    pipeline.consume()
    produce(pipeline, delete(1), *([] if only_deletes else [upsert(3)]))

    die_at("committed in the warehouse, not in the broker", pipeline)
    pipeline.consume()

    assert sum(entry["rows_deleted"] or 0 for entry in pipeline.entries()) == 1
    assert live(pipeline) == ({2} if only_deletes else {2, 3})

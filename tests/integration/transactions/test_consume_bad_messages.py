"""Bad messages: each is a dead letter with its bytes and its reason, and the others are loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from registry_server import registry_server
from topic_pipeline import Letter, category_by_rule, message, messages, transaction

from include.contracts.model import Column, ColumnType, UnknownColumns
from include.errors import Code, PermanentError
from include.streams import consume
from include.streams.decode import SCHEMA_ID_HEADER
from include.streams.encode import Encoder
from include.streams.offsets import partition_offsets
from include.streams.registry import Registry, subject_of

if TYPE_CHECKING:
    from conftest import MakeTopic, Topics
    from topic_pipeline import TopicPipeline

    from include.contracts.model import Contract
    from include.ingestion.attempt import Stores
    from include.ingestion.records import FileEntry
    from include.settings import IngestSettings

pytestmark = pytest.mark.integration

LONG = message(900, description="x" * 1_000_000)
# The message, its code, a part of what is said, and the column where it is about one.
BAD: dict[str, tuple[bytes | None, str, str, str | None]] = {
    "no JSON": (b"hello", "bad-row-json", "JSON", None),
    "cut off JSON": (message(901)[:-9], "bad-row-json", "JSON", None),
    "two objects": (message(902) + message(902), "bad-row-json", "JSON", None),
    "array": (b"[" + message(903) + b"]", "not-an-object", "object", None),
    "number": (b"17", "not-an-object", "object", None),
    "null": (b"null", "not-an-object", "object", None),
    "empty": (b"", "empty-message", "empty", None),
    "blank": (b" \t\r\n", "empty-message", "empty", None),
    "not UTF-8": (message(904).replace(b"Payment", b"Caf\xe9"), "bad-encoding", "0xe9", None),
    "amount is a word": (message(905, amount="much"), "bad-number", "much", "amount"),
    "amount is a list": (message(906, amount=[1]), "bad-number", "[1]", "amount"),
    "amount is negative": (message(907, amount=-1), "out-of-range", "-1", "amount"),
    "amount has three decimals": (message(908, amount=1.005), "too-many-decimals", "1.005", "amount"),
    "id is none": (message(909, id="missing"), "bad-uuid", "missing", "id"),
    "time is none": (message(910, timestamp="soon"), "bad-timestamp", "soon", "timestamp"),
    "side is unknown": (message(911, side="sideways"), "not-in-list", "sideways", "side"),
    "field is missing": (message(912, amount=...), "missing-value", "amount", "amount"),
    "field is null": (message(913, side=None), "missing-value", "side", "side"),
    "no field at all": (b"{}", "missing-value", "id", "id"),
    "NUL in a text": (message(914, description="a\0b"), "bad-text", "NUL", "description"),
    "unknown schema id": (b"\0\0\0\1\0abc", "unknown-schema", "256", None),
    "bad Avro": (b"\0\0\0\0\1\xff\xff\xff", "bad-avro", "Schema id 1", None),
    "cut off Avro": (b"\0\0", "bad-avro", "2 bytes", None),
    "key twice": (message(915)[:-1] + b', "id": "31"}', "duplicate-columns", "'id'", None),
    "1 MB": (LONG, "row-too-long", "long", None),
}


@pytest.fixture(scope="module")
def mixed(module_topics: Topics) -> tuple[TopicPipeline, dict[bytes | None, list[Letter]]]:
    """A consumed topic: good messages, in JSON and Avro, around one of each bad kind; and the dead letters by value."""
    with registry_server() as server:
        pipeline = module_topics.make("mixed", settings={"max_row_bytes": 1_000_000})
        pipeline.registry_url = server.url
        encoder = Encoder(Registry(server.url), subject_of(pipeline.topic), pipeline.contract)
        good = [*messages(50), *(encoder.encode(transaction(number)) for number in range(50, 60))]
        bad = [value for value, *_ in BAD.values()]
        pipeline.produce([*good[:20], *bad, *good[20:]])
        pipeline.consume()
    letters: dict[bytes | None, list[Letter]] = {}
    for letter in pipeline.letters():
        letters.setdefault(letter.value, []).append(letter)
    return pipeline, letters


def test_good_messages_are_loaded_from_between_the_bad_ones(
    mixed: tuple[TopicPipeline, dict[bytes | None, list[Letter]]],
) -> None:
    pipeline, letters = mixed
    pipeline.assert_rows(range(60))
    (entry,) = pipeline.assert_settled()
    assert (entry["rows_read"], entry["rows_rejected"], entry["rows_inserted"]) == (60 + len(BAD), len(BAD), 60)
    assert set(letters) == {value for value, *_ in BAD.values()}
    assert pipeline.committed() == {0: 60 + len(BAD)}


@pytest.mark.parametrize("kind", BAD)
def test_bad_message_is_a_dead_letter_with_its_bytes_and_its_reason(
    mixed: tuple[TopicPipeline, dict[bytes | None, list[Letter]]], kind: str
) -> None:
    pipeline, letters = mixed
    value, code, reason, column = BAD[kind]
    offset = str(20 + list(BAD).index(kind))
    (letter,) = [letter for letter in letters[value] if letter.headers["dlq-source-offset"] == offset]
    headers = letter.headers
    assert headers["dlq-error-code"] == code
    assert reason in headers["dlq-error-message"]
    assert headers.get("dlq-error-column") == column
    assert (headers["dlq-stage"], headers["dlq-attempt"]) == ("validate", "1")
    assert (headers["dlq-source-topic"], headers["dlq-source-partition"]) == (pipeline.topic, "0")
    failed_at = datetime.fromisoformat(headers["dlq-failed-at"])
    assert timedelta(0) <= datetime.now(UTC) - failed_at < timedelta(minutes=5)


def test_schema_id_in_a_header_reads_the_record(pipeline: TopicPipeline) -> None:
    with registry_server() as server:
        pipeline.registry_url = server.url
        encoded = Encoder(Registry(server.url), subject_of(pipeline.topic), pipeline.contract).encode(transaction(0))
        pipeline.produce([encoded[5:]], headers={SCHEMA_ID_HEADER: encoded[:5]})
        pipeline.consume()
    pipeline.assert_rows(range(1))
    assert pipeline.letters() == []


# The threshold


def test_small_batch_of_only_bad_messages_does_not_stop(pipeline: TopicPipeline) -> None:
    pipeline.produce([b"{}", b"", b"{}", b" "])

    result = pipeline.consume()

    assert (result.batches, result.dead_letters, result.rows) == ({"loaded": 1}, 4, 0)
    assert [letter.headers["dlq-source-offset"] for letter in pipeline.letters()] == ["0", "1", "2", "3"]
    assert pipeline.rows() == {}
    assert pipeline.committed() == {0: 4}
    (entry,) = pipeline.assert_settled()
    assert (entry["rows_read"], entry["rows_rejected"]) == (4, 4)


def test_batch_over_the_threshold_stops_with_the_reason_until_the_threshold_is_ignored(make_topic: MakeTopic) -> None:
    pipeline = make_topic(streams={"threshold_messages": 20})
    pipeline.produce([*messages(18), b"one", b"two"])  # a tenth; the contract allows a twentieth

    for _ in range(2):
        with pytest.raises(PermanentError, match="2 of 20 rows are refused; the contract allows 5 %") as caught:
            pipeline.consume()
        assert (caught.value.code, caught.value.stage) == (Code.ERROR_BUDGET_EXCEEDED, "validate")
        assert "ignore_threshold" in str(caught.value)
        assert "line 19" in str(caught.value)
        assert pipeline.rows() == {}
        assert pipeline.letters() == []
        assert pipeline.committed() == {0: 0}
        (entry,) = pipeline.entries()
        assert (entry["status"], entry["error_code"]) == ("validation_failed", "error-budget-exceeded")
        assert (entry["rows_read"], entry["rows_rejected"]) == (20, 2)
        pipeline.assert_settled()

    result = pipeline.consume(ignore_threshold=True)

    assert (result.batches, result.dead_letters) == ({"loaded": 1}, 2)
    pipeline.assert_rows(range(18))
    assert [letter.value for letter in pipeline.letters()] == [b"one", b"two"]
    (entry,) = pipeline.assert_settled()
    assert (entry["error_code"], entry["rows_inserted"], entry["attempts"]) == (None, 18, 1)
    assert pipeline.committed() == {0: 20}


def test_batch_at_the_threshold_is_loaded(make_topic: MakeTopic) -> None:
    pipeline = make_topic(streams={"threshold_messages": 20})
    pipeline.produce([*messages(19), b"one"])

    assert pipeline.consume().dead_letters == 1
    pipeline.assert_rows(range(19))


def test_stopped_batch_blocks_its_partition_and_no_other(make_topic: MakeTopic) -> None:
    pipeline = make_topic(partitions=2, streams={"threshold_messages": 20, "batch_messages": 20})
    pipeline.produce([b"bad"] * 20 + messages(10, 200), 0)
    pipeline.produce(messages(50), 1)

    with pytest.raises(PermanentError, match="20 of 20 rows"):
        pipeline.consume()

    pipeline.assert_rows(range(50))
    assert pipeline.committed() == {0: 0, 1: 50}
    assert pipeline.letters() == []
    pipeline.consume(ignore_threshold=True)
    pipeline.assert_rows([*range(50), *range(200, 210)])
    assert pipeline.committed() == {0: 30, 1: 50}


# Replay of dead letters


def with_operations(contract: Contract, *operations: str) -> Contract:
    """The contract with another list of operations."""
    columns = [
        replace(column, allowed=operations) if column.name == "operation_type" else column
        for column in contract.columns
    ]
    return replace(contract, columns=tuple(columns))


def test_dead_letters_load_after_the_contract_was_widened(pipeline: TopicPipeline) -> None:
    refund, still_bad = message(1, operation_type="refund"), message(2, side="sideways")
    pipeline.contract = with_operations(pipeline.contract, "card")
    pipeline.produce([message(0), refund, still_bad])
    pipeline.consume()
    pipeline.assert_rows([0])
    pipeline.contract = with_operations(pipeline.contract, "card", "refund")

    assert pipeline.replay() == 2
    pipeline.consume()

    pipeline.assert_rows([0, 1])
    letters = [(letter.value, letter.headers["dlq-attempt"]) for letter in pipeline.letters()]
    assert letters == [(refund, "1"), (still_bad, "1"), (still_bad, "2")]
    assert (
        sum(
            offsets.lag
            for offsets in partition_offsets(pipeline.kafka, f"{pipeline.topic}.dlq", f"{pipeline.group}.replay")
        )
        == 1
    )
    pipeline.assert_settled()


# Poison messages


def test_message_with_an_unknown_column_is_found_and_becomes_the_only_dead_letter(make_topic: MakeTopic) -> None:
    pipeline = make_topic(unknown_columns=UnknownColumns.REJECT, partitions=2)
    values = messages(100)
    values[61] = message(61, colour="red")
    values[90] = message(90, colour="blue")
    pipeline.produce(values)
    pipeline.produce(messages(100, 100), 1)  # polled in the same call, and not affected

    result = pipeline.consume()

    assert result.batches["dead-lettered"] == 2
    pipeline.assert_rows(number for number in range(200) if number not in {61, 90})
    letters = pipeline.letters()
    assert [(letter.value, letter.code) for letter in letters] == [
        (values[61], "unknown-columns"),
        (values[90], "unknown-columns"),
    ]
    assert "colour" in letters[0].headers["dlq-error-message"]
    pipeline.assert_settled()
    assert pipeline.committed() == {0: 100, 1: 100}
    entries = [entry for entry in pipeline.entries() if entry["partition"] == 0]
    assert [entry["first_offset"] for entry in entries if entry["status"] != "archived"] == [61, 90]
    covered = [offset for e in entries for offset in range(e["first_offset"], e["last_offset"] + 1)]
    assert covered == list(range(100))


def test_too_many_poison_messages_stop_the_batch_until_the_threshold_is_ignored(make_topic: MakeTopic) -> None:
    pipeline = make_topic(unknown_columns=UnknownColumns.REJECT, streams={"threshold_messages": 3})
    pipeline.produce(message(number, colour="red") for number in range(8))

    with pytest.raises(PermanentError, match="colour") as caught:
        pipeline.consume()
    assert caught.value.code is Code.UNKNOWN_COLUMNS
    assert (len(pipeline.letters()), pipeline.committed()) == (3, {0: 3})
    pipeline.assert_settled()

    assert pipeline.consume(ignore_threshold=True).dead_letters == 5
    assert pipeline.committed() == {0: 8}
    pipeline.assert_settled()


def test_message_whose_derived_column_cannot_be_calculated_is_the_only_dead_letter(make_topic: MakeTopic) -> None:
    pipeline = make_topic()
    derived = Column("number", ColumnType.INTEGER, derived="replace(description, 'Payment ', '')::BIGINT")
    pipeline.contract = replace(pipeline.contract, columns=(*pipeline.contract.columns, derived))
    values = messages(20)
    values[5] = message(5, description="Payment five")
    pipeline.produce(values)

    pipeline.consume()

    rows = pipeline.assert_rows(number for number in range(20) if number != 5)
    assert {row["number"] for row in rows.values()} == {*range(20)} - {5}
    (letter,) = pipeline.letters()
    assert (letter.value, letter.code, letter.headers["dlq-stage"]) == (values[5], "derivation-failed", "validate")
    pipeline.assert_settled()


def test_messages_that_the_service_refuses_become_dead_letters_up_to_a_limit(make_topic: MakeTopic) -> None:
    """The contract allows a value that the service refuses: with many such messages the contract is wrong."""
    pipeline = make_topic(streams={"batch_messages": 16})
    pipeline.contract = with_operations(pipeline.contract, "card", "gift")
    values = messages(16)
    values[5:9] = messages(4, 5, operation_type="gift")
    pipeline.produce(values)

    with pytest.raises(PermanentError, match="operation_type") as caught:
        pipeline.consume()

    assert caught.value.code is Code.SERVICE_REFUSED
    pipeline.assert_rows(range(5))
    letters = [(letter.value, letter.code, letter.headers["dlq-stage"]) for letter in pipeline.letters()]
    assert letters == [(value, "service-refused", "process") for value in values[5:8]]
    assert pipeline.committed() == {0: 8}
    pipeline.assert_settled()


def test_message_that_causes_a_defect_is_the_only_dead_letter(
    pipeline: TopicPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = messages(20)
    pipeline.produce(values)
    original = consume.ingest

    def ingest(contract: Contract, entry: FileEntry, source: Any, stores: Stores, settings: IngestSettings) -> Any:
        if values[0] in {one.value for one in source.batch.messages}:
            raise PermanentError(Code.INTERNAL, error="KeyError").with_stage("process")
        return original(contract, entry, source, stores, settings)

    monkeypatch.setattr(consume, "ingest", ingest)
    pipeline.consume()

    pipeline.assert_rows(range(1, 20))
    assert [(letter.value, letter.code) for letter in pipeline.letters()] == [(values[0], "internal")]
    assert pipeline.committed() == {0: 20}
    pipeline.assert_settled()


# Each with its outcome.
STRANGE = {
    "key given twice": (message(800)[:-1] + b', "amount": 2}', "duplicate-columns"),
    "keys that differ in case": (message(801)[:-1] + b', "Amount": 2}', "duplicate-columns"),
    "lone surrogate": (message(802, description="x").replace(b'"x"', b'"\\ud800"'), "bad-row-json"),
    "emoji": (message(803, description="\N{PARTY POPPER}"), "loaded"),
    "number beyond a double": (message(804).replace(b"804.5", b"1e999"), "out-of-range"),
    "number of 400 digits": (message(805).replace(b"805.5", b"9" * 400), "out-of-range"),
    "not a number": (message(806).replace(b"806.5", b"NaN"), "bad-row-json"),
    "nested a thousand deep": (
        message(807, extra=0).replace(b'"extra": 0', b'"extra": ' + b"[" * 1000 + b"]" * 1000),
        "bad-json",
    ),
    "NUL in an unknown field": (message(808, extra="a\0b"), "bad-json"),
    "NUL in an unknown name": (message(809, **{"a\0b": 1}), "bad-json"),
    "empty name": (message(810, **{"": 1}), "loaded"),
    "reserved name": (message(811, _rescued="x", _file_id=7, _source_row=9), "loaded"),
    "category sent along": (message(812, category="housing"), "loaded"),
    "600 unknown fields": (message(813, **{f"field {at}": at for at in range(600)}), "too-many-columns"),
    "long name": (message(814, **{"n" * 5000: 1}), "loaded"),
    "line breaks": (json.dumps(transaction(815), indent=2).encode().replace(b"\n", b"\r\n"), "loaded"),
    "byte order mark": (b"\xef\xbb\xbf" + message(816), "loaded"),
    "year 10000": (message(817, timestamp="10000-01-01T00:00:00Z"), "bad-timestamp"),
    "quote and path in a name": (message(818, **{"a\"b'c.$[0]": 1}), "loaded"),
    "space around": (b"  " + message(819) + b"\t", "loaded"),
}


def test_strange_messages_are_loaded_or_dead_letters_and_affect_no_other(pipeline: TopicPipeline) -> None:
    pipeline.produce([*messages(20), *(value for value, _ in STRANGE.values()), *messages(20, 20)])

    pipeline.consume()

    pipeline.assert_settled()
    assert pipeline.committed() == {0: 40 + len(STRANGE)}
    loaded = {str(row["id"]) for row in pipeline.sql("SELECT id FROM {table}")}
    assert {transaction(number)["id"] for number in range(40)} <= loaded
    letters = {letter.value: letter.code for letter in pipeline.letters()}
    outcomes = {
        kind: letters.get(value, "loaded" if transaction(800 + at)["id"] in loaded else "missing")
        for at, (kind, (value, _)) in enumerate(STRANGE.items())
    }
    assert outcomes == {kind: outcome for kind, (_, outcome) in STRANGE.items()}
    categories = pipeline.sql("SELECT id, category FROM {table}")
    assert [row for row in categories if row["category"] != category_by_rule(row["id"])] == []

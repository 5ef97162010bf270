"""Records of a source as messages of the real broker."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from element_world import COLUMNS, ELEMENT, Crash, ElementWorld, numbers
from real_broker import Broker, contents
from registry_server import RegistryServer, registry_server

from include.contracts.model import APPEND_KEY, Column, ColumnType, UnknownColumns
from include.errors import Code, PermanentError, RetryableError
from include.settings import KafkaConfig, StreamSettings
from include.sources import run
from include.sources.listing import Element, Listing, Position, Sink, Traffic
from include.streams.decode import MAGIC_BYTE, Decoder
from include.streams.registry import Registry, subject_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

pytestmark = pytest.mark.integration


@pytest.fixture
def world(element_world: ElementWorld, broker: Broker) -> ElementWorld:
    element_world.kafka = broker.config
    element_world.changes = {"topic": element_world.name}
    return element_world


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with registry_server() as running:
        yield running


@contextmanager
def crash_before_the_commit(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(run._Attempt, "_commit", crash)
        yield


def test_records_become_messages_with_the_contracts_key(world: ElementWorld, broker: Broker) -> None:
    done = world.collect(deliver="topic")
    assert (done.records_written, done.object_key, done.watermark) == (7, None, "7")
    found = sorted(contents(broker, world.name), key=lambda message: message.key or b"")
    assert [message.key for message in found] == [f"{ELEMENT}:{n}".encode() for n in range(1, 8)]
    assert [message.value for message in found] == [world.line(ELEMENT, n) for n in range(1, 8)]
    assert world.incoming == []
    assert (world.row()["watermark"], world.row()["pending_key"]) == ("7", None)
    [row] = world.runs()
    assert (row["status"], row["records_written"], row["object_key"]) == ("success", 7, None)
    world.records += [8]
    assert world.collect(deliver="topic").records_written == 1
    assert sorted(numbers(message.value for message in contents(broker, world.name))) == world.records


def test_what_came_before_an_error_is_published(world: ElementWorld, broker: Broker) -> None:
    away = RetryableError(Code.SOURCE_UNAVAILABLE, "The API answers 503.")
    with pytest.raises(RetryableError, match="503"):
        world.collect(read=world.reader(stop_after=1, error=away), deliver="topic")
    world.collect(deliver="topic")
    assert sorted(numbers(message.value for message in contents(broker, world.name))) == world.records


def test_crash_after_publishing_repeats_messages_with_the_same_keys(
    world: ElementWorld, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with crash_before_the_commit(monkeypatch), pytest.raises(Crash):
        world.collect(deliver="topic")
    assert world.row()["watermark"] is None
    world.collect(deliver="topic")
    found = [(message.key, message.value) for message in contents(broker, world.name)]
    assert sorted(found) == sorted(2 * [(f"{ELEMENT}:{n}".encode(), world.line(ELEMENT, n)) for n in range(1, 8)])
    assert [(row["status"], row["records_written"]) for row in world.runs()] == [("failed", 0), ("success", 7)]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        pytest.param({"key": APPEND_KEY, "newest_by": None}, "has no key", id="no key"),
        pytest.param({"topic": None}, "has no topic", id="no topic"),
    ],
)
def test_contract_that_does_not_fit_is_refused_before_anything_is_read(
    world: ElementWorld, changes: dict[str, Any], what: str
) -> None:
    world.changes |= changes
    with pytest.raises(PermanentError, match=what) as caught:
        world.collect(deliver="topic")
    assert caught.value.code is Code.CONTRACT_INVALID
    assert (world.begun, world.runs()) == ([], [])


def test_source_without_a_broker_fails(world: ElementWorld) -> None:
    world.kafka = None
    with pytest.raises(PermanentError, match="No broker"):
        world.collect(deliver="topic")


def test_broker_that_is_away_leaves_the_position(world: ElementWorld, broker: Broker) -> None:
    world.kafka = KafkaConfig(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(RetryableError) as caught:
        world.collect(deliver="topic")
    assert caught.value.code is Code.BROKER_UNAVAILABLE
    assert world.row()["watermark"] is None
    [row] = world.runs()
    assert (row["status"], row["error_code"], row["records_read"]) == ("failed", "broker-unavailable", 7)
    world.kafka = broker.config
    world.collect(deliver="topic")
    assert sorted(numbers(message.value for message in contents(broker, world.name))) == world.records


def test_pending_file_is_settled_after_the_definition_changed_to_a_topic(
    world: ElementWorld, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with crash_before_the_commit(monkeypatch), pytest.raises(Crash):
        world.collect()
    world.records += [8]
    assert world.collect(deliver="topic").records_written == 1
    assert world.delivered() == list(range(1, 8))
    assert numbers(message.value for message in contents(broker, world.name)) == [8]


def test_registry_makes_messages_avro_unless_something_would_be_missing(
    world: ElementWorld, broker: Broker, registry: RegistryServer
) -> None:
    world.columns = (*COLUMNS, Column("price", ColumnType.NUMBER), Column("extra", ColumnType.JSON))
    world.streams = StreamSettings(schema_registry_url=registry.url)
    world.changes |= {"unknown_columns": UnknownColumns.RESCUE}
    records = {
        b"a": b'{"id":"a","n":1,"price":1.50,"extra":{"b":[1]}}',
        b"b": b'{"id":"b","n":2,"price":"dear"}',
        b"c": b'{"id":"c","n":3,"N":3}',
        b"d": b'{"id":"d","n":4,"colour":"red"}',
        b"7": b'{"id":7,"n":5}',
        None: b"[1]",
    }
    assert publish_records(world, records.values()) == len(records)
    found = {message.key: message.value or b"" for message in contents(broker, world.name)}
    assert found.keys() == records.keys()
    as_json = {key: value for key, value in found.items() if value[0] != MAGIC_BYTE}
    assert as_json == {key: records[key] for key in (b"b", b"c", b"d", None)}
    line = json.loads(Decoder(Registry(registry.url)).decode(found[b"a"]))
    assert line == {"id": "a", "n": 1, "price": "1.50", "extra": {"b": [1]}}
    assert subject_of(world.name) in registry.subjects


def test_unknown_members_that_the_contract_ignores_do_not_make_a_message_json(
    world: ElementWorld, broker: Broker, registry: RegistryServer
) -> None:
    world.streams = StreamSettings(schema_registry_url=registry.url)
    world.changes |= {"unknown_columns": UnknownColumns.IGNORE}
    publish_records(world, [b'{"id":"a","n":1,"colour":"red"}'])
    [message] = contents(broker, world.name)
    assert message.value is not None
    assert message.value[0] == MAGIC_BYTE


def test_contract_with_paths_makes_messages_json_that_it_can_read(
    world: ElementWorld, broker: Broker, registry: RegistryServer
) -> None:
    """An Avro record has the columns by name: the consumer would not find what the contract places at a path."""
    world.columns = (*COLUMNS, Column("city", ColumnType.TEXT, path="shop.city"))
    world.streams = StreamSettings(schema_registry_url=registry.url)
    world.changes |= {"unknown_columns": UnknownColumns.IGNORE}
    record = b'{"id":"a","n":1,"shop":{"city":"Berlin"}}'
    publish_records(world, [record])
    assert [message.value for message in contents(broker, world.name)] == [record]
    assert registry.requests == []


def publish_records(world: ElementWorld, records: Iterable[bytes]) -> int:
    def read(element: Element, position: Position, sink: Sink, traffic: Traffic) -> Listing:
        for record in records:
            sink.take(record)
        return Listing(position)

    return world.collect(read=read, deliver="topic").records_written

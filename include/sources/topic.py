"""Records of a source as messages of the contract's topic.

What belongs here: a record's key and encoding. What does not: the producer (`include.streams.publish`), and when
records are published (`run`).

A message is the record as it was read, or with a schema registry an Avro record of the contract's schema. What would
lose something as Avro is published as JSON, which consumers read too: records with members that the contract does not
name, or with values of another type; all records of a contract with paths, for Avro has its columns by name. The key is
the contract's, as `include.streams.produce` makes it. A run that dies after publishing publishes the same records
again; the contract's key merges them.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from include.contracts.model import UnknownColumns
from include.contracts.source_names import SourceNames
from include.errors import Code, PermanentError
from include.ingestion.readers.json_columns import JsonColumns, value_at
from include.ingestion.readers.json_values import BLANKS, json_cell, read_value, text_cell
from include.ingestion.records import FileFormat
from include.streams.avro_schema import RowValueError
from include.streams.broker import ensure_topic
from include.streams.encode import Encoder
from include.streams.publish import publisher
from include.streams.registry import Registry, subject_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from include.contracts.model import Contract
    from include.settings import KafkaConfig, StreamSettings

# Names of members are matched once each, as long as a source does not invent them.
_REMEMBERED_NAMES = 4096
_ESCAPE = re.compile(r"\\(?:u([0-9a-f]{4})|.)")


def check_contract(contract: Contract) -> str:
    """Return the topic of a contract whose records may be published.

    Raises:
        PermanentError: it has no topic, or no key: a record that is published twice would be loaded twice.
    """
    if contract.topic is None:
        raise _unfit(contract, "has no topic", "add topic to its ingestion options, or deliver: file to the source")
    if contract.appends:
        raise _unfit(contract, "has no key, so repeated messages would be loaded twice", "add a key, or deliver: file")
    return contract.topic


def publish(records: Iterable[bytes], contract: Contract, kafka: KafkaConfig, streams: StreamSettings) -> int:
    """Publish records to the contract's topic, which is created if it is missing.

    Args:
        records: as JSON, each on one line.
        contract: of the dataset.
        kafka: where the broker is.
        streams: the registry, and the partitions of a new topic.

    Returns:
        How many the broker has acknowledged: all.

    Raises:
        RetryableError: the broker or the registry does not answer, or has not acknowledged everything.
        PermanentError: one of them refuses, or the contract has no topic or key.
    """
    topic = check_contract(contract)
    messages = RecordMessages(contract, _encoder(contract, topic, streams))
    ensure_topic(kafka, topic, streams.partitions)
    with publisher(kafka, topic) as publishing:
        for record in records:
            key, value = messages.of(record)
            publishing.send(value, key)
        return publishing.flush()


class RecordMessages:
    """Makes keys and values of messages.

    Args:
        contract: of the dataset.
        encoder: for Avro; None: messages are JSON. A contract with paths has none.
    """

    def __init__(self, contract: Contract, encoder: Encoder | None = None) -> None:
        self._contract, self._encoder = contract, encoder
        self._columns = JsonColumns.of(contract, FileFormat.NDJSON)
        names = SourceNames.of(contract.columns, self._columns.placed)
        self._column_of = lru_cache(_REMEMBERED_NAMES)(names.column_of)
        sent = {column.name for column in contract.source_columns}
        self._has_key = set(contract.key) <= sent
        self._wanted = sent if encoder else set(contract.key)

    def of(self, record: bytes) -> tuple[bytes | None, bytes]:
        """Key and value of the message of a record.

        A text that is no JSON object, or that has a member twice, has no key: the consumer refuses it.
        """
        members = _members(record)
        if members is None:
            return None, record
        members = self._columns.with_flat(dict(members))
        named = {key: name for key in members if (name := self._column_of(key)) is not None}
        cells = self._cells(members, named)
        return self._key(cells), self._value(record, members, named, cells)

    def _cells(self, members: Mapping[str, Any], named: Mapping[str, str]) -> dict[str, str | None]:
        """The values of the wanted columns as texts of cells."""
        values = {name: members[key] for key, name in named.items() if name in self._wanted}
        placed = self._columns.placed
        values |= {name: value_at(members, steps) for name, steps in placed.items() if name in self._wanted}
        is_document = self._columns.is_document
        return {name: (json_cell if is_document(name) else text_cell)(value) for name, value in values.items()}

    def _key(self, cells: Mapping[str, str | None]) -> bytes | None:
        if not self._has_key:
            return None
        texts = [cells.get(name) for name in self._contract.key]
        if len(texts) > 1:
            return _encoded(_array(texts))
        return None if texts[0] is None else _encoded(texts[0])

    def _value(
        self, record: bytes, members: Mapping[str, Any], named: Mapping[str, str], cells: Mapping[str, str | None]
    ) -> bytes:
        if self._encoder is None or self._loses(members, named):
            return record
        try:
            return self._encoder.encode(cells)
        except RowValueError:
            return record

    def _loses(self, members: Mapping[str, Any], named: Mapping[str, str]) -> bool:
        """Whether a record has more than the contract's schema can hold."""
        if len(set(named.values())) < len(named):
            return True  # two members are one column: the consumer refuses such a record
        return self._contract.unknown_columns is not UnknownColumns.IGNORE and len(named) < len(members)


def _members(record: bytes) -> dict[str, Any] | None:
    try:
        text = record.decode().strip(BLANKS)
        value, end = read_value(text)
    except ValueError:
        return None
    return value if type(value) is dict and end == len(text) else None


def _array(texts: Sequence[str | None]) -> str:
    """A JSON array as `include.streams.produce` has DuckDB write it: hexadecimal digits are capitals."""
    array = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    return _ESCAPE.sub(lambda escape: f"\\u{escape[1].upper()}" if escape[1] else escape[0], array)


def _encoded(key: str) -> bytes | None:
    try:
        return key.encode()
    except UnicodeEncodeError:
        return None  # half of a surrogate pair, which the consumer refuses


def _encoder(contract: Contract, topic: str, streams: StreamSettings) -> Encoder | None:
    url = streams.schema_registry_url
    if not url or any(column.path for column in contract.source_columns):
        return None
    return Encoder(Registry(url), subject_of(topic), contract)


def _unfit(contract: Contract, what: str, remedy: str) -> PermanentError:
    message = (
        f"The records of a source cannot be published: the contract of {contract.dataset} {what}. Remedy: {remedy}."
    )
    return PermanentError(Code.CONTRACT_INVALID, message)

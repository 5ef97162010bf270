"""Publishing the rows of a CSV file as one message each.

What belongs here: rows to JSON objects, keys, pace. What does not: the producer itself (`publish`), made-up rows
(`include.cli.streams`), and validation: bad rows are published unchanged, so the consumer can be tested with them.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb

from include.contracts.expressions import literal, quoted
from include.contracts.types import ColumnType
from include.errors import Code, PermanentError
from include.errors.registry import message
from include.streams.broker import ensure_topic
from include.streams.publish import publisher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from include.contracts.model import Contract
    from include.settings import KafkaConfig
    from include.streams.publish import Publisher

    Encode = Callable[[dict[str, Any]], bytes]

_CHUNK_ROWS = 5_000
_TICK_SECONDS = 0.02


@dataclass(frozen=True)
class Produced:
    """The number of published messages. `seconds` include the wait for the broker's acknowledgement."""

    messages: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class RowProducer:
    """Publishes rows as messages of a topic, as JSON objects or in another encoding.

    Values are numbers, booleans and JSON where the contract says so and the text allows it, null where they are empty,
    else text. The key is the contract's, several key columns as a JSON array; there is none if the file lacks one.

    Attributes:
        config: where the broker is.
        topic: is created if it is missing.
        contract: of the dataset.
        partitions: of a topic that is created.
        rate: messages a second; 0 is as fast as possible.
        encode: encodes a row as a message; JSON if left out.
        on_progress: is called with the number of messages sent since the last call.
    """

    config: KafkaConfig
    topic: str
    contract: Contract
    partitions: int
    rate: float = 0
    encode: Encode | None = None
    on_progress: Callable[[int], None] | None = None

    def produce_file(self, path: Path) -> Produced:
        """Publish each row of a delimited file (plain, .gz or .zst); its first line names the columns.

        Raises:
            RetryableError: the broker does not answer, or has not acknowledged everything.
            PermanentError: the broker refuses, or the file cannot be read.
        """
        with _rows(path, self.contract) as chunks:
            ensure_topic(self.config, self.topic, self.partitions)
            begun = time.monotonic()
            with publisher(self.config, self.topic) as publishing:
                pace = _Pace(self.rate, publishing)
                for keys, values in chunks:
                    for key, value in zip(keys, values, strict=True):
                        if self.rate:
                            pace.wait()
                        publishing.send(value if self.encode is None else self.encode(_row(value)), key)
                    if self.on_progress:
                        self.on_progress(len(keys))
                messages = publishing.flush()
            return Produced(messages, time.monotonic() - begun)


class _Pace:
    """Limits a loop to a number of messages a second, and polls the producer meanwhile."""

    def __init__(self, rate: float, publishing: Publisher) -> None:
        self._rate, self._publishing, self._begun = rate, publishing, time.monotonic()

    def wait(self) -> None:
        """Wait until the next message is due. Waits shorter than a tick are added up."""
        due = self._begun + self._publishing.sent / self._rate
        while (early := due - time.monotonic()) > _TICK_SECONDS:
            self._publishing.serve(early)


@contextmanager
def _rows(path: Path, contract: Contract | None) -> Iterator[Iterator[tuple[list[bytes | None], list[bytes]]]]:
    """Keys and JSON texts of a file's rows, in chunks."""
    if not path.is_file():
        raise _unreadable(path, "there is no such file")
    with duckdb.connect(config={"threads": 1, "memory_limit": "512MB"}) as connection:
        try:
            # Quote and escape are given, for DuckDB may guess wrong: FileGate writes and reads RFC 4180. A folder named
            # `region=eu` above the file is not a column.
            options = "header = true, all_varchar = true, quote = '\"', escape = '\"', hive_partitioning = false"
            source = f"read_csv({literal(str(path))}, {options})"
            names = [row[0] for row in connection.execute(f"DESCRIBE FROM {source}").fetchall()]
            select = f"SELECT {_key_sql(names, contract)} AS key, {_object_sql(names, contract)} AS value FROM {source}"
            reader = connection.execute(select).to_arrow_reader(_CHUNK_ROWS)
        except duckdb.Error as error:
            raise _unreadable(path, str(error).splitlines()[0]) from error
        yield _chunks(reader, path)


def _chunks(reader: Any, path: Path) -> Iterator[tuple[list[bytes | None], list[bytes]]]:
    while True:
        try:
            batch = next(reader, None)
        except (duckdb.Error, OSError) as error:
            raise _unreadable(path, str(error).splitlines()[0]) from error
        if batch is None:
            return
        keys, values = (batch.column(index).cast("binary").to_pylist() for index in range(2))
        yield keys, values


def _object_sql(names: Sequence[str], contract: Contract | None) -> str:
    """SQL for a row's JSON object. Numbers keep their text: a conversion to float would lose digits."""
    parts = []
    for index, name in enumerate(names):
        before = ("{" if index == 0 else ", ") + json.dumps(name, ensure_ascii=False) + ": "
        kind = contract.by_name[name].type if contract is not None and name in contract.by_name else ColumnType.TEXT
        parts += [literal(before), _value_sql(quoted(name), kind)]
    return f"concat({', '.join(parts)}, '}}')"


def _value_sql(name: str, kind: ColumnType) -> str:
    text = f"CAST(to_json({name}) AS VARCHAR)"
    if kind.to_json:
        text = kind.to_json(name, text)
    return f"CASE WHEN {name} IS NULL OR {name} = '' THEN 'null' ELSE {text} END"


def _key_sql(names: Sequence[str], contract: Contract | None) -> str:
    """SQL for the message's key: messages with one key go to one partition and stay in order."""
    if contract is None or not set(contract.key) <= set(names):
        return "CAST(NULL AS VARCHAR)"
    columns = [quoted(name) for name in contract.key]
    return columns[0] if len(columns) == 1 else f"CAST(to_json([{', '.join(columns)}]) AS VARCHAR)"


def _row(value: bytes) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(value, parse_float=Decimal)
    return row


def _unreadable(path: Path, reason: str) -> PermanentError:
    return PermanentError(Code.UNREADABLE_FILE, message(Code.UNREADABLE_FILE, "local", reason=reason), file=str(path))

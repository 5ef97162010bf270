"""Runs the pipeline of a topic as the DAG does, for tests, and reads its results."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from psycopg import sql

from include.ingestion.attempt import Stores, open_stores
from include.ingestion.records import AirflowRun
from include.stores.http import Policy
from include.streams.batch_consumer import BatchConsumer
from include.streams.broker import ensure_topic
from include.streams.consume import Consumed, TopicConsumer
from include.streams.dead_letters import dead_letter_topic, replay
from include.streams.decode import Decoder
from include.streams.offsets import partition_offsets
from include.streams.registry import Registry
from ml_api.categories import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import psycopg

    from include.contracts.model import Contract
    from include.settings import IngestSettings, KafkaConfig, MlServiceSettings, S3Config, StreamSettings
    from include.settings import WarehouseConfig as Warehouse

Row = dict[str, Any]
NAMESPACE = UUID("6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21")


def transaction(number: int, **changes: Any) -> Row:
    """The transaction of that number; `...` as a change leaves the field out."""
    row = {
        "id": str(uuid5(NAMESPACE, str(number))),
        "description": f"Payment {number}",
        "amount": number + 0.5,
        "timestamp": "2026-03-01T08:15:30Z",
        "merchant": None if number % 3 else "Corner Bakery",
        "operation_type": "card",
        "side": "debit",
        **changes,
    }
    return {name: value for name, value in row.items() if value is not ...}


def message(number: int, **changes: Any) -> bytes:
    """The transaction of that number as a JSON message."""
    return json.dumps(transaction(number, **changes)).encode()


def messages(count: int, start: int = 0, **changes: Any) -> list[bytes]:
    """Messages of good transactions."""
    return [message(number, **changes) for number in range(start, start + count)]


def category_by_rule(transaction_id: object) -> str:
    """The category that the service must answer."""
    return CATEGORIES[hash(UUID(str(transaction_id))) % len(CATEGORIES)]


@dataclass
class Letter:
    """A message of the dead letter topic."""

    value: bytes | None
    headers: dict[str, str]

    @property
    def code(self) -> str:
        return self.headers["dlq-error-code"]


@dataclass
class TopicPipeline:
    """One dataset with its own topic and consumer group. Every run opens the same stores as a task."""

    contract: Contract
    kafka: KafkaConfig
    streams: StreamSettings
    settings: IngestSettings
    ml_service: MlServiceSettings
    s3: S3Config
    warehouse: Warehouse
    owner: psycopg.Connection[Row] | None = field(repr=False)
    registry_url: str | None = None
    partitions: int = 1

    @property
    def topic(self) -> str:
        return self.contract.topic or ""

    @property
    def group(self) -> str:
        return self.streams.group

    # --- running

    def make_topic(self) -> None:
        ensure_topic(self.kafka, self.topic, self.partitions)

    def delete_topic(self) -> None:
        """Delete the topic. The next `produce` creates it again, without messages."""
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap_servers})
        admin.delete_topics([self.topic])[self.topic].result(10)
        while self.topic in admin.list_topics(timeout=5).topics:
            time.sleep(0.05)

    def produce(
        self,
        values: Iterable[bytes | None],
        partition: int = 0,
        headers: dict[str, bytes] | None = None,
        keys: Iterable[bytes | None] = (),
    ) -> int:
        """Publish messages to one partition, in order, and return their number. Messages have no key by default."""
        self.make_topic()
        count = 0
        producer = Producer(
            {"bootstrap.servers": self.kafka.bootstrap_servers, "linger.ms": 5, "message.max.bytes": 64 * 1024**2}
        )
        for value, key in zip(values, chain(keys, repeat(None)), strict=False):
            producer.produce(self.topic, value, key, partition=partition, headers=headers)
            count += 1
            if count % 10_000 == 0:
                producer.poll(0)
        assert producer.flush(30) == 0
        return count

    @contextmanager
    def consumer(self, run_id: str = "run", *, ignore_threshold: bool = False) -> Iterator[TopicConsumer]:
        """A member of the group with its own stores, as in a task."""
        registry = Registry(self.registry_url, Policy(read_seconds=30, attempts=1)) if self.registry_url else None
        with (
            open_stores(self.s3, self.warehouse, self.ml_service) as stores,
            BatchConsumer(self.kafka, self.topic, self.group, self.streams) as consumer,
        ):
            yield self.made(stores, consumer, Decoder(registry), run_id, ignore_threshold=ignore_threshold)

    def made(
        self, stores: Stores, consumer: BatchConsumer, decoder: Decoder, run_id: str, *, ignore_threshold: bool = False
    ) -> TopicConsumer:
        run = AirflowRun("consume_test", run_id)
        return TopicConsumer(
            self.contract, consumer, decoder, stores, self.kafka, self.settings, self.streams, run, ignore_threshold
        )

    def consume(self, run_id: str = "run", *, ignore_threshold: bool = False) -> Consumed:
        """Run the pipeline once, as the DAG does."""
        with self.consumer(run_id, ignore_threshold=ignore_threshold) as consumer:
            return consumer.consume()

    def replay(self) -> int:
        """Replay the dead letters of the topic."""
        return replay(self.kafka, self.topic, group=f"{self.group}.replay")

    # --- results

    def sql(self, query: str, *values: object) -> list[Row]:
        """Run a statement as the warehouse's owner; `{table}` is the dataset's table."""
        assert self.owner is not None
        table = sql.Identifier("raw", self.contract.dataset)
        with self.owner.cursor() as cursor:
            cursor.execute(sql.SQL(query).format(table=table) if "{" in query else query, values or None)
            return cursor.fetchall() if cursor.description else []

    def rows(self) -> dict[str, Row]:
        """The table's rows by id; empty if there is no table."""
        if not self.sql("SELECT to_regclass(%s) AS there", f"raw.{self.contract.dataset}")[0]["there"]:
            return {}
        rows = self.sql("SELECT * FROM {table}")
        by_id = {str(row["id"]): row for row in rows}
        assert len(by_id) == len(rows)
        return by_id

    def entries(self) -> list[Row]:
        """The dataset's ledger entries, in the order of partitions and offsets."""
        return self.sql(
            "SELECT * FROM ops.file_ingestion_log WHERE dataset = %s ORDER BY partition, first_offset, file_id",
            self.contract.dataset,
        )

    def letters(self) -> list[Letter]:
        """The dead letters, in their order."""
        config = {
            "bootstrap.servers": self.kafka.bootstrap_servers,
            "group.id": "looking",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 10,
            "log_level": 0,
        }
        found: list[Letter] = []
        topic = dead_letter_topic(self.topic)
        consumer = Consumer(config)
        try:
            if topic not in consumer.list_topics(timeout=5).topics:
                return found
            consumer.assign([TopicPartition(topic, 0, 0)])
            while True:
                raw = consumer.poll(10)
                assert raw is not None
                if raw.error():
                    assert raw.error().code() == KafkaError._PARTITION_EOF
                    return found
                headers = {name: (value or b"").decode() for name, value in raw.headers() or ()}
                found.append(Letter(raw.value(), headers))
        finally:
            consumer.close()

    def committed(self) -> dict[int, int]:
        """The group's committed offset by partition; 0 before the first commit."""
        return {
            offsets.partition: offsets.committed or 0
            for offsets in partition_offsets(self.kafka, self.topic, self.group)
        }

    def reset(self) -> None:
        """Commit offset 0 in every partition."""
        with_group = {"bootstrap.servers": self.kafka.bootstrap_servers, "group.id": self.group, "log_level": 0}
        consumer = Consumer({**with_group, "enable.auto.commit": False})
        beginning = [TopicPartition(self.topic, partition, 0) for partition in range(self.partitions)]
        consumer.commit(offsets=beginning, asynchronous=False)
        consumer.close()

    # --- invariants

    def assert_rows(self, numbers: Iterable[int], rule: Callable[[object], str] = category_by_rule) -> dict[str, Row]:
        """Assert that the table has exactly these transactions, once each, with the category of the rule."""
        rows = self.rows()
        assert set(rows) == {transaction(number)["id"] for number in numbers}
        assert {one: row["category"] for one, row in rows.items()} == {one: rule(one) for one in rows}
        return rows

    def assert_settled(self) -> list[Row]:
        """Assert that every entry is settled and the counts of loaded ones balance. Returns those, by offsets."""
        entries = self.entries()
        assert [entry for entry in entries if entry["settled_at"] is None] == []
        archived = [entry for entry in entries if entry["status"] == "archived"]
        for entry in archived:
            names = ("inserted", "updated", "unchanged", "duplicate", "rejected")
            assert entry["rows_read"] == sum(entry[f"rows_{name}"] for name in names)
            assert (entry["bucket"], entry["object_key"], entry["topic"]) == (None, None, self.topic)
            times = [entry[f"{at}_at"] for at in ("claimed", "validated", "processed", "loaded", "settled")]
            assert times == sorted(times)
        assert not self.settings.spool_dir.exists() or list(self.settings.spool_dir.iterdir()) == []
        assert self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'load' AND tablename ~ %s",
                        f"^{self.contract.dataset}_[0-9]") == []  # fmt: skip
        return archived

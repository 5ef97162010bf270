"""Transactions from both sources of a running platform: files in the bucket, messages of a topic."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from include.contracts.reader import read_contract
from include.samples.badness import Bad, BadKind
from include.settings import KafkaConfig, stream_settings
from include.streams.dead_letters import dead_letter_topic
from include.streams.offsets import PartitionOffsets, partition_offsets
from include.streams.produce import RowProducer
from include.streams.publish import publisher
from local.services import broker
from ml_api.categories import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import Message

    from tests.running_platform import Running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

TOPIC = "transactions"
DAG = f"consume_{TOPIC}"


def config(running: Running) -> KafkaConfig:
    return KafkaConfig(bootstrap_servers=broker.bootstrap(running.platform.settings))


def ids(running: Running, name: str) -> list[str]:
    """The ids of all rows of a sample, including bad ones."""
    with (running.folder / name).open(encoding="utf-8", newline="") as stream:
        return [row["id"] for row in csv.DictReader(stream)]


def produce(running: Running, name: str) -> int:
    contract = read_contract(running.contracts / "transactions.yaml")
    return RowProducer(config(running), TOPIC, contract, partitions=2).produce_file(running.folder / name).messages


def send(running: Running, values: Iterable[bytes], key: bytes) -> int:
    """Publish messages with one key, which puts them into one partition. Return their number."""
    with publisher(config(running), TOPIC) as publishing:
        for value in values:
            publishing.send(value, key)
        return publishing.flush()


def group_offsets(running: Running) -> list[PartitionOffsets]:
    return partition_offsets(config(running), TOPIC, stream_settings().group_of(TOPIC))


def drained(running: Running, seconds: float = 60) -> list[PartitionOffsets]:
    """Wait until the group has no lag, and return its offsets."""
    running.until(lambda: sum(offsets.lag for offsets in group_offsets(running)) == 0, "everything committed", seconds)
    return group_offsets(running)


def dead_letters(running: Running) -> list[Message]:
    """All dead letters of the topic, read without committing offsets."""
    letters: list[Message] = []
    if not partition_offsets(config(running), dead_letter_topic(TOPIC), "a-test"):
        return letters  # no message has been rejected yet
    reader = Consumer({"bootstrap.servers": config(running).bootstrap_servers, "group.id": "a-test",
                       "enable.auto.commit": False, "enable.partition.eof": True})  # fmt: skip
    try:
        reader.assign([TopicPartition(dead_letter_topic(TOPIC), 0, 0)])
        while (message := reader.poll(20)) is not None:
            error = message.error()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                break
            letters.append(message)
    finally:
        reader.close()
    return letters


def headers(letter: Message) -> dict[str, str]:
    return {name: (value or b"").decode() for name, value in letter.headers() or []}


def categories(running: Running, wanted: Iterable[str]) -> dict[str, str]:
    """The category of each of these ids that has a row."""
    found = running.query(
        "SELECT id::text, category FROM raw.transactions WHERE id = ANY(%s::text[]::uuid[])", [list(wanted)]
    )
    return dict(found)


def right_categories(wanted: Iterable[str]) -> dict[str, str]:
    return {one: CATEGORIES[hash(UUID(one)) % len(CATEGORIES)] for one in wanted}


def entries(running: Running, since: dict[int, int]) -> list[dict[str, Any]]:
    """The ledger's entries of the topic from these offsets on, by partition and offset."""
    rows = running.query(
        "SELECT to_jsonb(l) FROM ops.file_ingestion_log AS l WHERE topic = %s ORDER BY partition, first_offset",
        [TOPIC],
    )
    return [entry for (entry,) in rows if entry["first_offset"] >= since.get(entry["partition"], 0)]


def ends(running: Running) -> dict[int, int]:
    return {offsets.partition: offsets.last_stable for offsets in group_offsets(running)}


def assert_settled(running: Running, since: dict[int, int], messages: int) -> list[dict[str, Any]]:
    """Check that from `since` to the topic's end, every message is in one archived entry and in one of its counts."""
    found = entries(running, since)
    assert {entry["status"] for entry in found} == {"archived"}
    for partition, end in ends(running).items():
        at = since.get(partition, 0)
        for entry in (entry for entry in found if entry["partition"] == partition):
            assert entry["first_offset"] == at
            at = entry["last_offset"] + 1
        assert at == end
    kept = ("rows_inserted", "rows_updated", "rows_unchanged", "rows_duplicate", "rows_rejected")
    assert sum(entry["rows_read"] for entry in found) == messages
    assert sum(entry[name] for entry in found for name in kept) == messages
    return found


def newest_run(running: Running, **wanted: str) -> dict[str, Any]:
    """The DAG's newest run with these properties, {} where there is none."""
    runs = running.airflow(f"dags/{DAG}/dagRuns?order_by=-id&limit=50")["dag_runs"]
    return next((run for run in runs if all(run[name] == value for name, value in wanted.items())), {})


def task(running: Running, run: dict[str, Any], name: str) -> dict[str, Any]:
    return running.airflow(f"dags/{DAG}/dagRuns/{run['dag_run_id']}/taskInstances/{name}")


def wait_until_the_sensor_is_deferred(running: Running) -> None:
    """Wait until the sensor of the newest run is deferred: then no task consumes messages."""

    def waits() -> bool:
        run = newest_run(running, state="running")
        return bool(run) and task(running, run, "wait_for_messages")["state"] == "deferred"

    running.until(waits, "the DAG waits")


def log_of(running: Running, run: dict[str, Any], name: str, attempt: int = 1) -> str:
    path = f"dags/{DAG}/dagRuns/{run['dag_run_id']}/taskInstances/{name}/logs/{attempt}?full_content=true"
    return json.dumps(running.airflow(path)["content"], ensure_ascii=False)


def test_file_of_transactions_becomes_rows_with_categories(running: Running) -> None:
    bad = [Bad(BadKind.BAD_TIMESTAMP, 15), Bad(BadKind.NOT_IN_LIST, 15)]
    report = running.sample("transactions", "transactions.csv", 2_000, bad=bad, seed=1)
    rows, refused = ids(running, "transactions.csv"), {row.source_row for row in report.bad_rows}
    good = [one for number, one in enumerate(rows, 1) if number not in refused]
    running.drop("transactions.csv", "incoming/transactions/transactions.csv")

    entry = running.settled("incoming/transactions/transactions.csv")
    assert (entry["status"], entry["rows_read"], entry["rows_inserted"]) == ("archived", 2_000, 1_970)
    assert entry["rows_rejected"] == len(refused) == 30
    assert categories(running, rows) == right_categories(good)


def test_messages_become_rows_with_categories_and_bad_ones_dead_letters(running: Running) -> None:
    first = running.sample(
        "transactions", "first.csv", 1_500, bad=[Bad(BadKind.BAD_TIMESTAMP, 20)], seed=2, start=10_000
    )
    second = running.sample(
        "transactions", "second.csv", 1_000, bad=[Bad(BadKind.NOT_IN_LIST, 7)], seed=3, start=20_000
    )
    since, before = ends(running), len(dead_letters(running))
    count = produce(running, "first.csv")
    drained(running)
    wait_until_the_sensor_is_deferred(running)
    count += produce(running, "second.csv")
    # The same 1,500 messages again, including bad ones, change no row.
    count += produce(running, "first.csv")
    count += send(running, [b"{broken", b"[1]", b""], b"poison")
    assert count == 4_003

    at_end = drained(running)
    assert all(offsets.committed == offsets.last_stable for offsets in at_end)
    found = assert_settled(running, since, count)
    assert sum(entry["rows_inserted"] for entry in found) == 2_473
    assert sum(entry["rows_rejected"] for entry in found) == 50

    good = []
    for name, report in (("first.csv", first), ("second.csv", second)):
        refused = {row.source_row for row in report.bad_rows}
        good += [one for number, one in enumerate(ids(running, name), 1) if number not in refused]
    assert categories(running, [*ids(running, "first.csv"), *ids(running, "second.csv")]) == right_categories(good)

    letters = dead_letters(running)[before:]
    letter_headers = [headers(letter) for letter in letters]
    codes = [header["dlq-error-code"] for header in letter_headers]
    assert {code: codes.count(code) for code in codes} == {
        "bad-timestamp": 40, "not-in-list": 7, "bad-row-json": 1, "not-an-object": 1, "empty-message": 1
    }  # fmt: skip
    for header in letter_headers:
        assert (header["dlq-source-topic"], header["dlq-attempt"]) == (TOPIC, "1")
        assert int(header["dlq-source-offset"]) < ends(running)[int(header["dlq-source-partition"])]
    assert {letter.value() for letter, code in zip(letters, codes, strict=True) if code == "bad-row-json"} == {
        b"{broken"
    }


def test_batch_over_the_threshold_stops_until_the_threshold_is_ignored(running: Running) -> None:
    running.sample("transactions", "stopped.csv", 100, seed=4, start=30_000)
    with (running.folder / "stopped.csv").open(encoding="utf-8", newline="") as stream:
        good = [json.dumps(row | {"amount": float(row["amount"])}).encode() for row in csv.DictReader(stream)]
    before = len(dead_letters(running))
    wait_until_the_sensor_is_deferred(running)
    since, earlier = ends(running), newest_run(running, state="failed")
    send(running, [value for one in good for value in (one, b'{"id": "invalid"}')], b"stopped")

    run = running.until(lambda: (r := newest_run(running, state="failed")) != earlier and r, "a failed run")
    [entry] = entries(running, since)
    assert (entry["status"], entry["error_code"]) == ("validation_failed", "error-budget-exceeded")
    assert sum(offsets.lag for offsets in group_offsets(running)) == 200
    assert {offsets.committed for offsets in group_offsets(running)} == set(since.values())
    assert task(running, run, "consume")["state"] == "failed"
    assert task(running, run, "announce_rows")["state"] == "skipped"
    log = log_of(running, run, "consume")
    assert "The batch is stopped, and nothing of it is committed." in log
    assert "error-budget-exceeded" in log

    conf = {"ignore_threshold": True}
    triggered = running.airflow(f"dags/{DAG}/dagRuns", {"logical_date": None, "conf": conf})
    drained(running)
    running.until(lambda: newest_run(running, dag_run_id=triggered["dag_run_id"], state="success"), "the triggered run")
    [entry] = assert_settled(running, since, 200)
    assert (entry["rows_inserted"], entry["rows_rejected"]) == (100, 100)
    assert len(dead_letters(running)) == before + 100


def test_killed_consumer_loses_and_duplicates_nothing(running: Running) -> None:
    running.sample("transactions", "killed.csv", 80_000, seed=5, start=1_000_000)
    wait_until_the_sensor_is_deferred(running)
    since = ends(running)
    produce(running, "killed.csv")
    running.until(lambda: any(entry["attempts"] for entry in entries(running, since)), "a batch is begun")
    run = newest_run(running, state="running")
    assert running.kill_tasks()

    drained(running, 120)
    running.until(lambda: all(entry["settled_at"] for entry in entries(running, since)), "settled")
    assert task(running, run, "consume")["try_number"] > 1
    found = assert_settled(running, since, 80_000)
    assert sum(entry["rows_inserted"] for entry in found) == 80_000
    assert categories(running, ids(running, "killed.csv")) == right_categories(ids(running, "killed.csv"))

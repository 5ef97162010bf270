"""Transactions as files: the same categories as from the topic, and a file waits while the service is down."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from faulty_ml_service import Mode, category_of
from ingest_pipeline import Pipeline
from topic_pipeline import message, messages, transaction

from include.contracts.reader import read_contract
from include.errors import Code, RetryableError
from include.ingestion import attempt
from include.settings import CONTRACTS_DIR, IngestSettings, MlServiceSettings
from local.services import bucket as local_bucket
from tests.own_names import own_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg
    from conftest import MakeTopic
    from faulty_ml_service import FaultyMlService
    from topic_pipeline import Row

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration


@pytest.fixture
def service(faulty: FaultyMlService, monkeypatch: pytest.MonkeyPatch) -> MlServiceSettings:
    """The settings that a worker reads: those of a service that misbehaves on command."""
    service = MlServiceSettings(
        url=faulty.url,
        attempts=3,
        backoff_seconds=0.01,
        backoff_max_seconds=0.02,
        batch_size=10,
    )
    monkeypatch.setattr(attempt, "ml_service_settings", lambda: service)
    return service


@pytest.fixture
def files(
    platform: Platform,
    owner: psycopg.Connection[Row],
    service: MlServiceSettings,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> Iterator[Pipeline]:
    """Files of transactions, in a dataset and a bucket for this test."""
    name = own_name(request.node.nodeid)
    bucket = name.replace("_", "-")
    local_bucket.client(platform.s3_config).create_bucket(Bucket=bucket)
    pipeline = Pipeline(
        contract=replace(read_contract(CONTRACTS_DIR / "transactions.yaml"), dataset=name, topic=name),
        settings=IngestSettings(landing_bucket=bucket, spool_dir=tmp_path / "spool"),
        s3=platform.s3_config,
        warehouse=platform.warehouse_config(),
        owner=owner,
        folder=tmp_path,
    )
    yield pipeline
    pipeline.sql("DROP TABLE IF EXISTS {table}")


def body(count: int) -> bytes:
    return b"\n".join(messages(count))


def assert_loaded(files: Pipeline, key: str, count: int) -> None:
    entry = files.entries(key)[-1]
    files.assert_archived(entry, inserted=count)
    rows = files.rows()
    assert {str(row["id"]): row["category"] for row in rows} == {
        transaction(number)["id"]: category_of(transaction(number)["id"]) for number in range(count)
    }
    files.assert_tidy()


@pytest.mark.parametrize("mode", [Mode.HEALTHY, Mode.SLOW, Mode.EVERY_THIRD_FAILS])
def test_file_is_loaded_despite_a_service_that_is(
    files: Pipeline, faulty: FaultyMlService, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of four parallel requests, every third answer may by chance belong to the same one, three times.
    patient = attempt.ml_service_settings().model_copy(update={"attempts": 10})
    monkeypatch.setattr(attempt, "ml_service_settings", lambda: patient)
    faulty.mode = mode

    entry = files.send("transactions.ndjson", body(100))

    assert_loaded(files, entry["object_key"], 100)


def test_file_waits_for_the_service_however_often_it_is_tried(
    files: Pipeline, faulty: FaultyMlService, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = attempt.ml_service_settings().model_copy(update={"circuit_failures": 1_000})
    monkeypatch.setattr(attempt, "ml_service_settings", lambda: closed)
    key = files.put("transactions.ndjson", body(30))
    faulty.mode = Mode.DOWN
    batches = files.claim()

    for _ in range(files.settings.max_attempts + 1):
        with pytest.raises(RetryableError) as caught:
            files.ingest(batches)
        assert (caught.value.code, caught.value.stage) == (Code.SERVICE_UNAVAILABLE, "process")
        (entry,) = files.entries(key)
        assert (entry["status"], entry["attempts"], entry["error_code"]) == ("claimed", 0, "service-unavailable")
    assert files.settle() == {}
    assert files.count() == 0

    faulty.mode = Mode.HEALTHY
    files.run()

    assert_loaded(files, key, 30)
    assert files.keys("failed/") == []


def test_file_that_the_service_refuses_is_quarantined_with_the_services_reason(
    files: Pipeline, faulty: FaultyMlService
) -> None:
    faulty.mode = Mode.REFUSING

    entry = files.send("transactions.ndjson", body(30))

    report = files.assert_refused(entry, "service-refused", "processing")
    assert "amount" in report["message"]
    assert files.count() == 0


def test_file_and_topic_make_the_same_row(files: Pipeline, make_topic: MakeTopic, faulty: FaultyMlService) -> None:
    """Rows with the same id from a file and from the topic are the same row, and the newest version stays."""
    name = files.contract.dataset
    topic = make_topic(dataset=name, topic=name, ml_service={"url": faulty.url})
    files.send("transactions.ndjson", body(10))
    topic.produce(messages(10, 5, timestamp="2026-04-01T00:00:00Z", description="by topic"))
    topic.consume()
    files.send("transactions2.ndjson", message(7, timestamp="2026-05-01T00:00:00Z", description="by file"))

    rows = topic.assert_rows(range(15), category_of)
    described = {number: rows[transaction(number)["id"]]["description"] for number in (4, 6, 7)}
    assert described == {4: "Payment 4", 6: "by topic", 7: "by file"}

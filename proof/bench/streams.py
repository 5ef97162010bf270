"""Benchmark of the KafkaBatchSource without Airflow: from a topic to committed rows, categorised by the ML service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.cli.streams import produce_sample
from include.contracts.reader import read_contract
from include.settings import CONTRACTS_DIR, KafkaConfig
from include.streams.produce import RowProducer
from local.services.broker import bootstrap
from local.services.ml_api import url
from local.supervisor.platform import KAFKA, ML_API, STORES
from proof.bench.core import run_worker
from proof.bench.results import Measurement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local.supervisor.platform import Platform
    from proof.bench.core import Say

MESSAGES_A_SECOND = 15_000


def measure(platform: Platform, messages: int, folder: Path, say: Say) -> Iterator[Measurement]:
    """Publish messages, then consume them in a worker process."""
    platform.up((*STORES, KAFKA, ML_API))
    contract = read_contract(CONTRACTS_DIR / "transactions.yaml")
    kafka = KafkaConfig(bootstrap_servers=bootstrap(platform.settings))
    say(f"publishing {messages:,} transactions")
    producer = RowProducer(kafka, contract.topic or "", contract, partitions=2)
    produced = produce_sample(producer, messages, seed=11)
    yield Measurement(f"topic: {messages:,} transactions published, a second", produced.per_second, "msg/s")
    say(f"{messages:,} messages: from the topic to rows")
    result = _consume(platform, kafka, folder)
    if result["rows"] != messages:
        raise SystemExit(f"{messages:,} messages were published, but {result['rows']:,} rows were loaded")
    rate = messages / result["seconds"]
    yield Measurement("topic to committed rows, categorised", rate, "msg/s", least=MESSAGES_A_SECOND)
    yield Measurement("topic to committed rows, joining the group", result["joining"], "s")
    yield Measurement("topic to committed rows, worker's peak memory", result["peak_mb"], "MB")


def _consume(platform: Platform, kafka: KafkaConfig, folder: Path) -> dict[str, Any]:
    task = {
        "dataset": "transactions",
        "kafka": kafka.model_dump(),
        "ml_service": {"url": url(platform.settings), "token": platform.credentials.ml_api_token},
        "spool": str(folder / "spool"),
    }
    return run_worker("stream_worker", platform, task)
